"""The reference with its leases, and with all it can do that has no audited name: the target ``reference-lease``.

It shows how a backend of another shape is reached, too: one method for each operation it has.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

import httpx

from keyconform_reference import Lease as Held
from keyconform_reference import Options, UpstreamError
from keyconform_reference.asking import HttpxProvider
from keyconform_reference.factory import manager_of
from keyconform_reference.reports import Outcome
from keyconform_reference.settings import Settings, is_secret
from keyconform_reference.stores import MemoryStore
from pytest_keyconform.adapters.base import Adapter, Lease
from pytest_keyconform.spec.policies import Policies

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from pytest_keyconform.spec.pool import Pool

URL = "https://provider.invalid/v1/stream"
ERROR_TYPES = {Outcome.QUOTA.value: "429", Outcome.AUTH.value: "permanent"}


class ReferenceAdapter(Adapter):
    """A `KeyManager` of the reference whose keys are leased."""

    options: ClassVar[Options] = Options(tenure="lease", lease_ttl=600.0)
    policies: ClassVar[Policies] = Policies(tenure="lease", lease_ttl=600.0, unknown_key="ignore")

    def __init__(self, pool: Pool) -> None:
        """Make a manager of a pool, not yet open."""
        super().__init__(pool)
        self._settings = Settings()
        self._client: httpx.AsyncClient | None = None
        self._manager = manager_of(pool, self.options, MemoryStore)

    async def open(self) -> None:
        """Open it."""
        await self._manager.init()

    async def close(self) -> None:
        """Close it."""
        await self._manager.shutdown()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def acquire(self, model: str | None, pool: str) -> Lease | str:
        """Take a key for exclusive use; the sentinel where there is none."""
        lease = await self._manager.acquire_lease(model, pool == "vertex")
        return "" if lease is None else Lease(lease.key, handle=lease)

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        held = _held(lease)
        if held is not None:
            await self._manager.release(held)

    async def next_key(self, pool: str) -> str:
        """Answer the next key of the rotation, usable or not."""
        return await self._manager.get_next_key(pool == "vertex")

    async def record(self, lease: Lease, model: str | None, pool: str, tokens: int, outcome: str) -> bool:
        """Count a call."""
        failed, kind = outcome != "success", ERROR_TYPES.get(outcome)
        return await self._manager.update_usage(
            model, lease.key, pool == "vertex", tokens, failed, kind, lease=_held(lease)
        )

    async def fail(
        self,
        lease: Lease,
        model: str | None,
        pool: str,
        retries: int,
        status: int | None,
        retry_after: float | None = None,
    ) -> str:
        """Report a failed call, and answer another key."""
        return await self._manager.handle_api_failure(
            lease.key, model, retries, pool == "vertex", status, retry_after=retry_after, lease=_held(lease)
        )

    async def usage(self, key: str, model: str | None) -> dict[str, Any] | None:
        """Answer what a key was used for."""
        return await self._manager.get_usage_stats(key, model)

    async def reset_usage(self) -> None:
        """Zero the counters."""
        await self._manager.reset_usage()

    async def failures(self, key: str, pool: str) -> int:
        """Count the strikes of a key."""
        count = self._manager.get_vertex_fail_count if pool == "vertex" else self._manager.get_fail_count
        return await count(key)

    async def is_valid(self, key: str, pool: str) -> bool:
        """Tell whether a key is in service."""
        tells = self._manager.is_vertex_key_valid if pool == "vertex" else self._manager.is_key_valid
        return await tells(key)

    async def reset(self, key: str) -> bool:
        """Restore a key."""
        return await self._manager.reset_key_failure_count(key)

    async def reset_all(self) -> None:
        """Restore all keys."""
        await self._manager.reset_failure_counts()
        await self._manager.reset_vertex_failure_counts()

    async def reactivate(self, key: str, model: str | None) -> bool:
        """Restore a key, or lift its mark for one model."""
        return await self._manager.reactivate_key(key, model)

    async def status(self, pool: str) -> dict[str, dict[str, int]]:
        """Answer the keys of a pool by how they stand."""
        tells = self._manager.get_vertex_keys_by_status if pool == "vertex" else self._manager.get_keys_by_status
        return await tells()

    async def all_keys(self) -> dict[str, dict[str, int]]:
        """Answer the regular keys by how they stand, and all of them."""
        return await self._manager.get_all_keys_with_fail_count()

    async def state(self) -> dict[str, Any]:
        """Answer what a dashboard shows."""
        return await self._manager.get_state()

    async def reload(self, api_keys: Sequence[str], vertex_api_keys: Sequence[str]) -> None:
        """Serve these keys from now on."""
        await self._manager.reinitialize(api_keys, vertex_api_keys)

    async def tick(self) -> None:
        """Drop what has no effect any more."""
        await self._manager.run_maintenance()

    async def health(self) -> bool:
        """Tell whether it can serve."""
        return await self._manager.health()

    async def call(self, model: str | None, pool: str, send: Callable[[str], Awaitable[str]]) -> str:
        """Call the upstream with one key after the other."""

        async def told(key: str) -> str:
            try:
                return await send(key)
            except httpx.HTTPStatusError as error:
                raise UpstreamError(error.response.status_code) from error

        return await self._manager.call(told, model, pool == "vertex")

    async def stream(self, model: str | None, pool: str) -> AsyncIterator[str]:
        """Pass on what the upstream streams."""
        if self._client is None:
            self._client = httpx.AsyncClient()
        ask = HttpxProvider(self._client, URL)
        async with contextlib.aclosing(self._manager.stream(model, pool == "vertex", ask=ask)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def bulk(self, keys: Sequence[str]) -> dict[str, Exception | None]:
        """Restore many keys."""
        return await self._manager.restore_keys(keys)

    async def migrate(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Carry over what an earlier version has counted."""
        await self._manager.migrate(rows)

    def configure(self, settings: Mapping[str, object]) -> dict[str, object]:
        """Take settings over, under one name each."""
        return self._settings.update(settings)

    def is_secret(self, name: str) -> bool:
        """Tell whether a setting must not be shown."""
        return is_secret(name)


def _held(lease: Lease) -> Held | None:
    return lease.handle if isinstance(lease.handle, Held) else None
