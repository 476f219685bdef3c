"""A portfolio: the strategies one after the other, each where it is best, within one budget of executions."""

from __future__ import annotations

from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING

from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.search.pct import PriorityWalk
from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.engine.search.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.schedule import Schedule

FIRST, LAST = 1, 3  # the bounds before and after the walks
SURE = 64  # executions that go to the first bounds, however small the budget: they find what is usual


class Portfolio:
    """Bounds 0 and 1, then random walks and PCT in turn, then bounds 2 and 3, then walks to the end of the budget.

    The first bounds take `SURE` executions or half of ``budget``, the walks then a third of what is left, so that a
    program with very many orders at one bound is still walked through. Of ``long`` calls, which have many choice
    points, bounds reach so few orders that walks take half of what is left, twice. There are no walks where what is
    left may do to try every order: they would run some of them twice. All share one tree: what one has tried the
    bounded one leaves out. ``exhausted`` tells that every order was tried. Seeded: the same seed, the same schedules.
    ``tails`` as in `Bounded`.
    """

    def __init__(self, *, seed: int, budget: int, long: bool = False, tails: bool = True) -> None:
        self._left, self._long = budget, long
        self._tree = Tree()
        self._bounded = Bounded(tree=self._tree, tails=tails)
        walks: tuple[Scheduler, ...] = RandomWalk(seed, tree=self._tree), PriorityWalk(seed, tree=self._tree)
        self._walks = cycle(walks)
        self._used: Scheduler = self._bounded
        self._begun = self._parts()

    @property
    def exhausted(self) -> bool:
        """Whether every order of the program was tried."""
        return self._tree.exhausted

    @property
    def steady(self) -> bool:
        """Whether the same choices always led to the same choice points; else a replay may go another way."""
        return self._tree.steady

    def begin(self) -> bool:
        """Prepare the next execution; False: every order was tried, or the budget is spent."""
        used = next(self._begun, None) if self._left > 0 else None
        if used is None:
            return False
        self._used = used
        self._left -= 1
        return True

    def choose(self, ready: Sequence[int], current: int | None) -> int:
        """Answer what the strategy whose turn it is answers."""
        return self._used.choose(ready, current)

    def schedule(self) -> Schedule:
        """Answer the schedule of the execution just run."""
        return self._used.schedule()

    def _parts(self) -> Iterator[Scheduler]:
        """Yield the strategy of each execution, begun."""
        bounded, walks = self._bounded, self._walks
        bounded.last = FIRST
        yield from self._run(repeat(bounded, max(0 if self._long else SURE, self._left // 2)))
        share = self._left // (2 if self._long else 3)
        yield from self._run(islice(walks, share if self._long or self._tree.open > self._left else 0))
        bounded.last = LAST
        yield from self._run(repeat(bounded, self._left // 2 if self._long else self._left * 3 // 4))
        bounded.last = None
        yield from self._run(repeat(bounded, self._left if self._tree.open <= self._left else 0))
        yield from self._run(walks)

    def _run(self, schedulers: Iterable[Scheduler]) -> Iterator[Scheduler]:
        for scheduler in schedulers:
            if not scheduler.begin():
                return
            yield scheduler
