"""What `RichManager` tells of itself; every answer is made anew."""

from __future__ import annotations

import time

from managers.ledger import REGULAR, VERTEX

GROUPS = ("available", "exhausted", "inactive")


class Views:
    """The reading half of the audited surface, over a `Ledger`."""

    async def _statuses(self, pool):
        """Answer the two groups of a pool, as of one moment."""
        groups = {"valid_keys": {}, "invalid_keys": {}}
        async with self._locks[pool]:
            for key in self._keys[pool]:
                health = await self._health(pool, key)
                group = "valid_keys" if self._is_valid(health) else "invalid_keys"
                groups[group][key] = health.strikes
        return groups

    async def get_keys_by_status(self):
        return await self._statuses(REGULAR)

    async def get_vertex_keys_by_status(self):
        return await self._statuses(VERTEX)

    async def get_all_keys_with_fail_count(self):
        groups = await self._statuses(REGULAR)
        return {**groups, "all_keys": {**groups["valid_keys"], **groups["invalid_keys"]}}

    async def _strikes(self, pool, key):
        async with self._locks[pool]:
            return (await self._health(pool, key)).strikes if key in self._keys[pool] else 0

    async def get_fail_count(self, key):
        return await self._strikes(REGULAR, key)

    async def get_vertex_fail_count(self, key):
        return await self._strikes(VERTEX, key)

    async def _validity(self, pool, key):
        async with self._locks[pool]:
            return key in self._keys[pool] and self._is_valid(await self._health(pool, key))

    async def is_key_valid(self, key):
        return await self._validity(REGULAR, key)

    async def is_vertex_key_valid(self, key):
        return await self._validity(VERTEX, key)

    async def _usage(self, pool, key, model):
        async with self._locks[pool]:
            if key not in self._keys[pool]:
                return None
            tally = await self._tally(pool, key, model)
        return {"rpm": tally.requests, "tpm": tally.tokens, "rpd": tally.daily}

    async def get_usage_stats(self, api_key, model_name):
        return await self._usage(REGULAR, api_key, self._resolve(model_name))

    # -- the whole

    async def get_state(self):
        async with self._locks[REGULAR], self._locks[VERTEX]:
            names = dict.fromkeys(self._limits)
            names.update({name[2]: None for name in await self._store.find("tally")})
            models = {
                model: {f"{pool}_keys": await self._group(pool, model) for pool in (REGULAR, VERTEX)} for model in names
            }
            keys = {*self._keys[REGULAR], *self._keys[VERTEX]}
        groups = [pools for model in models.values() for pools in model.values()]
        totals = {f"total_{name}": sum(len(group[name]) for group in groups) for name in GROUPS}
        return {
            "models": models,
            "summary": {"total_keys": len(keys), "total_models": len(models), **totals},
        }

    async def _group(self, pool, model):
        group = {name: [] for name in GROUPS}
        for key in self._keys[pool]:
            tally = await self._tally(pool, key, model)
            if not self._is_valid(await self._health(pool, key)):
                kind = "inactive"
            elif self._is_marked(tally) or not self._has_room(tally, model):
                kind = "exhausted"
            else:
                kind = "available"
            group[kind].append(self._row(key, tally, model))
        return group

    def _row(self, key, tally, model):
        used = {"rpm": tally.requests, "tpm": tally.tokens, "rpd": tally.daily}
        limits = {name: getattr(self._limits.get(model), name, None) for name in used}
        left = {name: None if limits[name] is None else max(0, limits[name] - used[name]) for name in used}
        return {
            "api_key": f"…{key[-4:]}",
            **used,
            **{f"max_{name}": limit for name, limit in limits.items()},
            **{f"{name}_left": rest for name, rest in left.items()},
            "last_used": min(tally.last_used, time.time()) if tally.last_used else None,
        }
