"""The delayed task engine: workloads on a real event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.engine.delayed.loop import DelayedLoop
from pytest_keyconform.engine.delayed.outside import Outside
from pytest_keyconform.engine.tasks import TaskRunner

if TYPE_CHECKING:
    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.clock import VirtualClock


class DelayedRunner(TaskRunner):
    """Runs workloads on a real loop; the scheduler chooses who goes on, and so who is held up, and for how long."""

    name = "delayed-tasks"
    complete = False
    cost = 4

    def __init__(self, target: Target, clock: VirtualClock, *, seed: int, leased: bool = False) -> None:
        """Judge a target on this clock; ``seed`` seeds `random` before each execution."""
        super().__init__(target, clock, seed=seed, leased=leased)
        self._outside = Outside()

    def loop(self) -> DelayedLoop:
        """Make the loop of one execution."""
        return DelayedLoop(self._clock, self._outside, max_steps=self._max_steps)
