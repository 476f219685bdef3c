"""The tree of choices that was seen so far, shared by the strategies of one search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.engine.search.course import FAIR_AT
from pytest_keyconform.schedule import Base

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.engine.search.course import Choice
    from pytest_keyconform.schedule import Schedule

MOST_NODES = 400_000  # some 100 MB; beyond it orders are still tried, but nobody may say that all were


class _Node:
    __slots__ = ("children", "current")

    def __init__(self, width: int, current: int) -> None:
        self.current = current
        self.children: list[_Node | _Leaf | None] = [None] * width


class _Leaf:
    """An execution ended here."""


_LEAF = _Leaf()


class Tree:
    """Each node is a choice point, each branch one of the tasks that could run there.

    ``longest`` is the number of choice points of the longest execution.
    """

    def __init__(self) -> None:
        self.longest = 0
        self._nodes = 0
        self._open = 1  # branches that nobody took
        self._cut = False  # something was left out
        self._steady = True
        self._log: list[Choice] | None = None
        self._root: list[_Node | _Leaf | None] = [None]

    @property
    def exhausted(self) -> bool:
        """Whether every order was tried."""
        self._settle()
        return self._open == 0 and self._steady and not self._cut

    @property
    def steady(self) -> bool:
        """Whether the same choices always led to the same choice points.

        If not, the program depends on something besides the schedule, and a replay may go another way.
        """
        self._settle()
        return self._steady

    def begin(self) -> list[Choice]:
        """Answer the log of the next execution, empty; it is taken in once that execution is over."""
        self._settle()
        self._log = []
        return self._log

    def _settle(self) -> None:
        if self._log is not None:
            log, self._log = self._log, None
            self.longest = max(self.longest, min(len(log), FAIR_AT))
            self._cut = self._cut or len(log) > FAIR_AT
            self._add(log[:FAIR_AT])

    def _add(self, log: Sequence[Choice]) -> None:
        branches, index = self._root, 0
        for chosen, width, current in log:
            node = branches[index]
            if node is None:
                if self._nodes >= MOST_NODES:
                    self._cut = True
                    return
                branches[index] = node = _Node(width, current)
                self._nodes += 1
                self._open += width - 1
            elif isinstance(node, _Leaf) or len(node.children) != width:
                self._steady = False
                return
            branches, index = node.children, chosen
        if branches[index] is None:
            branches[index] = _LEAF
            self._open -= 1
        self._steady = self._steady and isinstance(branches[index], _Leaf)

    def walk(self, schedule: Schedule) -> tuple[list[Choice], bool]:
        """Answer the choices that a schedule would make, and whether they were all made before.

        The list ends where nobody has been.
        """
        self._settle()
        moves = dict(schedule.deviations)
        fair = FAIR_AT if schedule.fair_from is None else schedule.fair_from
        running = fair if schedule.base is Base.RUN else 0  # up to here the current task goes on
        path: list[Choice] = []
        node, point = self._root[0], 0
        while isinstance(node, _Node):
            children, current = node.children, node.current
            index = moves.get(point, -1)
            if index < 0:
                index = current if point < running and current >= 0 else 0
            path.append((index, len(children), current))
            node = children[min(index, len(children) - 1)]
            point += 1
        return path, isinstance(node, _Leaf)
