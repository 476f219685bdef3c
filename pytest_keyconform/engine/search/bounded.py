"""Bounded deviations: no deviation from a base policy, then one, then two."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from pytest_keyconform.engine.search.course import Course, written
from pytest_keyconform.engine.search.tree import Tree
from pytest_keyconform.schedule import Base, Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Bounded:
    """Tries schedules in the order of their deviations, so that the first counterexample is a smallest one.

    Both bases take turns: running the current task until it blocks finds the usual races with one deviation,
    FIFO finds others. A third source repeats each deviating schedule with a fair tail, FIFO from there on,
    which alone shows livelocks. Under RUN it is free to choose who runs after a task blocked; overtaking one
    that could go on counts as a deviation. What was tried before, by another source too, is left out.

    ``last`` is the largest bound, None for all; raise it to go on after `begin` answered False. ``bases`` are those
    that take turns; without FIFO there is no fair tail either.
    """

    def __init__(
        self, *, last: int | None = None, tree: Tree | None = None, bases: tuple[Base, ...] = tuple(Base)
    ) -> None:
        self.last = last
        self._bases = bases
        self.bound = 0
        self._tree = Tree() if tree is None else tree
        self._plan = Schedule()
        self._course = Course(self._plan)
        self._reached: dict[Base, list[Schedule]] = {base: [] for base in Base}
        self._plans = self._level({base: [] for base in Base})

    @property
    def exhausted(self) -> bool:
        """Whether every order of the program was tried."""
        return self._tree.exhausted

    @property
    def steady(self) -> bool:
        """Whether the same choices always led to the same choice points; else a replay may go another way."""
        return self._tree.steady

    def begin(self) -> bool:
        """Prepare the next execution; False: every order, or every one within the bound, was tried."""
        while not self._tree.exhausted:
            plan = next(self._plans, None)
            if plan is not None:
                if not self._tree.walk(plan)[1]:
                    self._plan, self._course = plan, Course(plan, self._tree.begin())
                    return True
            elif not self._deepen():
                return False
        return False

    def choose(self, ready: Sequence[int], current: int | None) -> int:
        """Answer the index that the plan of this execution says."""
        return self._course.choose(ready, current)

    def schedule(self) -> Schedule:
        """Answer the schedule of the execution just run, without deviations that it did not live to see."""
        return written(self._course.log, self._plan.base, self._plan.fair_from)

    def _deepen(self) -> bool:
        if self.bound == self.last or not any(self._reached.values()):
            return False
        self.bound += 1
        parents, self._reached = self._reached, {base: [] for base in Base}
        self._plans = self._level(parents)
        return True

    def _level(self, parents: dict[Base, list[Schedule]]) -> Iterator[Schedule]:
        """Yield the plans of one bound, the sources in turn; each must be run before the next is asked for."""
        sources = [self._spread(base, parents[base]) for base in self._bases]
        followed = 0
        going = True
        while going:
            going = False
            for source in sources:
                for plan in islice(source, 1):
                    going = True
                    yield plan
            for plan in self._reached[Base.RUN][followed : followed + 1]:
                going = True
                followed += 1
                if plan.deviations and Base.FIFO in self._bases:
                    yield replace(plan, fair_from=plan.deviations[-1][0] + 1)

    def _spread(self, base: Base, parents: list[Schedule]) -> Iterator[Schedule]:
        """Yield the plans with one counted deviation more than the parents, then what is free beside them."""
        reached = self._reached[base]
        fresh = (child for plan in parents for child in self._children(plan, free=False))
        for plan in fresh if self.bound else (Schedule(base=base),):
            reached.append(plan)
            yield plan
        for plan in reached:  # grows meanwhile
            for child in self._children(plan, free=True):
                reached.append(child)
                yield child

    def _children(self, plan: Schedule, *, free: bool) -> Iterator[Schedule]:
        """Yield the plan with one deviation more, after its last one, that is free or is not."""
        path, _ = self._tree.walk(plan)
        first = plan.deviations[-1][0] + 1 if plan.deviations else 0
        for point in _spaced(first, len(path)):
            chosen, node = path[point]
            if free == (plan.base is Base.RUN and node[0] < 0):
                for index in range(len(node) - 1):
                    if index != chosen:
                        yield Schedule(base=plan.base, deviations=(*plan.deviations, (point, index)))


def _spaced(first: int, last: int) -> Iterator[int]:
    """Yield the points from first to last, by turns the next one and one amid the widest gap.

    What is torn apart lies at the beginning of a short call; of a long one the budget would never see the end.
    """
    points = range(first, last)
    width = max(1, len(points) - 1).bit_length()
    amid = (int(f"{number:0{width}b}"[::-1], 2) for number in range(1 << width))
    spread = (points[place] for place in amid if place < len(points))
    yield from dict.fromkeys(chain.from_iterable(zip(points, spread, strict=True)))
