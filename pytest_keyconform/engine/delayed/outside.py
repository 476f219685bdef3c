"""Which waits end from outside of the event loop: by a socket, a thread, a subprocess."""

from __future__ import annotations

import asyncio
from concurrent.futures import thread as pools
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pytest_keyconform.engine.waiting import chain

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor
    from types import FrameType
    from typing import Any

    Task: TypeAlias = asyncio.Task[Any]

Place: TypeAlias = tuple[object, int]  # a code object and a line of it

_FOLDER = Path(asyncio.__file__).parent
_INSIDE = frozenset(str(_FOLDER / f"{name}.py") for name in ("locks", "queues", "tasks", "taskgroups", "timeouts"))


class Outside:
    """Tells where tasks wait for the outside, as far as code tells it and as experience shows.

    A future may be resolved by anybody. What asyncio's own locks, queues, sleeps and groups wait for is resolved by
    another task or by a timer. Any other wait is taken for one that ends from outside, until it did not several times
    more often than it did.
    """

    def __init__(self) -> None:
        self._came: dict[Place, int] = {}

    def waited_for(self, task: Task) -> Place | None:
        """Answer where a suspended task waits for the outside; None where another task or a timer is to wake it."""
        waiter = getattr(task, "_fut_waiter", None)
        if waiter is None or isinstance(waiter, asyncio.Task) or hasattr(waiter, "_children"):
            return None
        innermost: FrameType | None = None
        for _, frame in chain(task):
            innermost = frame
        if innermost is None or innermost.f_code.co_filename in _INSIDE:
            return None
        place = (innermost.f_code, innermost.f_lineno)
        return place if self._came.get(place, 0) > -PATIENT else None

    def learn(self, place: Place, *, came: bool) -> None:
        """Be told whether a wait at a place ended while nothing else ran."""
        known = self._came.get(place, 0)
        self._came[place] = min(known + 1, PATIENT) if came else known - 1


PATIENT = 3  # waits at one place that do not end by themselves, after which it is taken to wait for other tasks


def forget_workers(pool: ThreadPoolExecutor | None) -> None:
    """Let the interpreter's exit not wait for the threads of an executor that was shut down."""
    for worker in () if pool is None else pool._threads:  # noqa: SLF001 - no public way
        pools._threads_queues.pop(worker, None)  # type: ignore[attr-defined] # noqa: SLF001 - likewise
