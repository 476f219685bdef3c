"""SQLite by aiosqlite: one connection in one thread, where a whole transaction runs without coming back in between.

SQLAlchemy's asyncio engine goes to the thread and back four times for each statement; a step has several. So the
statements are Core's, on a synchronous engine over the connection that lives in aiosqlite's thread.
"""

from __future__ import annotations

import functools
import os
import secrets
import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from keyconform_reference.errors import ConfigurationError, StoreError

from .library import CreateIndex, CreateTable, NullPool, SQLAlchemyError, create_engine
from .tables import METADATA

_driver: Any = None  # what lacks is said where it is needed: the other databases do without
with suppress(ImportError):
    import aiosqlite

    _driver = aiosqlite

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from .library import Connection, Engine

T = TypeVar("T")

_CHECKED = 16 * 2**20
"""Up to so many bytes a file is checked as a whole when it is opened."""
_ROWS = 64
_LEAVING = 1.0
_PATIENCE = 0.8
"""The part of a step's deadline that SQLite may wait for the lock of another process."""


class Sqlite:
    """A file in WAL mode, in a folder that is made where it is missing.

    Only its owner may read it: it holds the keys.
    """

    errors: tuple[type[BaseException], ...] = (SQLAlchemyError, sqlite3.Error, OSError, ValueError)
    space = ""

    def __init__(self, folder: Path) -> None:
        if _driver is None:
            message = "the SQLite store needs aiosqlite: install pytest-keyconform[sqlite]"
            raise ConfigurationError(message)
        self._link_by = _driver.Connection
        self._file = folder / "keyconform.sqlite"
        self._link: aiosqlite.Connection | None = None
        self._connection: Connection | None = None

    async def open(self, seconds: float) -> None:
        """Open the file, in a thread of its own."""
        link = self._link_by(functools.partial(_connected, self._file, seconds * _PATIENCE), _ROWS)
        link._thread.daemon = True  # noqa: SLF001 - a forgotten manager must not keep the interpreter from ending
        try:
            self._link = await link
        except BaseException:
            link._thread.join(_LEAVING)  # noqa: SLF001 - it would tell a loop of its end that may be closed by then
            raise
        self._connection = await _called(link, _entered, link)

    async def close(self) -> None:
        """Close the connection and end its thread."""
        link, connection = self._link, self._connection
        self._link = self._connection = None
        if link is None:
            return
        if connection is not None:
            await _called(link, connection.close)
        await link.close()
        link._thread.join(_LEAVING)  # noqa: SLF001 - it answers just before it ends

    async def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """Run a transaction."""
        if self._link is None or self._connection is None:
            message = "the database is closed"
            raise sqlite3.ProgrammingError(message)
        return await _called(self._link, _transaction, self._connection, work, "BEGIN IMMEDIATE" if writes else "BEGIN")


async def _called(link: aiosqlite.Connection, function: Callable[..., T], *arguments: object) -> T:
    """Call a function in the thread of a connection."""
    call: Callable[..., Awaitable[T]] = link._execute  # noqa: SLF001 - there is no public way
    return await call(function, *arguments)


def _connected(file: Path, patience: float) -> sqlite3.Connection:
    """Open the file. It appears complete, so that no process meets a half-made one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        _make(file)
    size = file.stat().st_size
    if not size:
        message = f"{file.name} is empty: it was damaged, and what it held is lost; restore or remove it"
        raise StoreError(message)
    connection = sqlite3.connect(file, isolation_level=None, timeout=patience)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        sound = size > _CHECKED or connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except BaseException:
        connection.close()
        raise
    if not sound:
        connection.close()
        message = f"{file.name} is damaged; restore or remove it"
        raise StoreError(message)
    return connection


def _make(file: Path) -> None:
    new = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(new, isolation_level=None)
    try:
        connection.executescript(f"PRAGMA journal_mode=WAL; BEGIN; {_tables()} COMMIT")
    finally:
        connection.close()
    with suppress(FileExistsError):  # another process was first
        os.link(new, file)
    new.unlink()


@functools.cache
def _tables() -> str:
    dialect = _engine().dialect
    tables = METADATA.sorted_tables
    indexes = sorted((index for table in tables for index in table.indexes), key=lambda index: str(index.name))
    statements: list[CreateTable | CreateIndex] = [*map(CreateTable, tables), *map(CreateIndex, indexes)]
    return " ".join(f"{statement.compile(dialect=dialect)};" for statement in statements)


_LENT = threading.local()


@functools.cache
def _engine() -> Engine:
    """Return what compiles statements and runs them on the connection that the thread has lent.

    It holds no connection of its own; one for all, so that each statement is compiled once.
    """
    return create_engine(
        "sqlite://",
        creator=lambda: _LENT.connection,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",  # transactions are begun by hand: SQLite has several kinds
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        hide_parameters=True,
    )


def _entered(link: aiosqlite.Connection) -> Connection:
    _LENT.connection = link._conn  # noqa: SLF001 - the connection that lives in this thread
    return _engine().connect()


def _transaction(connection: Connection, work: Callable[[Connection], T], begin: str) -> T:
    raw = cast("sqlite3.Connection", connection.connection.dbapi_connection)
    # The write lock is taken at once: a read lock that is turned into one may fail.
    raw.execute(begin)
    try:
        answer = work(connection)
        raw.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            raw.execute("ROLLBACK")
        raise
    return answer
