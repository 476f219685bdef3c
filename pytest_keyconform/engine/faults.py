"""A store that fails: commands of SQLite and writes to the storage's files raise, from a given one on."""

from __future__ import annotations

import builtins
import errno
import fcntl
import gc
import io
import os
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_keyconform.engine.clock import real_sleep
from pytest_keyconform.engine.processes.touching import PAUSE, REPLACED, Touches
from pytest_keyconform.engine.simulated import sqlite
from pytest_keyconform.errors import Unsupported

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

FOREVER = 10**9
PATIENCE = 0.2  # seconds of real time that a command waits for a lock; whoever holds it in one process is not at work
UNTOUCHED = "no touch of its store could be made to fail: it is reached neither by sqlite3 nor by files of the storage"


class Faults(Touches):
    """Counts the touches of the store in this process, and lets some of them fail while `armed`.

    A transaction is never kept from being rolled back: that would leave no way to be sound. ``struck`` counts the
    touches that failed since the last `arm`. Also counts the connections of SQLite that are open.
    """

    def __init__(self) -> None:
        super().__init__()
        self.struck = 0
        self._left = self._times = 0
        self._held = False
        self._waited = 0.0
        self._connections: list[weakref.ref[sqlite3.Connection]] = []

    def arm(self, after: int, times: int) -> None:
        """Let ``after`` touches pass, and the next ``times`` fail."""
        self._left, self._times, self.struck = after, times, 0

    def mend(self) -> None:
        """Let every touch pass; raises `Unsupported` where none failed since `arm`, so that nothing was tried."""
        self._times = 0
        if not self.struck:
            raise Unsupported(UNTOUCHED)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what the harness does itself pass uncounted."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take the place of what reaches files and SQLite, while inside; what was left open is closed afterwards."""
        kept: list[tuple[object, str, object]] = [(builtins, "open", builtins.open), (io, "open", io.open)]
        kept += [(os, name, getattr(os, name)) for name in REPLACED]
        kept += [(fcntl, name, getattr(fcntl, name)) for name in ("flock", "lockf")]
        self.install()
        try:
            with sqlite.controlled(lambda: self):
                yield
        finally:
            for owner, name, function in kept:
                setattr(owner, name, function)
            for connection in self._still_open():
                sqlite.close_quietly(connection)

    def connections(self) -> int:
        """Answer how many connections of SQLite are open, once what nobody holds any more is gone."""
        gc.collect()
        return len(self._still_open())

    def _still_open(self) -> list[sqlite3.Connection]:
        alive = [reference() for reference in self._connections]
        return [one for one in alive if one is not None and not getattr(one, "is_closed", False)]

    # -- `Touches`

    def touch(self, half: Callable[[], object] | None = None) -> None:
        """Be told of a touch of a file, a reading too: where it fails, ``half`` of it is done before."""
        if self._strikes():
            if half is not None:
                half()
            raise OSError(errno.EIO, "input/output error")

    def _strikes(self) -> bool:
        if self._held or self._times <= 0:
            return False
        self._left -= 1
        if self._left >= 0:
            return False
        self._times -= 1
        self.struck += 1
        return True

    def _open(self, file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as open
        if not set(mode) & set("wax+") and not isinstance(file, int) and self._is_ours(file):
            self.touch()
        return super()._open(file, mode, *more, **named)

    def _told(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def told(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the function it stands for
            if any(map(self._is_ours, arguments[:2])):
                self.touch()
            return function(*arguments, **named)

        return told

    def _is_ours(self, place: object) -> bool:
        """Tell whether a path, or the number of an open file, is of the storage."""
        if not self.storage or isinstance(place, bool) or not isinstance(place, int | str | bytes | os.PathLike):
            return False
        try:
            path = Path(f"/proc/self/fd/{place}").readlink() if isinstance(place, int) else Path(os.fsdecode(place))
        except (OSError, ValueError):  # no such file, or a system that does not tell
            return False
        return str(path.absolute()).startswith(self.storage)

    # -- `simulated.sqlite.Commands`

    def begin(self, command: str) -> None:
        """Be told of a store command: raises what SQLite raises where a disk fails."""
        self._waited = 0.0
        if not command.lstrip().upper().startswith("ROLLBACK") and self._strikes():
            raise sqlite.disk_failed(command)

    def wait(self, seconds: float) -> bool:
        """Wait a little for whoever has locked the store, of this process."""
        real_sleep(min(PAUSE, seconds))
        self._waited += PAUSE
        return self._waited < PATIENCE

    def opened(self, connection: sqlite3.Connection) -> None:
        """Remember a connection for as long as somebody holds it."""
        self._connections.append(weakref.ref(connection))
