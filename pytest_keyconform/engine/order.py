"""The one order of all calls and returns of an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_keyconform.engine.clock import VirtualClock


class Order:
    """The one order of calls and returns of an execution; each of them takes a tick of the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._place = 0

    @property
    def now(self) -> float:
        """The virtual seconds since the execution began."""
        return self._clock.now

    def sleep(self, seconds: float) -> None:
        """Let time pass for whoever calls, as `time.sleep` of the backend does."""
        self._clock.sleep(seconds)

    def tick(self) -> int:
        """Answer the next place."""
        self._clock.tick()
        self._place += 1
        return self._place
