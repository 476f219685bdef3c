"""SQLite under control: connections that tell of each command, wait in virtual time, and can crash.

Several connections of one process exclude each other as those of several processes do, so that instances in one
interpreter meet the same locks. What they do not share is the wait: a connection that finds the database locked gives
the turn away until another one has issued a command.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from pytest_keyconform.engine.threads.turns import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_keyconform.engine.threads.turns import Turns

T = TypeVar("T")

USUAL_TIMEOUT = 5.0  # seconds: what `sqlite3.connect` waits for a lock if nothing is said
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_RECOVERY, sqlite3.SQLITE_LOCKED})
_TIMEOUT = re.compile(r"\s*PRAGMA\s+(?:\w+\.)?busy_timeout\s*[=(]\s*(\d+)\s*\)?\s*;?\s*", re.IGNORECASE)
_POSITIONAL = ("detect_types", "isolation_level", "check_same_thread", "factory", "cached_statements", "uri")
real_connect = sqlite3.connect


class Crashed(Ended):
    """The instance is dead: what it still does reaches no store. No Exception: a backend must not handle it."""


class Commands(Protocol):
    """What is told of store commands, by the thread of the instance that issues them."""

    def begin(self, command: str) -> None:
        """Be told that a command comes next: a choice point. Raises `Crashed` where the instance dies here."""

    def check(self) -> None:
        """Raise `Crashed` where the instance is dead."""

    def wait(self, seconds: float) -> bool:
        """Give the turn away until another instance has issued a command; False: ``seconds`` are over."""

    def opened(self, connection: sqlite3.Connection) -> None:
        """Be told of a connection, to close it when its instance dies."""


class Issuing(Protocol):
    """Counts the store commands of an execution."""

    @property
    def issued(self) -> int:
        """How many there were."""


class NextCommand:
    """Waits until anybody has issued a store command."""

    def __init__(self, store: Issuing) -> None:
        self._store = store
        self._since = store.issued

    def open_to(self, number: int) -> bool:  # noqa: ARG002 - as asked of what is awaited
        """Tell whether there was one."""
        return self._store.issued > self._since

    def told(self) -> str:
        """Say what it is."""
        return "the store, which another connection has locked"


class SharedStore:
    """The connections of threads of one process: each command is a choice point, and who finds a lock gives way."""

    def __init__(self, turns: Turns) -> None:
        self.issued = 0
        self._turns = turns

    def current(self) -> SharedStore | None:
        """Answer this for a thread whose turn it is; None for one of the test runner's."""
        return self if self._turns.mine() else None

    def begin(self, command: str) -> None:  # noqa: ARG002 - told, and not needed
        """Stand before a store command."""
        self._turns.point()
        self.issued += 1

    def check(self) -> None:
        """Let it be: a thread does not die with its store."""

    def wait(self, seconds: float) -> bool:
        """Give the turn away until a command was issued; False: ``seconds`` are over."""
        return self._turns.wait(NextCommand(self), seconds)

    def opened(self, connection: sqlite3.Connection) -> None:
        """Let it be: who opened it closes it."""


class _Waiting:
    """What a connection and its cursors share: how a command is issued."""

    def __init__(self, commands: Commands, timeout: float) -> None:
        self.commands = commands
        self.timeout = timeout

    def issue(self, text: str, command: Callable[[], T]) -> T:
        """Issue a command: tell of it, and try it again for as long as another one holds the lock."""
        self.commands.begin(text)
        left = self.timeout
        while True:
            try:
                return command()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode not in _BUSY or left <= 0:
                    raise
                if not self.commands.wait(left):
                    left = 0.0  # once more, as SQLite does at the end

    def pragma(self, text: object) -> bool:
        """Take a time-out that a statement sets, which SQLite itself would wait for in real time."""
        found = _TIMEOUT.fullmatch(text) if isinstance(text, str) else None
        if found is not None:
            self.timeout = int(found[1]) / 1000
        return found is not None


def disk_failed(command: str) -> sqlite3.OperationalError:
    """Answer what SQLite raises where the disk fails at a command."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
    error.add_note(f"at {command.split(maxsplit=1)[0].upper() if command.strip() else 'a command'}")
    return error


@contextmanager
def undone(connection: Any) -> Iterator[None]:  # noqa: ANN401 - one of ours
    """Undo a transaction whose end is made to fail, as SQLite itself does where the disk fails at a commit."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if {"at COMMIT", "at END"}.intersection(getattr(error, "__notes__", ())):
            sqlite3.Connection.rollback(connection)
        raise


class _Cursor:
    """A cursor whose commands are told of; mixed into whatever class the backend asks for."""

    connection: Any

    def _issue(self, command: Callable[..., T], text: object, *arguments: object) -> T:
        waiting: _Waiting = self.connection.waiting
        if waiting.pragma(text):
            text, arguments = "PRAGMA busy_timeout", ()
        with undone(self.connection):
            return waiting.issue(str(text), lambda: command(text, *arguments))

    def execute(self, sql: str, *arguments: object) -> Any:  # noqa: ANN401 - sqlite3's own
        return self._issue(super().execute, sql, *arguments)  # type: ignore[misc] # the class it is mixed into has it

    def executemany(self, sql: str, *arguments: object) -> Any:  # noqa: ANN401 - sqlite3's own
        return self._issue(super().executemany, sql, *arguments)  # type: ignore[misc] # likewise

    def executescript(self, sql: str) -> Any:  # noqa: ANN401 - sqlite3's own
        return self._issue(super().executescript, sql)  # type: ignore[misc] # likewise


class _Connection:
    """A connection whose commands are told of; what its C code would call past these methods is routed here."""

    waiting: _Waiting
    in_transaction: bool
    is_closed = False

    def cursor(self, factory: type[sqlite3.Cursor] = sqlite3.Cursor) -> Any:  # noqa: ANN401 - sqlite3's own
        self.waiting.commands.check()
        return super().cursor(_mixed(_Cursor, factory))  # type: ignore[misc] # the class it is mixed into has it

    def execute(self, sql: str, *arguments: object) -> Any:  # noqa: ANN401 - sqlite3's own
        return self.cursor().execute(sql, *arguments)

    def executemany(self, sql: str, *arguments: object) -> Any:  # noqa: ANN401 - sqlite3's own
        return self.cursor().executemany(sql, *arguments)

    def executescript(self, sql: str) -> Any:  # noqa: ANN401 - sqlite3's own
        return self.cursor().executescript(sql)

    def close(self) -> None:
        super().close()  # type: ignore[misc] # the class it is mixed into has it
        self.is_closed = True

    def commit(self) -> None:
        self.waiting.commands.check()
        if self.in_transaction:
            with undone(self):
                self.waiting.issue("COMMIT", super().commit)  # type: ignore[misc] # the class it is mixed into has it

    def rollback(self) -> None:
        self.waiting.commands.check()
        if self.in_transaction:
            self.waiting.issue("ROLLBACK", super().rollback)  # type: ignore[misc] # likewise

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self.rollback()
            return
        try:
            self.commit()
        except Exception:  # not `Crashed`: who is dead rolls nothing back
            self.rollback()
            raise


@functools.cache
def _mixed(mixin: type, base: type) -> Any:  # noqa: ANN401 - a class that only exists once it is asked for
    return type(f"Controlled{base.__name__}", (mixin, base), {})


def connecting(commands: Callable[[], Commands | None]) -> Callable[..., sqlite3.Connection]:
    """Answer what stands for `sqlite3.connect`; ``commands`` answers whom to tell, None: nobody, as ever."""

    @functools.wraps(real_connect)
    def connect(database: Any, timeout: float = USUAL_TIMEOUT, *more: Any, **named: Any) -> sqlite3.Connection:  # noqa: ANN401 - sqlite3's own
        told = commands()
        named |= dict(zip(_POSITIONAL, more, strict=False))
        if told is None:
            return cast("sqlite3.Connection", real_connect(database, timeout=timeout, **named))
        kind = _mixed(_Connection, named.pop("factory", sqlite3.Connection))
        waiting = _Waiting(told, timeout)
        connection: Any = waiting.issue("connect", lambda: real_connect(database, timeout=0.0, factory=kind, **named))
        connection.waiting = waiting
        told.opened(connection)
        return cast("sqlite3.Connection", connection)

    return connect


@contextmanager
def controlled(commands: Callable[[], Commands | None]) -> Iterator[None]:
    """Let connections be controlled that are made while inside."""
    with replaced(connecting(commands)):
        yield


@contextmanager
def replaced(stand_in: Callable[..., sqlite3.Connection]) -> Iterator[None]:
    """Replace `sqlite3.connect` wherever a module holds it, while inside."""
    places = _places(len(sys.modules))
    try:
        for module, name in places:
            module[name] = stand_in
        yield
    finally:
        for module, name in places:
            module[name] = real_connect


@functools.lru_cache(maxsize=1)
def _places(modules: int) -> tuple[tuple[dict[str, Any], str], ...]:  # noqa: ARG001 - found anew once there are more
    """Answer the names under which modules hold `sqlite3.connect`."""
    found = []
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", None)
        if isinstance(held, dict) and module is not sys.modules[__name__]:
            found += [(held, name) for name, value in list(held.items()) if value is real_connect]
    return tuple(found)


def close_quietly(connection: sqlite3.Connection) -> None:
    """Close the connection of a dead instance: what it had not committed is gone."""
    with suppress(sqlite3.Error):
        sqlite3.Connection.close(connection)
