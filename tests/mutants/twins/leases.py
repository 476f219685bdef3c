"""Sound twins that hand keys out for exclusive use."""

from __future__ import annotations

import asyncio
import itertools

from pytest_keyconform import Adapter, Lease, Policies

SENTINEL = ""
OUT = ("auth",)


class LeaseDesk(Adapter):
    """Keys are held under a numbered ticket until it is given back.

    ``_holders`` maps pool and key to the ticket; ``_strikes`` and ``_out`` are what reports did to a key.
    """

    policies = Policies(tenure="lease", counted_on="none")

    def __init__(self, pool):
        super().__init__(pool)
        self._keys = {
            "regular": dict.fromkeys(pool.api_keys),
            "vertex": dict.fromkeys(pool.vertex_api_keys),
        }
        self._tickets = itertools.count(1)
        self._holders = {}
        self._strikes = {}
        self._out = set()
        self._limited = set()

    def _usable(self, pool, key, model):
        gone = (pool, key) in self._out or (pool, key, model) in self._limited
        return not gone and self._strikes.get((pool, key), 0) < self.pool.max_failures

    async def acquire(self, model, pool):
        await asyncio.sleep(0)
        model = model or self.pool.default_model
        for key in self._keys[pool]:
            if (pool, key) not in self._holders and self._usable(pool, key, model):
                self._keys[pool][key] = self._keys[pool].pop(key)
                ticket = self._holders[pool, key] = next(self._tickets)
                return Lease(key, handle=(pool, ticket))
        return SENTINEL

    async def release(self, lease) -> None:
        await asyncio.sleep(0)
        self._give_back(lease)

    def _give_back(self, lease):
        pool, ticket = lease.handle or (None, None)
        if ticket is not None and self._holders.get((pool, lease.key)) == ticket:
            del self._holders[pool, lease.key]

    async def fail(self, lease, pool, status) -> None:
        await asyncio.sleep(0)
        if lease.key not in self._keys[pool] or status in (400, 404, 413, 422):
            return
        if status in (401, 403):
            self._out.add((pool, lease.key))
        elif status != 429:
            self._strikes[pool, lease.key] = self._strikes.get((pool, lease.key), 0) + 1

    async def failures(self, key, pool):
        return self._strikes.get((pool, key), 0)

    async def is_valid(self, key, pool):
        return key in self._keys[pool] and self._usable(pool, key, None)

    async def reset(self, key):
        known = [pool for pool, keys in self._keys.items() if key in keys]
        for pool in known:
            self._strikes.pop((pool, key), None)
            self._out.discard((pool, key))
        return bool(known)

    async def status(self, pool):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for key in self._keys[pool]:
            group = "valid_keys" if self._usable(pool, key, None) else "invalid_keys"
            groups[group][key] = self._strikes.get((pool, key), 0)
        return groups


class LeaseUntilReport(Adapter):
    """A key is held until its call is reported, well or badly."""

    policies = Policies(tenure="lease", release="on-report", counted_on="none")

    def __init__(self, pool):
        super().__init__(pool)
        self._free = {"regular": list(dict.fromkeys(pool.api_keys)), "vertex": []}
        self._free["vertex"] = list(dict.fromkeys(pool.vertex_api_keys))
        self._known = {name: frozenset(keys) for name, keys in self._free.items()}
        self._strikes = {}

    async def acquire(self, pool):
        for key in self._free[pool]:
            if self._strikes.get((pool, key), 0) < self.pool.max_failures:
                self._free[pool].remove(key)
                return Lease(key, handle=pool)
        return SENTINEL

    def _end(self, pool, key):
        if key in self._known[pool] and key not in self._free[pool]:
            self._free[pool].append(key)

    async def record(self, lease, pool):
        self._end(pool, lease.key)
        return lease.key in self._known[pool]

    async def fail(self, lease, pool) -> None:
        if lease.key in self._known[pool]:
            self._strikes[pool, lease.key] = self._strikes.get((pool, lease.key), 0) + 1
        self._end(pool, lease.key)

    async def status(self, pool):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for key in sorted(self._known[pool]):
            count = self._strikes.get((pool, key), 0)
            groups["valid_keys" if count < self.pool.max_failures else "invalid_keys"][key] = count
        return groups
