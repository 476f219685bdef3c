"""PCT, probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): random priorities, few changes."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pytest_keyconform.engine.search.course import FAIR_AT, shortest
from pytest_keyconform.engine.search.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.engine.search.course import Choice
    from pytest_keyconform.schedule import Schedule


class PriorityWalk:
    """Runs the ready task of the highest priority; at ``depth - 1`` random choice points that one falls to the last.

    A bug that needs ``depth`` ordered steps of ``n`` tasks in executions of ``k`` choice points is found with a
    probability of at least 1 / (n * k ** (depth - 1)). Seeded: the same seed, the same walks.
    """

    def __init__(self, seed: int, *, depth: int = 3, tree: Tree | None = None) -> None:
        self._tree = Tree() if tree is None else tree
        self._random = Random(seed)  # noqa: S311 - chance that can be repeated
        self._depth = depth
        self._log: list[Choice] = []
        self._priorities: dict[int, float] = {}
        self._changes: set[int] = set()
        self._lowest = 0.0

    def begin(self) -> bool:
        """Prepare the next execution; False: every order was tried."""
        if self._tree.exhausted:
            return False
        points = min(FAIR_AT, self._tree.longest + 8)  # the next execution may be longer than those seen
        self._changes = {self._random.randrange(points) for _ in range(self._depth - 1)}
        self._priorities, self._lowest = {}, 0.0
        self._log = self._tree.begin()
        return True

    def choose(self, ready: Sequence[int], current: int | None) -> int:
        """Answer the index of the task of the highest priority."""
        point = len(self._log)
        for key in ready:
            if key not in self._priorities:
                self._priorities[key] = 1.0 + self._random.random()
        index = self._highest(ready) if point < FAIR_AT else 0
        if point in self._changes:
            self._lowest -= 1.0
            self._priorities[ready[index]] = self._lowest
            index = self._highest(ready)
        self._log.append((index, len(ready), -1 if current is None else current))
        return index

    def schedule(self) -> Schedule:
        """Answer the schedule of the execution just run."""
        return shortest(self._log)

    def _highest(self, ready: Sequence[int]) -> int:
        return max(range(len(ready)), key=lambda index: self._priorities[ready[index]])
