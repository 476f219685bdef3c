"""The tree of choices that was seen so far, shared by the strategies of one search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_keyconform.engine.search.course import FAIR_AT, goes_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.engine.search.course import Choice
    from pytest_keyconform.schedule import Schedule

MOST_NODES = 400_000  # some 100 MB; beyond it orders are still tried, but nobody may say that all were


# A choice point: the index of the current task, then for each task that could run the choice point it led to,
# `_END`, or None where nobody went. A plain list, since there are so many.
_Node: TypeAlias = list[Any]
_END = "the execution ended here"


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
        self._root: _Node = [-1, None]

    @property
    def exhausted(self) -> bool:
        """Whether every order was tried."""
        self._settle()
        return self._open == 0 and self._steady and not self._cut

    @property
    def open(self) -> int:
        """How many branches nobody took: at least so many executions are left."""
        self._settle()
        return self._open

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
        node, branch = self._root, 1
        for chosen, width, current in log:
            held = node[branch]
            if held is None:
                if self._nodes >= MOST_NODES:
                    self._cut = True
                    return
                held = node[branch] = [None] * (width + 1)
                held[0] = current
                self._nodes += 1
                self._open += width - 1
            elif held is _END or len(held) != width + 1:
                self._steady = False
                return
            node, branch = held, chosen + 1
        if node[branch] is None:
            node[branch] = _END
            self._open -= 1
        self._steady = self._steady and node[branch] is _END

    def walk(self, schedule: Schedule) -> tuple[list[tuple[int, _Node]], bool]:
        """Answer the choice points that a schedule leads to, each with the index it chooses; and whether to the end.

        The list ends where nobody has been.
        """
        self._settle()
        moves = dict(schedule.deviations)
        running = goes_on(schedule.base, schedule.fair_from)
        path: list[tuple[int, _Node]] = []
        node, point = self._root[1], 0
        while node is not None and node is not _END:
            chosen = moves.get(point, -1)
            if chosen < 0:
                chosen = node[0] if point < running and node[0] >= 0 else 0
            path.append((chosen, node))
            node = node[chosen + 1]
            point += 1
        return path, node is _END
