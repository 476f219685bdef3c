"""What the harness itself does between the calls of an execution: restarts, censuses, measurements, faults."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_keyconform.adapters.answering import spoil
from pytest_keyconform.adapters.resolve import OpeningFailed
from pytest_keyconform.engine.faults import FOREVER, Faults
from pytest_keyconform.engine.storage import blocked, tear, wipe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_keyconform.adapters.recording import Call
    from pytest_keyconform.engine.program import Program
    from pytest_keyconform.workload import Given, Workload

ENDING = 0.05  # seconds of real time in which a thread ends that is about to
SETTLING = 0.01  # virtual seconds in which what was told to end has to end
OF_LOOPS = ("asyncio_", "AnyIO worker")  # threads of the pools of an event loop, which outlive what they were asked for


class Interludes:
    """The steps of one execution that are the harness' own. ``faults`` are there where the workload has any."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._threads = frozenset(threading.enumerate())
        self.faults = Faults() if wants_faults(program.workload) else None
        self.calls: dict[str, Call] = {
            "census": self._counted,
            "fault": self._broken,
            "leave": self._left,
            "mend": self._mended,
            "restart": self._restarted,
            "spoil_lists": self._spoilt,
            **program.scales.own,
        }

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Let faults strike, and measure, while inside."""
        try:
            with (
                self._program.scales.standing(),
                contextlib.nullcontext() if self.faults is None else self.faults.installed(),
            ):
                yield
        finally:
            if self.faults is not None:
                self.let_end()

    def let_end(self) -> None:
        """Let threads end that were told to; aiosqlite's does a moment after a connection that failed."""
        for thread in self._started():
            thread.join(ENDING)

    def at_rest(self) -> tuple[int, int]:
        """Let threads end that were told to; without an event loop there are neither tasks nor timers."""
        self._program.pass_time(SETTLING)
        return 0, 0

    async def _restarted(self, _name: str, arguments: dict[str, object]) -> object:
        """Close the manager and put another one on its storage in its place: at once or later, whole or not."""
        program = self._program
        if program.recorder is None:
            return None
        with contextlib.nullcontext() if self.faults is None else self.faults.held():
            opened, program.opened = program.opened, None
            if opened is not None:
                await opened.close()
            program.pass_time(float(str(arguments.get("down", 0.0))))
            if "tear" in arguments:
                tear(program.storage, str(arguments["tear"]))
            if arguments.get("wiped"):
                wipe(program.storage)
        del opened
        with blocked(program.storage) if arguments.get("blocked") else contextlib.nullcontext():
            try:
                self._resize(arguments)
                program.opened = await program.instance(given=self._given(arguments))
            except OpeningFailed as failure:
                raise failure.cause from None
        program.recorder.connection = program.opened.connection
        return False if program.opened.answer is False else None

    def _resize(self, arguments: Mapping[str, object]) -> None:
        """Give what is opened from now on so many keys, and so many models, where that is asked for."""
        if isinstance(keys := arguments.get("keys"), int):
            models = arguments.get("models")
            self._program.given = self._program.workload.given.sized(keys, models if isinstance(models, int) else None)

    def _given(self, arguments: Mapping[str, object]) -> Given:
        given = self._program.given
        return replace(given, regular=(), vertex=()) if arguments.get("empty") else given

    async def _left(self, *_: object) -> None:
        """Close the manager, however that ends, and forget it."""
        opened, self._program.opened = self._program.opened, None
        if opened is not None:
            with contextlib.suppress(Exception):
                await opened.close()

    async def _counted(self, *_: object) -> dict[str, int]:
        """Count what runs beside the calls, once what was about to end has ended."""
        connections = {} if self.faults is None else {"connections": self.faults.connections()}
        tasks, timers = await self._program.census()
        threads = sum(not one.name.startswith(OF_LOOPS) for one in self._started())
        return {"tasks": tasks, "timers": timers, "threads": threads, **connections}

    def _started(self) -> list[threading.Thread]:
        """Answer the threads that were started since and are alive, but for the one that asks."""
        before = (*self._threads, threading.current_thread())
        return [one for one in threading.enumerate() if one not in before and one.is_alive()]

    def _spoilt(self, *_: object) -> None:
        opened, keyring = self._program.opened, self._program.keyring
        spoil([] if opened is None else [one for one in opened.handed if isinstance(one, list)], keyring)

    def _broken(self, _name: str, arguments: dict[str, object]) -> None:
        if self.faults is not None:
            self.faults.storage = str(self._program.storage)
            self.faults.arm(int(str(arguments.get("after", 0))), int(str(arguments.get("times", FOREVER))))

    def _mended(self, *_: object) -> None:
        if self.faults is not None:
            self.faults.mend()


def wants_faults(workload: Workload) -> bool:
    """Tell whether a workload has a step that makes its store fail, or that counts what is open of it."""
    return any(step.name == "fault" for _, _, step in workload.steps())
