"""Calling the provider with one key after the other: what each failure means, and when to stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from .errors import NoUsableKeyError, UpstreamError
from .reports import Failure, effects_of_stream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .desk import Desk
    from .keys import Pool
    from .limits import Model
    from .reports import Lease

T = TypeVar("T")


async def called(desk: Desk, pool: Pool, model_name: str | None, send: Callable[[str], Awaitable[T]]) -> T:
    """Return what ``send(key)`` answers for the first key that works; each key is tried once (000-28, 004-2).

    An ``UpstreamError`` is charged to the key that met it, and the last one is raised once ``max_retries`` is reached
    or no other key is usable. What else ``send`` raises is the caller's own and takes no key out (004-3). Raises
    ``NoUsableKeyError`` where no key could be tried, and ``TimeoutError`` at ``Options.deadline`` (004-6).
    """
    model = desk.models.resolve(model_name)  # refused before anything is taken
    tried: set[str] = set()
    last: UpstreamError | None = None
    async with asyncio.timeout(desk.options.deadline):
        while len(tried) <= desk.max_retries:
            lease = await _untried(desk, pool, model, tried)
            if lease is None:
                break
            tried.add(lease.key)
            try:
                return await _attempt(desk, lease, model, send)
            except UpstreamError as error:
                last = error
    raise last or NoUsableKeyError(pool, model.name)


async def _untried(desk: Desk, pool: Pool, model: Model, tried: set[str]) -> Lease | None:
    """Return a usable key that was not tried; None if there is none. No call waits for one."""
    passed: list[Lease] = []
    try:
        for _ in range(await desk.store.size(pool) if tried else 1):
            lease = await desk.store.take(pool, model)
            if lease is None or lease.key not in tried:
                return lease
            passed.append(lease)
        return None
    finally:
        for lease in passed:  # not before: what is given back at once may be the next choice again
            await desk.store.give_back(lease)


async def _attempt(desk: Desk, lease: Lease, model: Model, send: Callable[[str], Awaitable[T]]) -> T:
    """Call with one key; however that ends, it is written down once and the lease is over."""
    failure, ended = None, False
    try:
        answer = await send(lease.key)
        ended = True
    except UpstreamError as error:
        failure = Failure(0, error.status, error.retry_after)
        raise
    finally:
        # Shielded: a caller that is cancelled once more must not lose the key.
        await asyncio.shield(desk.conclude(lease, model, effects_of_stream(failure, desk.options, ended=ended)))
    return answer
