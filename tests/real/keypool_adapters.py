"""open-keypool as its users would bring it to the harness: one adapter for its asynchronous pool, one for the other.

It raises `AllKeysExhaustedError` when nothing is left, counts no usage, rests a key for ``cooldown_seconds`` after one
failure, and takes a success as the end of that. Its constructor refuses an empty list by ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from open_keypool import AllKeysExhaustedError, AsyncKeyPool, KeyPool

from pytest_keyconform import Adapter

if TYPE_CHECKING:
    from pytest_keyconform import Lease, Pool

COOLDOWN = 60
POLICIES = {
    "exhaustion": "typed-error",
    "errors": (AllKeysExhaustedError,),
    "counted_on": "none",
    "failures": "immediate",
    "success": "clears",
    "quota_recovery": COOLDOWN,
    "strike_recovery": COOLDOWN,
    "empty_pools": "refuse",
}
STATUSES = {"success": 200, "quota": 429, "auth": 401, "request": 400, "transient": 503}


class AsyncPool(Adapter):
    """The asynchronous pool: one pool of keys, no models."""

    policies: ClassVar[dict[str, Any]] = POLICIES

    def __init__(self, pool: Pool) -> None:
        """Make the pool of the regular keys."""
        self._pool = AsyncKeyPool(keys=list(pool.api_keys), max_retries=pool.max_retries, cooldown_seconds=COOLDOWN)

    async def acquire(self) -> str:
        """Ask for a key."""
        return await self._pool.get_key()

    async def record(self, lease: Lease, outcome: str) -> None:
        """Report a call, as the response it had."""
        await self._pool.handle_response(lease.key, STATUSES[outcome])

    async def fail(self, lease: Lease, status: int | None) -> str:
        """Report a failed response, or that none came, and ask for another key."""
        if status is None:
            await self._pool.mark_rate_limited(lease.key)
        else:
            await self._pool.handle_response(lease.key, status)
        return await self._pool.get_key()


class SyncPool(Adapter):
    """The synchronous pool, the same way."""

    policies: ClassVar[dict[str, Any]] = POLICIES

    def __init__(self, pool: Pool) -> None:
        """Make the pool of the regular keys."""
        self._pool = KeyPool(keys=list(pool.api_keys), max_retries=pool.max_retries, cooldown_seconds=COOLDOWN)

    def acquire(self) -> str:
        """Ask for a key."""
        return self._pool.get_key()

    def record(self, lease: Lease, outcome: str) -> None:
        """Report a call, as the response it had."""
        self._pool.handle_response(lease.key, STATUSES[outcome])

    def fail(self, lease: Lease, status: int | None) -> str:
        """Report a failed response, or that none came, and ask for another key."""
        if status is None:
            self._pool.mark_rate_limited(lease.key)
        else:
            self._pool.handle_response(lease.key, status)
        return self._pool.get_key()
