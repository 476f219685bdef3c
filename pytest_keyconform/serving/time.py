"""The time of a served target: as it was told last, for clocks and timers alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from pytest_keyconform.engine.clock import UPTIME, real_monotonic

if TYPE_CHECKING:
    from pytest_keyconform.engine.clock import VirtualClock

TURNS: Final = 10  # of the loop, in which what is due is done
WAKINGS: Final = 5000  # timers that may become due in one jump


class ServingLoop(asyncio.SelectorEventLoop):
    """A real event loop whose timers go by the virtual clock, and by real time between two jumps of it."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._virtual = clock
        self._began = real_monotonic()
        self._jumped = 0.0  # virtual seconds that have passed in all executions

    def time(self) -> float:
        """Answer seconds that never go back."""
        return UPTIME + self._jumped + real_monotonic() - self._began

    def jump(self, seconds: float) -> None:
        """Let virtual seconds pass at once."""
        self._jumped += seconds

    def due_in(self) -> float | None:
        """Answer the seconds until the next timer; None where there is none."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined] # the loop's own
        left = [timer.when() for timer in timers if not timer.cancelled()]
        return max(0.0, min(left) - self.time()) if left else None


class Time:
    """Moves the clock and the timers of a loop together."""

    def __init__(self, clock: VirtualClock, loop: ServingLoop) -> None:
        self._clock = clock
        self._loop = loop

    def begin(self, instant: float) -> None:
        """Set the wall clock, as an execution begins; ``instant`` is in seconds since 1970."""
        self._clock.reset()
        self._clock.step_wall(instant - self._clock.time())

    def tick(self) -> None:
        """Let a microsecond pass, so that two calls in a row bear different stamps."""
        self._clock.tick()

    async def go_to(self, instant: float) -> None:
        """Go on to an instant, from timer to timer; one that is past already sets the wall clock back."""
        if instant < self._clock.time():
            self._clock.step_wall(instant - self._clock.time())
        for _ in range(WAKINGS):
            left, due = instant - self._clock.time(), self._loop.due_in()
            if due is None or due > left:
                break
            self._pass(max(due, 1e-6))
            await self._settle()
        self._pass(instant - self._clock.time())
        await self._settle()

    def _pass(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self._loop.jump(max(0.0, seconds))

    async def _settle(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)
