"""The one place that speaks to Redis: a script run by its hash, within a time, with errors of our own."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from keyconform_reference.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLUSTER = "cluster+"


class ScriptClient:
    """Runs one script on the keys of one name.

    Nothing is sent twice: what a lost connection left undone is not known, and a report counted twice is worse
    than an error. A script that the server does not know was not run, and is sent whole. A connection that broke
    is replaced at the next call, so that a server that comes back is found by itself.
    """

    def __init__(self, url: str, key: str, script: str, seconds: float) -> None:
        self._key = key.encode()
        self._script = script.encode()
        self._sha = hashlib.sha1(self._script).hexdigest().encode()  # noqa: S324 - the name that Redis gives it
        self._seconds = seconds
        self._client = _connect(url)

    async def run(self, *arguments: bytes) -> Any:  # noqa: ANN401 - whatever the script answers
        """Answer what the script answers; raises ``StoreError`` by the deadline."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._run(arguments)
        except TimeoutError as error:
            message = f"Redis did not answer within {self._seconds:g} s"
            raise StoreError(message) from error
        except (RedisError, OSError) as error:
            message = f"Redis did not carry the call out: {type(error).__name__}"
            raise StoreError(message) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _run(self, arguments: Sequence[bytes]) -> object:
        try:
            return await self._client.execute_command("EVALSHA", self._sha, 1, self._key, *arguments)
        except NoScriptError:
            return await self._client.execute_command("EVAL", self._script, 1, self._key, *arguments)


def _connect(url: str) -> Any:  # noqa: ANN401 - two clients of one kind
    """Return a client that does not connect yet; ``cluster+redis://`` leads to a Redis Cluster."""
    try:
        if url.startswith(_CLUSTER):
            return RedisCluster.from_url(url.removeprefix(_CLUSTER), socket_timeout=None)
        return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=None)
    except (ValueError, RedisError) as error:
        message = "the store's URL must be like redis://host:6379/0, rediss://..., unix:///path or cluster+redis://host"
        raise ConfigurationError(message) from error
