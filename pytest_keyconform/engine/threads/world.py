"""The world that threads are run in: locks and threads replaced, visible instructions told of, time virtual."""

from __future__ import annotations

import gc
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from pytest_keyconform.engine.threads import starting
from pytest_keyconform.engine.threads.patching import controlled
from pytest_keyconform.engine.threads.standing import AllDone
from pytest_keyconform.engine.threads.tracing import tracer
from pytest_keyconform.engine.threads.turns import MAIN, Turns, running
from pytest_keyconform.engine.threads.visible import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.search import Chooser
    from pytest_keyconform.engine.threads.standing import Controlled

COLLECTING = 200  # executions after which garbage is collected, between two of them
MAX_POINTS = 20_000  # of one execution: far beyond any workload


class ThreadWorld:
    """A context manager; one entry serves many executions, each in a `turns` block of its own.

    ``roots`` answers the modules that the code under test is in; what they use, as far as it is traced, belongs to it.
    Raises `TracingUnavailable` on entering where another tool is in the way. Everything is as it was on leaving,
    whatever happened inside. May be entered again while it is entered.
    """

    def __init__(self, clock: VirtualClock, roots: Callable[[], Iterable[ModuleType]]) -> None:
        self._clock = clock
        self._roots = roots
        self._scope = Scope()
        self._tracer = tracer(self._scope, _point)
        self._undo = ExitStack()
        self._depth = 0
        self._executions = 0

    def __enter__(self) -> Self:
        self._depth += 1
        if self._depth > 1:
            return self
        modules = self._scope.reached(self._roots())
        with ExitStack() as stack:
            stack.callback(setattr, self, "_depth", 0)
            self._tracer.start()
            stack.callback(self._tracer.stop)
            self._scope.learn(modules)
            self._tracer.learn(self._scope.codes)
            stack.enter_context(controlled(modules))
            for calls, call in (
                (starting.entered, self._tracer.enter_thread),
                (starting.left, self._tracer.leave_thread),
            ):
                calls.append(call)
                stack.callback(calls.remove, call)
            # What the collector finalizes in the middle of an execution would use locks, and be a choice.
            if gc.isenabled():
                stack.callback(gc.enable)
                gc.disable()
            before, self._clock.sleeper = self._clock.sleeper, _sleep
            stack.callback(setattr, self._clock, "sleeper", before)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._undo.close()

    @contextmanager
    def turns(self, chooser: Chooser | None, *, preempt: bool = True, max_points: int = MAX_POINTS) -> Iterator[Turns]:
        """Make the calling thread the first of an execution; every other one has ended on leaving.

        Without ``preempt`` no instruction is visible: only calls and waits are choice points.
        """
        turns = Turns(self._clock, chooser, preempt=preempt, max_points=max_points)
        running.append(turns)
        try:
            yield turns
        finally:
            try:
                turns.end()
            finally:
                running.remove(turns)
                self._executions += 1
                if self._executions % COLLECTING == 0:
                    gc.collect()

    def client(self, turns: Turns, body: Callable[[], None], name: str) -> Controlled:
        """Start a client: its visible instructions are choice points, its not ending is a deadlock."""
        stand_in = threading.Thread(name=name)

        def traced() -> None:
            with starting.registered(stand_in):
                if turns.preempt:
                    self._tracer.enter_thread()
                try:
                    body()
                finally:
                    self._tracer.leave_thread()

        return turns.spawn(traced, name, daemon=False)

    def run(
        self, turns: Turns, bodies: Sequence[Callable[[], None]], names: Sequence[str], *, calls: bool = True
    ) -> None:
        """Run clients until all have ended, with the chooser at work; raises `Ended` where they cannot.

        ``calls``: it matters when a client begins its first call; else all begin at once, and fewer orders differ.
        """
        clients = [self.client(turns, body, name) for body, name in zip(bodies, names, strict=True)]
        turns.exploring = turns.quiet = True
        try:
            for client in () if calls else clients:
                turns.start(client)
            turns.wait(AllDone(clients))
        finally:
            turns.exploring = False


def _point() -> None:
    if running:
        turns = running[-1]
        if turns.preempt and (turns.exploring or turns.ending) and turns.current.number != MAIN and turns.mine():
            turns.point()


def _sleep(seconds: float) -> bool:
    if not running or not running[-1].mine():
        return False
    running[-1].advance(seconds)
    return True
