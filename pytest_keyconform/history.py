"""A history: the operations of one execution, and how the execution ended. What rules judge."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_keyconform.operation import Operation, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.limits_page import Asked
    from pytest_keyconform.workload import Given


class Ending(enum.Enum):
    """How an execution ended."""

    FINISHED = "finished"
    DEADLOCK = "deadlock"
    LIVELOCK = "livelock"
    STALLED = "nothing came from outside"  # from a socket, a thread, a subprocess: nobody can tell why
    UNOPENED = "unopened"  # the factory or the opening raised


@dataclass(frozen=True, slots=True)
class Blocked:
    """A client that never finished: what it had called, what it waits for, and the innermost backend line."""

    client: int
    call: str
    waits_for: str
    where: str

    def __str__(self) -> str:
        """Show who waits for what and where."""
        return f"{self.call} waits for {self.waits_for} at {self.where}"


class NoiseKind(enum.Enum):
    """What can go wrong beside the answers."""

    UNAWAITED = "a coroutine was never awaited"
    UNRETRIEVED = "a task's exception was never retrieved"
    THREAD_DIED = "a thread died of an exception"
    LOGGED = "a key was logged or printed"
    SHOWN = "an object or an error shows a key"
    WARNED = "an old form warns in the wrong way"
    HINTED = "more of a key is shown than may be"


@dataclass(frozen=True, slots=True)
class Noise:
    """Something that went wrong beside the answers."""

    kind: NoiseKind
    text: str

    def __str__(self) -> str:
        """Show the kind and the text."""
        return f"{self.kind.value}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Operations in the order of their calls, on the pool that was given.

    ``weights`` are the lines of the backend that ran in a call, beside its place in the order of all calls.
    ``asked`` is what a source of limits saw, where there was one.
    ``clockless`` tells that the backend has a store or an upstream, whose time is its own, and asked no clock here.
    """

    given: Given
    operations: tuple[Operation, ...]
    ending: Ending = Ending.FINISHED
    blocked: tuple[Blocked, ...] = ()
    noise: tuple[Noise, ...] = ()
    clockless: bool = False
    weights: tuple[tuple[int, int], ...] = ()
    asked: Asked | None = None

    def named(self, *names: str) -> Iterator[Operation]:
        """Yield the operations with one of these names."""
        return (operation for operation in self.operations if operation.name in names)

    def parallel(self) -> tuple[Operation, ...]:
        """Answer the operations of the parallel clients."""
        return tuple(operation for operation in self.operations if operation.phase is Phase.PARALLEL)

    @property
    def sequential(self) -> bool:
        """Whether each operation had returned before the next one was called."""
        pairs = zip(self.operations, self.operations[1:], strict=False)
        return all(first.precedes(second) for first, second in pairs)
