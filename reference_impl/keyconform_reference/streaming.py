"""Passing on what a provider streams: which key, how it is counted, and when another one is tried."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, TypeAlias

from .errors import NoUsableKeyError, UpstreamError
from .reports import Failure, effects_of_stream

if TYPE_CHECKING:
    from .desk import Desk
    from .keys import Pool
    from .limits import Model
    from .reports import Lease

Ask: TypeAlias = Callable[[str, str], AsyncGenerator[str, None]]
"""Calls the provider with a key and a model, and yields its chunks; raises ``UpstreamError``."""


async def relayed(desk: Desk, pool: Pool, model_name: str | None, ask: Ask) -> AsyncGenerator[str, None]:
    """Yield the chunks of the first key that answers; once a chunk was passed on no other key is tried (002-C3)."""
    model = desk.models.resolve(model_name)  # refused before anything is taken
    tried: list[str] = []
    while True:
        lease = await _another(desk, pool, model, tried)
        chunks = _attempt(desk, lease, model, ask)
        async with contextlib.aclosing(chunks):
            try:
                first = await anext(chunks)
            except StopAsyncIteration:
                return
            except UpstreamError:
                if len(tried) > desk.max_retries or not await _is_any_left(desk, pool, tried):
                    raise
                continue
            yield first
            async for chunk in chunks:
                yield chunk
            return


async def _another(desk: Desk, pool: Pool, model: Model, tried: list[str]) -> Lease:
    lease = await desk.acquire(pool, model, avoid=tried[-1] if tried else None)
    if lease is None:
        raise NoUsableKeyError(pool, model.name)
    tried.append(lease.key)
    return lease


async def _is_any_left(desk: Desk, pool: Pool, tried: list[str]) -> bool:
    return len(set(tried)) < await desk.store.size(pool)


async def _attempt(desk: Desk, lease: Lease, model: Model, ask: Ask) -> AsyncGenerator[str, None]:
    """Yield the chunks of one key; however that ends, it is written down once and the lease is over."""
    failure, ended = None, False
    try:
        async with contextlib.aclosing(ask(lease.key, model.name)) as chunks:
            async for chunk in chunks:
                yield chunk
        ended = True
    except UpstreamError as error:
        failure = Failure(0, error.status, error.retry_after)
        raise
    finally:
        # Shielded: a consumer that is cancelled once more must not lose the key.
        await asyncio.shield(desk.conclude(lease, model, effects_of_stream(failure, desk.options, ended=ended)))
