"""Is there an order of the operations, within real time, that the model allows? (Wing and Gong; Lowe's memo.)

The model is any ``step(state, operation)`` that answers the states an operation may lead to, or a refusal. Pending
operations may have happened or not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
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


@dataclass(frozen=True, slots=True)
class Undecided:
    """The budget ended before the search did."""

    steps: int


def linearize(
    operations: Sequence[Operation],
    initial: S,
    step: Callable[[S, Operation], tuple[S, ...] | R],
    *,
    budget: int = 100_000,
) -> Linearized | Refuted[R] | Undecided:
    """Search for a linearization of ``operations``.

    ``step`` answers a tuple of states, or anything else as the reason of its refusal. ``budget`` bounds the number
    of calls of ``step``.
    """
    count = len(operations)
    before = [_predecessors(operations, index) for index in range(count)]
    needed = sum(1 << index for index, operation in enumerate(operations) if not operation.pending)
    seen: set[tuple[int, object]] = set()
    best: tuple[tuple[int, ...], tuple[tuple[int, R], ...]] = ((), ())
    stack: list[tuple[int, S, tuple[int, ...]]] = [(0, initial, ())]
    steps = 0
    while stack:
        done, state, order = stack.pop()
        if done & needed == needed:
            return Linearized(order)
        refusals: list[tuple[int, R]] = []
        following: list[tuple[int, S, tuple[int, ...]]] = []
        for index in range(count):
            if done >> index & 1 or before[index] & ~done:
                continue
            steps += 1
            answer = step(state, operations[index])
            if not isinstance(answer, tuple):
                refusals.append((index, answer))
                continue
            after = done | 1 << index
            for successor in answer:
                mark = (after, successor.fingerprint())
                if mark not in seen:
                    seen.add(mark)
                    following.append((after, successor, (*order, index)))
        if steps > budget:
            return Undecided(steps)
        if refusals and (len(order) > len(best[0]) or not best[1]):
            best = (order, tuple(refusals))
        stack.extend(reversed(following))
    return Refuted(*best)


def _predecessors(operations: Sequence[Operation], index: int) -> int:
    later = operations[index]
    return sum(1 << other for other, earlier in enumerate(operations) if earlier.precedes(later))
