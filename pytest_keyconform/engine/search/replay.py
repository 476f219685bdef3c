"""Replay: the one execution that a schedule describes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.engine.search.course import Course

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.schedule import Schedule


class Replay:
    """Runs a given schedule, ``times`` times over.

    ``diverged`` tells that the program run last is not the one that the schedule was written for.
    """

    def __init__(self, schedule: Schedule, *, times: int = 1) -> None:
        self._schedule = schedule
        self._left = times
        self._course = Course(schedule)

    @property
    def diverged(self) -> bool:
        """Whether the schedule asked for a task that was not ready."""
        return self._course.diverged

    def begin(self) -> bool:
        """Prepare the next execution; False once all were run."""
        self._left -= 1
        self._course = Course(self._schedule)
        return self._left >= 0

    def choose(self, ready: Sequence[int], current: int | None) -> int:
        """Answer the index that the schedule says."""
        return self._course.choose(ready, current)

    def schedule(self) -> Schedule:
        """Answer the schedule that was given."""
        return self._schedule
