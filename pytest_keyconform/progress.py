"""How far a run is, told twice a minute where it takes longer than that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_keyconform.engine.tally import TALLY

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY = 30.0  # seconds of real time between two lines


class Progress:
    """Tells how far one target is; ``tell`` is given a line now and then, and never within the first half minute.

    ``total`` is how many invariants there are to judge.
    """

    def __init__(self, name: str, total: int, tell: Callable[[str], None], *, clock: Callable[[], float]) -> None:
        self._name = name
        self._total = total
        self._tell = tell
        self._clock = clock
        self._began = self._told = clock()
        self._judged = 0
        self._current = ""
        self._before = 0

    def begin(self, id: str) -> None:  # noqa: A002 - the word of the catalogue
        """Note which invariant is judged now."""
        self._current = id
        self._before = TALLY.executions
        self.look()

    def end(self) -> None:
        """Note that it was judged."""
        self._judged += 1

    def look(self) -> None:
        """Tell, if it is time."""
        now = self._clock()
        if now - self._told < EVERY:
            return
        self._told = now
        spent = now - self._began
        left = "" if not self._judged else f", about {_told(spent / self._judged * (self._total - self._judged))} left"
        executions = TALLY.executions - self._before
        self._tell(
            f"keyconform {self._name}: {self._judged} of {self._total} invariants judged in {_told(spent)}{left}; "
            f"now {self._current}, {executions:,} execution{'' if executions == 1 else 's'} so far"
        )


def silent(name: str, total: int) -> Progress:
    """Answer one that tells nobody."""
    return Progress(name, total, lambda _line: None, clock=time.monotonic)


def _told(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 120 else f"{round(whole / 60)} min"  # noqa: PLR2004 - two minutes
