"""PostgreSQL by asyncpg: one connection for each store, on which its transactions follow each other."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

from keyconform_reference.errors import ConfigurationError

from .library import AsyncEngine, DBAPIError, NullPool, await_only, create_async_engine
from .tables import METADATA

_driver: Any = None  # what lacks is said where it is needed: the other databases do without
with contextlib.suppress(ImportError):
    import asyncpg  # type: ignore[import-untyped]  # it has no types

    _driver = asyncpg

if TYPE_CHECKING:
    from collections.abc import Callable

    from .library import AsyncConnection, Connection

T = TypeVar("T")

_MAKING = 7_236_011
"""The lock under which tables are made."""
_TRIES = 2
_SCHEMES = ("postgres", "postgresql", "postgresql+asyncpg")


class Postgres:
    """A database by its URL (``postgresql://user@host/name``); ``space`` tells apart the managers in it."""

    def __init__(self, url: str, space: str = "default") -> None:
        if _driver is None:
            message = "the PostgreSQL store needs asyncpg: install pytest-keyconform[postgres]"
            raise ConfigurationError(message)
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in _SCHEMES:
            message = "a PostgreSQL store is named by a URL such as postgresql://user@host/name"
            raise ConfigurationError(message)
        self.errors: tuple[type[BaseException], ...] = (
            DBAPIError,
            OSError,
            _driver.PostgresError,
            _driver.InterfaceError,
            ValueError,
        )
        self.space = f"{space}/"
        self._url = f"postgresql+asyncpg://{rest}"
        self._lock = int.from_bytes(hashlib.sha256(self.space.encode()).digest()[:8], "big", signed=True)
        self._engine: AsyncEngine | None = None
        self._connection: AsyncConnection | None = None
        self._turn = asyncio.Lock()

    async def open(self, seconds: float) -> None:
        """Connect, and make the tables where they are not there; many may do so at once."""
        self._turn = asyncio.Lock()
        self._engine = _engine(self._url, seconds)
        await self._run(_make, f"BEGIN; SELECT pg_advisory_xact_lock({_MAKING})")

    async def close(self) -> None:
        """Close the connection."""
        self._engine = None
        async with self._turn:
            await self._drop()

    async def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """Run a transaction: one that writes alone with the rows of this space, another one on one moment."""
        alone = f"BEGIN; SELECT pg_advisory_xact_lock({self._lock})"
        return await self._run(work, alone if writes else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    async def _run(self, work: Callable[[Connection], T], begin: str) -> T:
        async with self._turn:
            for left in reversed(range(_TRIES)):
                committing: list[bool] = []
                try:
                    connection = await self._connected()
                    return await connection.run_sync(_transaction, work, begin, committing)
                except self.errors:
                    # What was lost before it was to be committed has not happened, and can be done anew. An idle
                    # connection is found to be lost just so.
                    lost = await self._is_lost()
                    if not lost or committing or not left:
                        raise
                except BaseException:  # nobody knows what the connection is in the midst of
                    await self._drop()
                    raise
        message = "unreachable: the last try answers or raises"
        raise AssertionError(message)

    async def _connected(self) -> AsyncConnection:
        if self._engine is None:
            message = "the database is closed"
            raise ConnectionError(message)
        if self._connection is None:
            self._connection = await self._engine.connect()
        return self._connection

    async def _is_lost(self) -> bool:
        if self._connection is None:
            return True
        if self._connection.invalidated:
            await self._drop()
            return True
        raw = (await self._connection.get_raw_connection()).driver_connection
        if raw is None or raw.is_closed():
            await self._drop()
            return True
        return False

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.invalidate()
            with contextlib.suppress(Exception):
                await connection.close()


@functools.lru_cache(maxsize=32)
def _engine(url: str, seconds: float) -> AsyncEngine:
    """Return what compiles statements and makes connections; it keeps none, so that any event loop may use it."""
    return create_async_engine(
        url,
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",  # transactions are begun by hand, together with their lock
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,
        hide_parameters=True,
        connect_args={"timeout": seconds, "command_timeout": seconds, "server_settings": {"jit": "off"}},
    )


def _transaction(connection: Connection, work: Callable[[Connection], Any], begin: str, committing: list[bool]) -> Any:  # noqa: ANN401 - whatever the work answers
    raw: Any = connection.connection.driver_connection
    try:
        await_only(raw.execute(begin))
        answer = work(connection)
        committing.append(True)
        await_only(raw.execute("COMMIT"))
    except Exception:
        if not raw.is_closed():
            await_only(raw.execute("ROLLBACK"))
        raise
    return answer


def _make(connection: Connection) -> None:
    # Asking for each table takes longer than all the rest of an opening.
    if connection.exec_driver_sql("SELECT to_regclass('keyconform_clock') IS NULL").scalar_one():
        METADATA.create_all(connection)
