"""Bounded deviations: no deviation from a base policy, then one, then two."""

from __future__ import annotations

from collections import deque
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
    that could go on counts as a deviation. A bound has one free choice more than deviations, or a program of many
    calls would never see any. What was tried before, by another source too, is left out.

    ``last`` is the largest bound, None for all; raise it to go on after `begin` answered False. ``bases`` are those
    that take turns; without FIFO, or where no ``tails`` are wanted, there is no fair tail either.
    """

    def __init__(
        self,
        *,
        last: int | None = None,
        tree: Tree | None = None,
        bases: tuple[Base, ...] = tuple(Base),
        tails: bool = True,
    ) -> None:
        self.last = last
        self._bases = bases
        self._tails = tails and Base.FIFO in bases
        self.bound = 0
        self._tree = Tree() if tree is None else tree
        self._plan = Schedule()
        self._course = Course(self._plan)
        self._reached: dict[Base, list[Schedule]] = {base: [] for base in Base}
        self._postponed: dict[Base, list[Schedule]] = {base: [] for base in Base}
        self._freedom: dict[Schedule, int] = {}  # deviations of a plan that are free
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
        if self.bound == self.last or not any((*self._reached.values(), *self._postponed.values())):
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
                if plan.deviations and self._tails:
                    yield replace(plan, fair_from=plan.deviations[-1][0] + 1)

    def _spread(self, base: Base, parents: list[Schedule]) -> Iterator[Schedule]:
        """Yield the plans with one counted deviation more than the parents, and by turns what is free beside them.

        A plan that has more free deviations than the bound waits for the next one with what is free beside it.
        """
        sources = [self._children(plan, free=False) for plan in parents]
        # Who begins matters as much as where the first one is interrupted; later on what is near is tried first.
        fresh = _in_turns(sources) if self.bound == 1 else chain.from_iterable(sources)
        counted = fresh if self.bound else iter((Schedule(base=base),))
        beside = deque(self._children(plan, free=True) for plan in self._postponed[base])
        self._postponed[base] = postponed = []
        while plans := [*islice(counted, 1), *_first_of(beside)]:
            for plan in plans:
                self._reached[base].append(plan)
                yield plan
                if self._freedom.setdefault(plan, 0) > self.bound:
                    postponed.append(plan)
                else:
                    beside.append(self._children(plan, free=True))

    def _children(self, plan: Schedule, *, free: bool) -> Iterator[Schedule]:
        """Yield the plan with one deviation more, after its last one, that is free or is not."""
        path, _ = self._tree.walk(plan)
        first = plan.deviations[-1][0] + 1 if plan.deviations else 0
        for point in _spaced(first, len(path)):
            chosen, node = path[point]
            if free == (plan.base is Base.RUN and node[0] < 0):
                for index in range(len(node) - 1):
                    if index != chosen:
                        child = Schedule(base=plan.base, deviations=(*plan.deviations, (point, index)))
                        self._freedom[child] = self._freedom.get(plan, 0) + free
                        yield child


def _in_turns(sources: Sequence[Iterator[Schedule]]) -> Iterator[Schedule]:
    """Yield from each source in turn, until all are at their end."""
    waiting = deque(sources)
    while waiting:
        source = waiting.popleft()
        for plan in islice(source, 1):
            waiting.append(source)
            yield plan


def _first_of(sources: deque[Iterator[Schedule]]) -> Iterator[Schedule]:
    """Yield one from the first source that has any left; drop those that have none."""
    while sources:
        for plan in islice(sources[0], 1):
            yield plan
            return
        sources.popleft()


def _spaced(first: int, last: int) -> Iterator[int]:
    """Yield the points from first to last, by turns the next one and one amid the widest gap.

    What is torn apart lies at the beginning of a short call; of a long one the budget would never see the end.
    """
    points = range(first, last)
    width = max(1, len(points) - 1).bit_length()
    amid = (int(f"{number:0{width}b}"[::-1], 2) for number in range(1 << width))
    spread = (points[place] for place in amid if place < len(points))
    yield from dict.fromkeys(chain.from_iterable(zip(points, spread, strict=True)))
