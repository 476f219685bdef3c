"""The wire engine: a backend in another process, and requests to it that overlap as a scheduler says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from freezegun import api

from pytest_keyconform.engine.clock import real_sleep
from pytest_keyconform.engine.delayed.outside import Outside
from pytest_keyconform.engine.delayed.runner import DelayedRunner
from pytest_keyconform.errors import WireError
from pytest_keyconform.history import NoiseKind

if TYPE_CHECKING:
    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.adapters.wire import Dialogue
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.delayed.loop import DelayedLoop
    from pytest_keyconform.engine.delayed.outside import Place
    from pytest_keyconform.engine.program import Program
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.execution import Execution
    from pytest_keyconform.workload import Step, Workload

MINUTE: Final = 60
MARGIN: Final = 2.0  # seconds before the end of a real minute in which no execution is begun
STANDARD_ERROR: Final = "standard error"


class WireRunner(DelayedRunner):
    """Runs workloads over a wire: each call a request, each client one more that may be under way.

    A backend whose clock can be told gets the virtual time with its opening and whenever that jumps. One that has the
    real time is not judged across the end of a minute, at which its windows may end.
    """

    name = "wire"

    def __init__(
        self, target: Target, dialogue: Dialogue, clock: VirtualClock, *, seed: int, leased: bool = False
    ) -> None:
        """Judge a target on this clock; ``seed`` seeds `random` before each execution."""
        super().__init__(target, clock, seed=seed, leased=leased)
        self._outside = AllOutside()
        self._dialogue = dialogue
        dialogue.now = clock.time

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:
        """Run one execution, and say whether its time could be told."""
        minute = None if self._dialogue.clocked else _minute()
        execution = super().run(workload, scheduler, observed=observed)
        if minute is not None and _now() // MINUTE != minute:
            raise WireError("an execution went on beyond the end of a minute, at which windows may end")
        history = replace(execution.history, clockless=not self._dialogue.clocked)
        return replace(execution, history=history)

    async def _main(self, program: Program, loop: DelayedLoop) -> None:  # type: ignore[override] # its own loop alone
        await super()._main(program, loop)
        if program.overhearing is not None:
            for line in self._dialogue.line.said().splitlines():
                program.overhearing.hear(line, STANDARD_ERROR, NoiseKind.LOGGED)

    async def _pass_time(self, program: Program, loop: DelayedLoop, seconds: float) -> None:  # type: ignore[override]
        await super()._pass_time(program, loop, seconds)
        await self._tell()

    async def _set_clock(self, program: Program, step: Step, *, client: int) -> None:
        await super()._set_clock(program, step, client=client)
        await self._tell()

    async def _tell(self) -> None:
        if self._dialogue.clocked:
            await self._dialogue.ask("clock", now=self._dialogue.told_now())


def _minute() -> float:
    """Answer the number of the real minute; where that is about to end, of the next one, once it is there."""
    left = MINUTE - _now() % MINUTE
    if left < MARGIN:
        real_sleep(left)
    return _now() // MINUTE


_now = api.real_time  # seconds since 1970


class AllOutside(Outside):
    """Takes every wait for an answer to be one for the outside, however long it lasts: nobody here can end it."""

    def learn(self, place: Place, *, came: bool) -> None:
        """Learn nothing."""
