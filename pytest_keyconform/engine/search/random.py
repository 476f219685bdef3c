"""Random walk: a random task at each choice point, then a fair tail."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from pytest_keyconform.engine.search.course import FAIR_AT, shortest
from pytest_keyconform.engine.search.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.engine.search.course import Choice
    from pytest_keyconform.schedule import Schedule


class RandomWalk:
    """Chooses at random up to a random choice point, and the one ready longest from there on.

    Without the tail a walk never shows a livelock: sooner or later it does what lets the program end. Never says
    that there is nothing left to try, unless every order was. Seeded: the same seed, the same walks.
    """

    def __init__(self, seed: int, *, tree: Tree | None = None) -> None:
        self._tree = Tree() if tree is None else tree
        self._random = Random(seed)  # noqa: S311 - chance that can be repeated
        self._log: list[Choice] = []
        self._fair = 0

    def begin(self) -> bool:
        """Prepare the next execution; False: every order was tried."""
        if self._tree.exhausted:
            return False
        # A walk as long as the longest execution seen, or shorter; the next one may be longer than that.
        self._fair = self._random.randrange(min(FAIR_AT, self._tree.longest + 8) + 1)
        self._log = self._tree.begin()
        return True

    def choose(self, ready: Sequence[int], current: int | None) -> int:
        """Answer a random index, or in the tail the first."""
        width = len(ready)
        index = int(self._random.random() * width) if len(self._log) < self._fair else 0
        self._log.append((index, width, -1 if current is None else current))
        return index

    def schedule(self) -> Schedule:
        """Answer the schedule of the execution just run."""
        return shortest(self._log, self._fair)
