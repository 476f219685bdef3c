"""The reference, asked to stream: its audited surface has no such operation, so an adapter tells which it is."""

from __future__ import annotations

import contextlib

import httpx

from keyconform_reference import KeyManager, Lease, Options
from keyconform_reference.asking import HttpxProvider
from pytest_keyconform import Adapter
from pytest_keyconform import Lease as Held
from twins.streaming import URL, context


class ReferenceStreams(Adapter):
    """The reference as it is deployed, one client for all streams."""

    options = Options()

    def __init__(self, pool):
        super().__init__(pool)
        self._manager = KeyManager(
            pool.api_keys,
            pool.vertex_api_keys,
            limits=pool.limits,
            default_model=pool.default_model,
            options=self.options,
            max_failures=pool.max_failures,
            max_retries=pool.max_retries,
        )

    async def open(self) -> None:
        self._client = httpx.AsyncClient(verify=context())
        await self._manager.init()

    async def close(self) -> None:
        await self._manager.shutdown()
        await self._client.aclose()

    async def acquire(self, model, pool):
        lease = await self._manager.acquire_lease(model, pool == "vertex")
        return Held(lease.key, handle=lease) if isinstance(lease, Lease) else self.options.sentinel

    async def release(self, lease) -> None:
        if lease.handle is not None:
            await self._manager.release(lease.handle)

    async def usage(self, key, model):
        return await self._manager.get_usage_stats(key, model)

    async def failures(self, key, pool):
        vertex = pool == "vertex"
        count = self._manager.get_vertex_fail_count if vertex else self._manager.get_fail_count
        return await count(key)

    async def is_valid(self, key, pool):
        vertex = pool == "vertex"
        return await (self._manager.is_vertex_key_valid if vertex else self._manager.is_key_valid)(key)

    async def status(self, pool):
        vertex = pool == "vertex"
        return await (self._manager.get_vertex_keys_by_status() if vertex else self._manager.get_keys_by_status())

    async def stream(self, model, pool):
        ask = HttpxProvider(self._client, URL)
        async with contextlib.aclosing(self._manager.stream(model, pool == "vertex", ask=ask)) as chunks:
            async for chunk in chunks:
                yield chunk


class ReferenceStreamsByLease(ReferenceStreams):
    """The reference with exclusive keys, errors where there is none, known models alone, and failures for free."""

    options = Options(tenure="lease", exhaustion="typed-error", unknown_model="reject", error_usage="free")
    policies = {
        "tenure": "lease",
        "exhaustion": "typed-error",
        "unknown_model": "reject",
        "error_usage": "free",
    }


class ReferenceStreamsOnReport(ReferenceStreams):
    """The reference that waits for a key, counts what it hands out, and ends a lease by the report."""

    options = Options(
        tenure="lease", release="on-report", exhaustion="blocks", counted_on="acquire", failures="immediate"
    )
    policies = {
        "tenure": "lease",
        "release": "on-report",
        "exhaustion": "blocks",
        "counted_on": "acquire",
        "failures": "immediate",
    }


SOUND = (ReferenceStreams, ReferenceStreamsByLease, ReferenceStreamsOnReport)
