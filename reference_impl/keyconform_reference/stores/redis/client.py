"""The one place that speaks to Redis: scripts run by their hash, within a time, with errors of our own.

It works on the connections of redis-py and not on its client, for three things that the client does not give: an
answer can still be read after the caller was cancelled, nothing is ever sent twice, and no time is spent between.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING, Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, NoScriptError, RedisError, ResponseError

from keyconform_reference.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    Undo = Callable[[Any], Awaitable[object]]

CONNECTIONS = 64


class SetBack(Exception):
    """The clock of the caller was set back: what is kept has to be moved first."""


class Script:
    """A text of Lua and the name that Redis gives it."""

    __slots__ = ("by_name", "whole")

    def __init__(self, text: str) -> None:
        name = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self.by_name = (b"EVALSHA", name.encode(), b"1")
        self.whole = (b"EVAL", text.encode(), b"1")


class ScriptClient:
    """Runs scripts on the keys of one name, which one node of a Cluster holds.

    What a lost connection left undone is not known, and a report counted twice is worse than an error: only what was
    certainly not run is sent again, a script that the server does not have or a call that belongs to another node. A
    connection that broke is replaced at the next call, so that a server that comes back is found by itself.
    """

    def __init__(self, url: str, key: str, seconds: float) -> None:
        self._key = key.encode()
        self._seconds = seconds
        self._seed = self._pool = _pool(url)
        self._idle: list[Any] = []
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._closed = False

    async def run(self, script: Script, *arguments: bytes, undo: Undo | None = None) -> Any:  # noqa: ANN401 - the script's
        """Answer what the script answers; raises ``StoreError`` by the deadline, and ``SetBack``.

        A call that is cancelled once it is sent ends with its answer all the same, which is handed to ``undo``.
        """
        words = (self._key, *arguments)
        try:
            async with asyncio.timeout(self._seconds) as limit:
                try:
                    return await self._asked(packed(*script.by_name, *words), limit, undo)
                except MovedError as error:
                    self._pool = _elsewhere(self._seed, error)
                    await self._drop_idle()
                except NoScriptError:
                    pass
                return await self._asked(packed(*script.whole, *words), limit, undo)
        except TimeoutError as error:
            message = f"Redis did not answer within {self._seconds:g} s"
            raise StoreError(message) from error
        except (RedisError, OSError) as error:
            raise await self._explained(error) from error

    async def close(self) -> None:
        """Close every connection, those in use after their call."""
        self._closed = True
        await self._drop_idle()

    async def _asked(self, command: bytes, limit: asyncio.Timeout, undo: Undo | None) -> object:
        connection = await self._lent()
        try:
            await connection.send_packed_command(command, check_health=False)
            answer = await connection.read_response(disconnect_on_error=False)
        except ResponseError:
            await self._returned(connection)
            raise
        except asyncio.CancelledError:
            if limit.expired():
                await self._returned(connection, broken=True)
            else:
                await to_its_end(self._late(connection, undo))
            raise
        except BaseException:
            await self._returned(connection, broken=True)
            raise
        await self._returned(connection)
        return answer

    async def _late(self, connection: Any, undo: Undo | None) -> None:  # noqa: ANN401 - one of redis-py
        """Read the answer that nobody waits for any more, and undo what was done."""
        try:
            async with asyncio.timeout(self._seconds):
                answer = await connection.read_response(disconnect_on_error=False)
        except (RedisError, OSError, TimeoutError):
            await self._returned(connection, broken=True)
            return
        # Given back before it is needed again: as many may be cancelled at once as there are connections.
        await self._returned(connection)
        if undo is not None:
            with contextlib.suppress(StoreError):
                await undo(answer)

    async def _lent(self) -> Any:  # noqa: ANN401 - one of redis-py
        await self._free.acquire()
        try:
            return await self._connection()
        except BaseException:
            self._free.release()
            raise

    async def _returned(self, connection: Any, *, broken: bool = False) -> None:  # noqa: ANN401 - one of redis-py
        self._free.release()
        if broken or self._closed:
            await self._drop(connection)
        else:
            self._idle.append(connection)

    async def _connection(self) -> Any:  # noqa: ANN401 - one of redis-py
        """Return a connection that is there: one that was used before, unless its other end has gone."""
        connection = self._idle.pop() if self._idle else self._pool.make_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.connect()
            try:
                gone = await (getattr(connection, "can_read", None) or connection.can_read_destructive)()
            except (RedisError, OSError):
                gone = True
            if gone:
                await self._drop(connection)
                await connection.connect()
        except BaseException:
            await self._drop(connection)
            raise
        return connection

    async def _drop(self, connection: Any) -> None:  # noqa: ANN401 - one of redis-py
        with contextlib.suppress(RedisError, OSError):
            await connection.disconnect(nowait=True)

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await self._drop(connection)

    async def _explained(self, error: Exception) -> Exception:
        """Return our own error; what broke one connection may have broken all of them."""
        if isinstance(error, ResponseError) and "SETBACK" in str(error):
            return SetBack()
        if not isinstance(error, ResponseError):
            self._pool = self._seed
            await self._drop_idle()
        return StoreError(f"Redis did not carry the call out: {type(error).__name__}")


def packed(*words: bytes) -> bytes:
    """Return a command as it is sent."""
    return b"*%d\r\n%b" % (len(words), b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))


async def to_its_end(call: Coroutine[Any, Any, None]) -> None:
    """Await a call that ends in time by itself, whoever cancels the caller meanwhile."""
    task = asyncio.ensure_future(call)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((task,))
    task.result()


def _pool(url: str) -> ConnectionPool:
    """Return what makes connections, none of which tries anything again or has a time of its own."""
    try:
        return ConnectionPool.from_url(
            url, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=None, protocol=2
        )
    except (ValueError, RedisError) as error:
        message = "the store's URL must be like redis://host:6379/0, rediss://host:6379/0 or unix:///path"
        raise ConfigurationError(message) from error


def _elsewhere(seed: ConnectionPool, error: MovedError) -> ConnectionPool:
    """Return what connects to the node of a Cluster that holds the keys."""
    told = {**seed.connection_kwargs, "host": error.host, "port": error.port}
    return ConnectionPool(connection_class=seed.connection_class, **told)
