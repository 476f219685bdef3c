"""Searching for an order of the operations, within real time, that the model allows (Wing and Gong; Lowe's memo).

The model is any ``step(state, operation)`` that answers the states an operation may lead to, or a refusal. Pending
operations may have happened or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_keyconform.operation import Operation


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
) -> Linearized | Refuted[R]:
    """Search for a linearization of ``operations``, which stand in the order of their calls.

    ``step`` answers a tuple of states, or anything else as the reason of its refusal. ``budget`` bounds the number
    of calls of ``step``; `Undecided` is raised beyond. Stretches that do not overlap are searched one after the other,
    with all the states that the earlier ones may have led to.
    """
    search = _Search(operations, step, budget)
    reached: dict[object, tuple[S, tuple[int, ...]]] = {initial.fingerprint(): (initial, ())}
    for stretch in _stretches(operations):
        reached = search.through(stretch, reached.values())
        if search.steps > budget:
            message = f"no order of the calls was found or ruled out within {budget} steps"
            raise Undecided(message)
        if not reached:
            return Refuted(*search.best)
    return Linearized(next(iter(reached.values()))[1])


class _Search(Generic[S, R]):
    """A search in progress. ``best`` is the longest order that went well, and what was refused after it."""

    def __init__(
        self, operations: Sequence[Operation], step: Callable[[S, Operation], tuple[S, ...] | R], budget: int
    ) -> None:
        self.operations = operations
        self.step = step
        self.budget = budget
        self.steps = 0
        self.best: tuple[tuple[int, ...], tuple[tuple[int, R], ...]] = ((), ())

    def through(
        self, stretch: range, starts: Iterable[tuple[S, tuple[int, ...]]]
    ) -> dict[object, tuple[S, tuple[int, ...]]]:
        """Answer the states after a stretch, each with an order that leads to it, by their fingerprints."""
        before = {index: self._predecessors(index, stretch) for index in stretch}
        needed = sum(1 << index for index in stretch if not self.operations[index].pending)
        seen: set[tuple[int, object]] = set()
        ends: dict[object, tuple[S, tuple[int, ...]]] = {}
        stack = [(0, state, order) for state, order in starts]
        while stack and self.steps <= self.budget:
            done, state, order = stack.pop()
            if done & needed == needed:
                ends.setdefault(state.fingerprint(), (state, order))
            ready = [index for index in stretch if not done >> index & 1 and not before[index] & ~done]
            for index, successor in self._following(ready, state, order):
                mark = (done | 1 << index, successor.fingerprint())
                if mark not in seen:
                    seen.add(mark)
                    stack.append((mark[0], successor, (*order, index)))
        return ends

    def _following(self, ready: list[int], state: S, order: tuple[int, ...]) -> Iterator[tuple[int, S]]:
        refusals: list[tuple[int, R]] = []
        for index in reversed(ready):
            self.steps += 1
            answer = self.step(state, self.operations[index])
            if isinstance(answer, tuple):
                yield from ((index, successor) for successor in answer)
            else:
                refusals.append((index, answer))
        if refusals and (len(order) > len(self.best[0]) or not self.best[1]):
            self.best = (order, tuple(reversed(refusals)))

    def _predecessors(self, index: int, stretch: range) -> int:
        later = self.operations[index]
        return sum(1 << other for other in stretch if self.operations[other].precedes(later))


def _stretches(operations: Sequence[Operation]) -> Iterator[range]:
    """Yield the stretches of a history: every operation of one returned before any of the next was called."""
    start, last = 0, -math.inf
    for index, operation in enumerate(operations):
        if index > start and last < operation.called:
            yield range(start, index)
            start = index
        last = max(last, math.inf if operation.returned is None else operation.returned)
    if operations:
        yield range(start, len(operations))
