"""What threads stand before: a call, the end of a pause, other threads; and a thread as it stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import _thread
    from collections.abc import Sequence


class Awaited(Protocol):
    """What a thread can wait for."""

    def open_to(self, number: int) -> bool:
        """Tell whether this thread may go on."""

    def told(self) -> str:
        """Say what it is that the thread waits for."""


class Boundary:
    """Stands between two calls of a client; who stands here has nothing half done."""

    def open_to(self, number: int) -> bool:  # noqa: ARG002 - as asked of what is awaited
        """Answer True: `Turns` decides when a call may begin."""
        return True

    def told(self) -> str:
        """Say what it is."""
        return "its turn"


class Pause:
    """A sleep; only time ends it."""

    def open_to(self, number: int) -> bool:  # noqa: ARG002 - as asked of what is awaited
        """Answer False."""
        return False

    def told(self) -> str:
        """Say what it is."""
        return "sleep"


class AllDone:
    """Waits until certain threads have ended."""

    def __init__(self, threads: Sequence[Controlled]) -> None:
        self._threads = threads

    def open_to(self, number: int) -> bool:  # noqa: ARG002 - as asked of what is awaited
        """Tell whether all have ended."""
        return all(thread.done for thread in self._threads)

    def told(self) -> str:
        """Name the first that has not ended."""
        return next((thread.name for thread in self._threads if not thread.done), "its turn")


BOUNDARY, PAUSE = Boundary(), Pause()


@dataclass(slots=True, eq=False)
class Controlled:
    """One thread. ``awaits`` is what it stands before, ``deadline`` (ticks) when it goes on all the same.

    ``daemon``: its not ending is no deadlock. ``calls``: how many it has stood before.
    """

    number: int
    name: str
    gate: _thread.LockType
    ident: int = 0
    daemon: bool = True
    awaits: Awaited | None = None
    deadline: int | None = None
    expired: bool = False
    done: bool = False
    calls: int = 0
