"""A worker process: one instance of the target at a time, called over a connection, its operations sent back."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.recording import Recorder
from pytest_keyconform.adapters.resolve import OpeningFailed
from pytest_keyconform.engine.clock import MICROSECONDS, VirtualClock, real_monotonic, real_sleep
from pytest_keyconform.engine.driving import drive
from pytest_keyconform.engine.processes.touching import Touches
from pytest_keyconform.engine.simulated import sqlite
from pytest_keyconform.operation import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from multiprocessing.connection import Connection
    from pathlib import Path

    from pytest_keyconform.adapters.connection import Connection as Bound
    from pytest_keyconform.adapters.resolve import Opened, Target
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.workload import Given, Step


@dataclass(frozen=True, slots=True)
class Begin:
    """The first message: what the instances of this execution are opened on, and when it began (monotonic seconds)."""

    given: Given
    storage: Path
    began: float
    seed: int


@dataclass(frozen=True, slots=True)
class Do:
    """Steps to do one after the other; answered by their operations, all at once.

    ``start`` (monotonic seconds) is when to begin, so that processes begin together; 0: at once.
    """

    steps: tuple[Step, ...]
    client: int
    phase: Phase
    start: float = 0.0


class MovingClock(VirtualClock):
    """The wall clock begins at START with the execution, and goes at its own speed; sleeping takes its time."""

    began = 0.0

    @property
    def ticks(self) -> int:
        """The microseconds since the execution began."""
        return round((real_monotonic() - self.began) * MICROSECONDS) if self.began else 0

    @ticks.setter
    def ticks(self, value: int) -> None:
        """Leave it: nobody moves this clock."""

    def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        real_sleep(seconds)


class _Order:
    """Stamps of the machine's monotonic clock, in nanoseconds, which all processes share."""

    def __init__(self, clock: MovingClock) -> None:
        self._clock = clock

    @property
    def now(self) -> float:
        return self._clock.now

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)

    def tick(self) -> int:
        return round(real_monotonic() * 1e9)


class Worker:
    """Serves one connection until it ends; then the process ends. ``leave`` is called before each answer.

    An answer is the operations, and how often a clock was read so far.
    """

    def __init__(
        self, connection: Connection, target: Target, clock: MovingClock, leave: Callable[[], None] = lambda: None
    ) -> None:
        self._leave = leave
        self._connection = connection
        self._target = target
        self._clock = clock
        self._keyring = Keyring()
        self._touches = Touches()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: Opened | None = None
        self._recorder: Recorder | None = None

    def serve(self) -> None:
        """Do what is asked."""
        begin: Begin = self._connection.recv()
        random.seed(begin.seed)
        self._chance = random.Random(f"{begin.seed} {os.getpid()}")  # noqa: S311 - when to pause
        self._clock.began = begin.began
        self._touches.storage = str(begin.storage)
        self._touches.install()
        with suppress(EOFError, OSError), sqlite.controlled(lambda: self._touches):
            self._connection.send(os.getpid())
            while True:
                asked: Do = self._connection.recv()
                while real_monotonic() < asked.start:  # asleep it would be late
                    pass
                answers = [self._done(begin, step, asked) for step in asked.steps]
                self._touches.dies_at = self._touches.chance = None  # what we leave is no touch of the storage
                self._leave()
                self._connection.send((answers, self._clock.readings))

    def _done(self, begin: Begin, step: Step, asked: Do) -> Operation:
        if self._recorder is None:
            nobody = cast("Bound", _Unopened())
            policies, order = self._target.policies, _Order(self._clock)
            self._recorder = Recorder(nobody, self._keyring, begin.given, policies, order)
        kill = step.invocation.get("kill")
        self._touches.chance = self._chance if asked.phase is Phase.PARALLEL else None
        self._touches.dies_at = None if kill is None else int(str(kill))
        try:
            own = {
                "advance": self._advance(step),
                "close": self._close,
                "crash": self._open,
                "open": self._open,
                "restart": self._restart,
            }
            call = own.get(step.name)
            performing = self._recorder.perform(step, client=asked.client, phase=asked.phase, call=_with(call, begin))
            return self._run(performing)
        finally:
            self._touches.dies_at = None

    async def _open(self, begin: Begin) -> None:
        pool = self._keyring.pool_of(begin.given, storage=begin.storage)
        try:
            self._opened = await self._target.opened(pool)
        except OpeningFailed as failure:
            raise failure.cause from None
        if self._recorder is not None:
            self._recorder.connection = self._opened.connection
            self._recorder.agreement = type(self._recorder.agreement)(
                self._target.policies, self._opened.connection.packages
            )

    def _advance(self, step: Step) -> Callable[[Begin], Coroutine[Any, Any, None]]:
        async def pause(_begin: Begin) -> None:
            seconds = float(str(step.invocation.get("seconds")))
            if step.invocation.get("jump"):
                self._clock.began -= seconds
            elif self._loop is not None and self._loop.is_running():
                await asyncio.sleep(seconds)
            else:
                real_sleep(seconds)

        return pause

    async def _restart(self, begin: Begin) -> None:
        await self._close(begin)
        await self._open(begin)

    async def _close(self, _begin: Begin) -> None:
        if self._opened is not None:
            opened, self._opened = self._opened, None
            await opened.close()

    def _run(self, coroutine: Coroutine[Any, Any, Operation]) -> Operation:
        """Run a call on an event loop; a synchronous backend has none, since it may call `asyncio.run` itself."""
        if self._opened is not None and not self._opened.connection.claims.is_async:
            operation: Operation = drive(coroutine)
            return operation
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(coroutine)


class _Unopened:
    """Stands for the connection before there is one."""

    packages: frozenset[str] = frozenset()

    def invoke(self, name: str, _arguments: object) -> object:
        raise RuntimeError(f"{name} is called before the instance is open")


def _with(call: Any, begin: Begin) -> Any:  # noqa: ANN401 - one of the worker's own, or None
    return None if call is None else lambda _name, _arguments: call(begin)
