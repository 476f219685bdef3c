"""One execution's way through the tree of choices: following a schedule, and writing one down."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pytest_keyconform.schedule import Base, Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

# From this choice point on every strategy runs the one ready longest. So a task that spins under "run until
# it blocks" does not starve the others for the rest of the execution, and what is not finished at the loop's
# limit of steps is a livelock and no starvation.
FAIR_AT = 1000


# What happened at a choice point: the index of the one that ran, how many were ready, and the index of the one that
# ran before (-1: it blocked). A plain tuple, since one is made for every choice.
Choice: TypeAlias = tuple[int, int, int]


def goes_on(base: Base, fair_from: int | None) -> int:
    """Answer up to which choice point the current task goes on where a schedule says nothing; FIFO from there."""
    fair = FAIR_AT if fair_from is None else fair_from
    return fair if base is Base.RUN else 0


class Course:
    """Follows a schedule and keeps a log. A strategy of another kind appends to the log itself.

    ``diverged`` tells that a deviation named an index that was not there: the program is not the one that the
    schedule was written for.
    """

    __slots__ = ("_moves", "_running", "diverged", "log")

    def __init__(self, schedule: Schedule, log: list[Choice] | None = None) -> None:
        self.log: list[Choice] = [] if log is None else log
        self.diverged = False
        self._moves = dict(schedule.deviations)
        self._running = goes_on(schedule.base, schedule.fair_from)

    def choose(self, ready: Sequence[int], current: int | None) -> int:
        """Answer the index that the schedule says."""
        log = self.log
        point = len(log)
        index = self._moves.get(point)
        if index is None:
            index = current if current is not None and point < self._running else 0
        elif index >= len(ready):
            self.diverged = True
            index = len(ready) - 1
        log.append((index, len(ready), -1 if current is None else current))
        return index


def written(log: Sequence[Choice], base: Base, fair_from: int | None = None) -> Schedule:
    """Write the choices down as deviations from a base."""
    fair = FAIR_AT if fair_from is None else fair_from
    running = goes_on(base, fair_from)
    deviations = tuple(
        (point, chosen)
        for point, (chosen, _, current) in enumerate(log)
        if chosen != (current if point < running and current >= 0 else 0)
    )
    return Schedule(base=base, deviations=deviations, fair_from=fair if fair < len(log) else None)


def shortest(log: Sequence[Choice], fair_from: int | None = None) -> Schedule:
    """Write the choices down from the base that needs the fewer deviations."""
    schedules = (written(log, base, fair_from) for base in Base)
    return min(schedules, key=lambda schedule: len(schedule.deviations))
