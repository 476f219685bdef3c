"""Searching for an order of the operations, within real time, that the model allows (Wing and Gong; Lowe's memo).

The model is any ``step(state, operation)`` that answers the states an operation may lead to, or a refusal. Pending
operations may have happened or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

    from pytest_keyconform.operation import Operation

END = -1  # what a node of the line that is no call stands for


class Fingerprinted(Protocol):
    """A state that can be told from another one."""

    def fingerprint(self) -> object:
        """Answer a hashable value, equal for equal states."""


S = TypeVar("S", bound=Fingerprinted)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Linearized:
    """There is such an order: the operations by their positions."""

    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Refuted(Generic[R]):
    """There is none: the longest order that went well, and why each operation that could come next was refused."""

    longest: tuple[int, ...]
    refusals: tuple[tuple[int, R], ...]


class Undecided(Exception):
    """The budget ended before the search did."""


def linearize(
    operations: Sequence[Operation],
    initial: S,
    step: Callable[[S, Operation], tuple[S, ...] | R],
    *,
    budget: int = 100_000,
    part: Callable[[Operation], Hashable] | None = None,
) -> Linearized | Refuted[R]:
    """Search for a linearization of ``operations``, which stand in the order of their calls.

    ``step`` answers a tuple of states, or anything else as the reason of its refusal. ``budget`` bounds the number
    of calls of ``step``; `Undecided` is raised beyond. ``part`` names what an operation is about, where the model
    keeps such parts apart: each part is then searched alone, from the initial state (see `partitions`).
    """
    orders: list[list[int]] = []
    steps = 0
    for positions in [range(len(operations))] if part is None else partitions(operations, part):
        search: _Search[S, R] = _Search([operations[position] for position in positions], initial, step, budget)
        search.steps = steps
        linearized = search.run()
        if not linearized:
            longest, refusals = search.best
            told = tuple((positions[index], refusal) for index, refusal in refusals)
            return Refuted(tuple(positions[index] for index in longest), told)
        orders.append([positions[index] for index in search.order()])
        steps = search.steps
    return Linearized(tuple(orders[0] if len(orders) == 1 else _merged(operations, orders)))


def partitions(operations: Sequence[Operation], part: Callable[[Operation], Hashable]) -> list[Sequence[int]]:
    """Divide a history into the positions of each part; ``part`` answers None for what is about all of them.

    With such an operation in it the history is one part: a model that looks at several parts at once keeps none apart.
    """
    found: dict[Hashable, list[int]] = {}
    for position, operation in enumerate(operations):
        found.setdefault(part(operation), []).append(position)
    return [range(len(operations))] if None in found else list(found.values())


def _merged(operations: Sequence[Operation], orders: Sequence[Sequence[int]]) -> list[int]:
    """Answer one order that has these ones in it: an operation comes once it and those before it were called."""
    placed: list[tuple[int, int, int, int]] = []
    for number, order in enumerate(orders):
        moment = 0
        for rank, position in enumerate(order):
            moment = max(moment, operations[position].called)
            placed.append((moment, number, rank, position))
    return [position for *_, position in sorted(placed)]


def _alone(operations: Sequence[Operation]) -> Iterator[bool]:
    """Tell of each operation whether it overlaps no other."""
    latest = -math.inf
    for one, following in zip_longest(operations, operations[1:]):
        returned = math.inf if one.returned is None else one.returned
        yield latest < one.called and (following is None or returned < following.called)
        latest = max(latest, returned)


class _Line:
    """Calls and returns in their order, as a doubly linked list whose node 0 is the head.

    ``after`` and ``before`` are the neighbours of each node, ``whose`` the operation that a node calls or `END`;
    ``calls`` and ``returns`` are the nodes of each operation. What never returned does so at the end.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        moments: list[tuple[float, int, int]] = [(one.called, 0, index) for index, one in enumerate(operations)]
        moments += [
            (math.inf if one.returned is None else one.returned, 1, index) for index, one in enumerate(operations)
        ]
        moments.sort()  # of a call and a return at one moment the call comes first: neither precedes the other
        self.after = [*range(1, len(moments) + 2), 0]
        self.before = [0, *range(len(moments) + 1)]
        self.whose = [END] * (len(moments) + 2)
        self.calls, self.returns = [0] * len(operations), [0] * len(operations)
        for node, (_, kind, index) in enumerate(moments, start=1):
            (self.returns if kind else self.calls)[index] = node
            if not kind:
                self.whose[node] = index

    def take(self, index: int) -> None:
        """Take the call and the return of an operation out."""
        after, before = self.after, self.before
        for node in (self.calls[index], self.returns[index]):
            previous = before[node]
            following = after[previous] = after[node]
            before[following] = previous

    def put_back(self, index: int) -> None:
        """Put back what was taken out last: both nodes still know their neighbours."""
        after, before = self.after, self.before
        for node in (self.returns[index], self.calls[index]):
            after[before[node]] = before[after[node]] = node


class _Search(Generic[S, R]):
    """A search in progress, depth first.

    ``state`` and ``done`` (a bit for each operation) are where it stands; ``stack`` holds for each operation that is
    placed the state before it and the other states it may have led to. ``left`` counts the completed operations that
    are not placed. ``refusals`` were met since the last one was placed. ``best`` is the longest order that went well,
    and what was refused after it: since nothing longer was reached, that is all that could come next.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        initial: S,
        step: Callable[[S, Operation], tuple[S, ...] | R],
        budget: int,
    ) -> None:
        self.operations = operations
        self.step = step
        self.budget = budget
        self.steps = 0
        self.state = initial
        self.done = 0
        self.line = _Line(operations)
        self.completed = [int(one.returned is not None) for one in operations]
        self.left = sum(self.completed)
        self.alone = list(_alone(operations))
        self.bits = [1 << index for index in range(len(operations))]
        self.seen: set[tuple[int, object]] = set()
        self.stack: list[tuple[int, S, tuple[S, ...]]] = []
        self.refusals: list[tuple[int, R]] = []
        self.best: tuple[tuple[int, ...], tuple[tuple[int, R], ...]] = ((), ())

    def order(self) -> tuple[int, ...]:
        """Answer the operations that are placed, in their order."""
        return tuple(index for index, *_ in self.stack)

    def run(self) -> bool:
        """Tell whether there is an order."""
        after, whose = self.line.after, self.line.whose
        node = after[0]
        while self.left:
            index = whose[node]
            if index != END:
                node = after[0] if self._placed(index) else after[node]
            elif self.stack:
                self._remember()
                node = self._undone()
            else:
                self._remember()
                return False
        return True

    def _placed(self, index: int) -> bool:
        """Try an operation next; answer whether that leads to where the search has not been."""
        self.steps += 1
        if self.steps > self.budget:
            message = f"no order of the calls was found or ruled out within {self.budget} steps"
            raise Undecided(message)
        answer = self.step(self.state, self.operations[index])
        if isinstance(answer, tuple):
            # What overlaps nothing, and leads to one state, is not come to by several ways: no memo is needed.
            return self._entered(index, answer, certain=self.alone[index] and len(answer) == 1)
        self.refusals.append((index, answer))
        return False

    def _entered(self, index: int, states: tuple[S, ...], *, certain: bool = False) -> bool:
        """Go on with the first of these states that the search has not been in; answer whether there is one."""
        done = self.done | self.bits[index]
        for number, state in enumerate(states, start=1):
            if not certain:
                mark = (done, state.fingerprint())
                if mark in self.seen:
                    continue
                self.seen.add(mark)
            self.stack.append((index, self.state, states[number:]))
            self.state, self.done = state, done
            self.left -= self.completed[index]
            self.refusals = []
            self.line.take(index)
            return True
        return False

    def _undone(self) -> int:
        """Take back the last operation, and answer the node to go on with."""
        index, self.state, others = self.stack.pop()
        self.done ^= self.bits[index]
        self.left += self.completed[index]
        self.line.put_back(index)
        again = bool(others) and self._entered(index, others)
        node: int = self.line.after[0 if again else self.line.calls[index]]
        return node

    def _remember(self) -> None:
        if len(self.stack) > len(self.best[0]) or not self.best[1]:
            self.best = (self.order(), tuple(self.refusals))
