"""The tree of choices that was seen so far, shared by the strategies of one search."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.engine.search.course import FAIR_AT, Choice, default

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.schedule import Schedule

MOST_NODES = 400_000  # some 100 MB; beyond it orders are still tried, but nobody may say that all were


class _Node:
    __slots__ = ("children", "current")

    def __init__(self, choice: Choice) -> None:
        self.current = choice.current
        self.children: list[_Node | _Leaf | None] = [None] * choice.width


class _Leaf:
    """An execution ended here."""


_LEAF = _Leaf()


class Tree:
    """Each node is a choice point, each branch one of the tasks that could run there.

    ``steady`` is False once the same choices led to different choice points: the program depends on something
    besides the schedule. ``nodes`` counts the choice points.
    """

    def __init__(self) -> None:
        self.steady = True
        self.nodes = 0
        self._cut = False
        self._open = 1  # branches that nobody took
        self._root: list[_Node | _Leaf | None] = [None]

    @property
    def exhausted(self) -> bool:
        """Whether every order was tried."""
        return self._open == 0 and self.steady and not self._cut

    def add(self, log: Sequence[Choice]) -> None:
        """Take in the choices of one execution."""
        if len(log) > FAIR_AT:
            self._cut = True
        branches, index = self._root, 0
        for choice in log[:FAIR_AT]:
            node = branches[index]
            if node is None:
                if self.nodes >= MOST_NODES:
                    self._cut = True
                    return
                branches[index] = node = _Node(choice)
                self.nodes += 1
                self._open += choice.width - 1
            elif isinstance(node, _Leaf) or len(node.children) != choice.width:
                self.steady = False
                return
            branches, index = node.children, choice.chosen
        self._end(branches, index)

    def _end(self, branches: list[_Node | _Leaf | None], index: int) -> None:
        if branches[index] is None:
            branches[index] = _LEAF
            self._open -= 1
        elif not isinstance(branches[index], _Leaf):
            self.steady = False

    def walk(self, schedule: Schedule) -> tuple[list[Choice], bool]:
        """Answer the choices that a schedule would make, and whether they were all made before.

        The list ends where nobody has been.
        """
        moves = dict(schedule.deviations)
        fair = FAIR_AT if schedule.fair_from is None else schedule.fair_from
        path: list[Choice] = []
        node = self._root[0]
        while isinstance(node, _Node):
            point, width = len(path), len(node.children)
            index = min(moves.get(point, default(schedule.base, fair, point, node.current)), width - 1)
            path.append(Choice(index, width, node.current))
            node = node.children[index]
        return path, isinstance(node, _Leaf)
