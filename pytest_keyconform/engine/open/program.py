"""What a user's program is, and what came of one execution of it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.execution import Moment
    from pytest_keyconform.schedule import Schedule

Operation = Callable[..., Any]
NO_STATE = object()


@dataclass(frozen=True, slots=True)
class UserProgram:
    """Operations that run at once, each a client, on a state that ``setup`` makes anew for every execution.

    Without ``setup`` there is no state, and operations take no argument.
    """

    operations: tuple[Operation, ...]
    setup: Callable[[], Any] | None = None

    @property
    def is_async(self) -> bool:
        """Whether the operations are coroutine functions."""
        return inspect.iscoroutinefunction(self.operations[0])

    def named(self, number: int) -> str:
        """Answer the name of the operation of a client, from 1."""
        return getattr(self.operations[number - 1], "__name__", "operation")

    def arguments(self, state: object) -> tuple[object, ...]:
        """Answer what an operation is called with."""
        return () if state is NO_STATE else (state,)

    @contextlib.contextmanager
    def state(self) -> Iterator[object]:
        """Make the state; a context manager that ``setup`` answers is entered, and left afterwards."""
        made: Any = NO_STATE if self.setup is None else self.setup()
        if isinstance(made, contextlib.AbstractContextManager):
            with made as entered:
                yield entered
        else:
            yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one execution.

    ``results`` are what the operations returned, in their order (None for one that did not return); ``errors`` what
    they raised (None for one that did not). ``stuck`` is "deadlock" or "livelock" with who waits for what and where.
    """

    state: Any
    results: tuple[Any, ...]
    errors: tuple[BaseException | None, ...]
    schedule: Schedule
    stuck: str | None = None
    moments: tuple[Moment, ...] = ()
    overlapped: bool | None = None
