"""`RichManager`: the whole audited surface over an awaited store, one lock for each pool."""

from __future__ import annotations

import asyncio
import random

from managers.ledger import REGULAR, VERTEX, Ledger
from managers.views import Views

SENTINEL = ""


class RichManager(Views, Ledger):
    """An asynchronous key manager that awaits its store at every step.

    ``_cursors`` tell whose turn it is with a model, ``_turns`` whose it is in the plain rotation; both are
    places in the list of keys, and are taken modulo its length.
    """

    def __init__(self, pool):
        super().__init__(pool)
        self._cursors = {}
        self._turns = {REGULAR: 0, VERTEX: 0}

    async def init(self):
        await asyncio.sleep(0)

    async def shutdown(self):
        await asyncio.sleep(0)

    # -- choosing

    def _pool(self, is_vertex_key):
        return VERTEX if is_vertex_key else REGULAR

    async def _choose(self, pool, model, avoid=None):
        """Answer the usable key whose turn it is, ``avoid`` only where there is no other."""
        keys = self._keys[pool]
        start = self._cursors.get((pool, model), 0)
        for step in range(len(keys)):
            place = (start + step) % len(keys)
            if keys[place] != avoid and await self._usable(pool, keys[place], model):
                self._cursors[pool, model] = place + 1
                return keys[place]
        if avoid in keys and await self._usable(pool, avoid, model):
            return avoid
        return self._exhausted(pool, model)

    def _exhausted(self, pool, model):
        return SENTINEL

    async def _acquire(self, pool, model_name):
        model = self._resolve(model_name)
        async with self._locks[pool]:
            return await self._choose(pool, model)

    async def get_key(self, model_name=None, is_vertex_key=False):
        return await self._acquire(self._pool(is_vertex_key), model_name)

    async def get_next_working_key(self, model_name=None):
        return await self._acquire(REGULAR, model_name)

    async def get_next_working_vertex_key(self, model_name=None):
        return await self._acquire(VERTEX, model_name)

    async def get_first_valid_key(self):
        model = self._resolve(None)
        async with self._locks[REGULAR]:
            for key in self._keys[REGULAR]:
                if await self._usable(REGULAR, key, model):
                    return key
        return SENTINEL

    async def get_random_valid_key(self, model_name=None):
        model = self._resolve(model_name)
        async with self._locks[REGULAR]:
            usable = [key for key in self._keys[REGULAR] if await self._usable(REGULAR, key, model)]
        return random.choice(usable) if usable else SENTINEL

    async def _next(self, pool):
        async with self._locks[pool]:
            keys = self._keys[pool]
            if not keys:
                return SENTINEL
            place = self._turns[pool] % len(keys)
            self._turns[pool] = place + 1
            return keys[place]

    async def get_next_key(self, is_vertex_key=False):
        return await self._next(self._pool(is_vertex_key))

    async def get_next_vertex_key(self):
        return await self._next(VERTEX)

    # -- reports

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        pool, model = self._pool(is_vertex_key), self._resolve(model_name)
        if not self._is_amount(tokens_used):
            message = "tokens_used is a whole number from 0 on"
            raise ValueError(message)
        async with self._locks[pool]:
            if key_value not in self._keys[pool]:
                return False
            return await self._record(pool, key_value, model, tokens_used, error_type if error else None)

    def _is_amount(self, tokens):
        return isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0

    async def _record(self, pool, key, model, tokens, error_type):
        await self._count(pool, key, model, tokens)
        if error_type == "429":
            await self._mark(pool, key, model)
        elif error_type == "permanent":
            await self._ban(pool, key)
        return True

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        return await self._failed(self._pool(is_vertex_key), api_key, model_name, retries, status_code)

    async def handle_vertex_api_failure(self, api_key, retries, model_name=None):
        return await self._failed(VERTEX, api_key, model_name, retries, None)

    async def _failed(self, pool, key, model_name, retries, status):
        """Charge a failure to its key, and answer another key to go on with."""
        model = self._resolve(model_name)
        async with self._locks[pool]:
            if key in self._keys[pool]:
                await self._charge(pool, key, model, status)
            if retries >= self._max_retries:
                return SENTINEL
            return await self._choose(pool, model, avoid=key)

    # -- recovery

    async def reset_key_failure_count(self, key):
        return await self._restore_in((REGULAR, VERTEX), key)

    async def reset_vertex_key_failure_count(self, key):
        return await self._restore_in((VERTEX,), key)

    async def _restore_in(self, pools, key):
        """Restore a key in those of the pools that it is in; answer whether it is in any."""
        known = False
        for pool in pools:
            async with self._locks[pool]:
                if key in self._keys[pool]:
                    await self._restore(pool, key)
                    known = True
        return known

    async def reset_failure_counts(self):
        await self._restore_all(REGULAR)

    async def reset_vertex_failure_counts(self):
        await self._restore_all(VERTEX)

    async def _restore_all(self, pool):
        async with self._locks[pool]:
            for key in self._keys[pool]:
                await self._restore(pool, key)

    async def reactivate_key(self, key, model_name=None):
        if model_name is None:
            return await self._restore_in((REGULAR, VERTEX), key)
        model, known = self._resolve(model_name), False
        for pool in (REGULAR, VERTEX):
            async with self._locks[pool]:
                if key in self._keys[pool]:
                    await self._lift(pool, key, model)
                    known = True
        return known

    async def reset_usage(self):
        async with self._locks[REGULAR], self._locks[VERTEX]:
            await self._store.drop("tally")

    # -- the pools themselves

    async def reinitialize(self, api_keys, vertex_api_keys):
        new = {REGULAR: list(dict.fromkeys(api_keys)), VERTEX: list(dict.fromkeys(vertex_api_keys))}
        async with self._locks[REGULAR], self._locks[VERTEX]:
            for pool, keys in new.items():
                for gone in [key for key in self._keys[pool] if key not in keys]:
                    await self._store.drop("health", pool, gone)
                    await self._store.drop("tally", pool, gone)
            self._keys = new

    async def run_maintenance(self):
        """Drop the tallies that are empty again."""
        async with self._locks[REGULAR], self._locks[VERTEX]:
            for name, row in (await self._store.find("tally")).items():
                tally = self._current(row)
                if not (tally.requests or tally.tokens or tally.daily or self._is_marked(tally)):
                    await self._store.drop("tally", *name)

    async def get_paid_key(self):
        return self._paid_key

    async def health(self):
        await self._store.get("health")
        return True
