"""The books of `RichManager`: models, windows, counts, marks, strikes. The caller holds the pool's lock."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from managers.records import Health, MemoryStore, Tally

MINUTE = 60
PACIFIC = ZoneInfo("America/Los_Angeles")
REGULAR, VERTEX = "regular", "vertex"
SEPARATORS = ("-", "@", ":")
QUOTA = 429
AUTH = (401, 403)
REQUEST = (400, 404, 413, 422)


class Ledger:
    """One book for each pool. ``_locks`` guard the rows and the cursors of their pool."""

    def __init__(self, pool):
        self._keys = {
            REGULAR: list(dict.fromkeys(pool.api_keys)),
            VERTEX: list(dict.fromkeys(pool.vertex_api_keys)),
        }
        self._limits = dict(pool.limits)
        self._default_model = pool.default_model
        self._max_failures = pool.max_failures
        self._max_retries = pool.max_retries
        self._paid_key = pool.paid_key
        self._store = MemoryStore()
        self._locks = {REGULAR: asyncio.Lock(), VERTEX: asyncio.Lock()}

    # -- models and windows

    def _resolve(self, model):
        """Answer the name under which a model is counted: a configured one, or its own."""
        if model is None or model == "":
            model = self._default_model
        if not isinstance(model, str):
            message = f"a model is named by a str, not by {type(model).__name__}"
            raise TypeError(message)
        model = self._spelling(model)
        if model in self._limits:
            return model
        stems = [
            name for name in self._limits if model.startswith(name) and model[len(name) : len(name) + 1] in SEPARATORS
        ]
        return max(stems, key=len, default=model)

    def _spelling(self, model):
        """Answer a name as it is spelt here: without blanks around it, without a prefix, in lower case."""
        return model.strip().casefold().removeprefix("models/")

    def _minute(self):
        return int(time.time() // MINUTE)

    def _today(self):
        return datetime.fromtimestamp(time.time(), PACIFIC).date().isoformat()

    def _current(self, tally):
        """Answer a tally without what belongs to windows that have ended."""
        if tally.minute != self._minute():
            tally = replace(tally, minute=self._minute(), requests=0, tokens=0)
        if tally.day != self._today():
            tally = replace(tally, day=self._today(), daily=0)
        return tally

    # -- rows

    async def _health(self, pool, key):
        return await self._store.get("health", pool, key) or Health()

    async def _put_health(self, pool, key, health):
        await self._store.put(health, "health", pool, key)

    async def _tally(self, pool, key, model):
        row = await self._store.get("tally", pool, key, model)
        return self._current(row or Tally())

    async def _put_tally(self, pool, key, model, tally):
        await self._store.put(tally, "tally", pool, key, model)

    # -- what is usable

    def _is_valid(self, health):
        return not health.banned and health.strikes < self._max_failures

    def _has_room(self, tally, model):
        limits = self._limits.get(model)
        if limits is None:
            return True
        used = ((tally.requests, limits.rpm), (tally.tokens, limits.tpm), (tally.daily, limits.rpd))
        return all(limit is None or count < limit for count, limit in used)

    def _is_marked(self, tally):
        return tally.marked == self._minute()

    async def _usable(self, pool, key, model):
        if not self._is_valid(await self._health(pool, key)):
            return False
        tally = await self._tally(pool, key, model)
        return not self._is_marked(tally) and self._has_room(tally, model)

    # -- what a report does

    async def _count(self, pool, key, model, tokens):
        tally = await self._tally(pool, key, model)
        counted = replace(
            tally,
            requests=tally.requests + 1,
            tokens=tally.tokens + tokens,
            daily=tally.daily + 1,
            last_used=time.time(),
        )
        await self._put_tally(pool, key, model, counted)

    async def _mark(self, pool, key, model):
        tally = await self._tally(pool, key, model)
        await self._put_tally(pool, key, model, replace(tally, marked=self._minute()))

    async def _strike(self, pool, key):
        health = await self._health(pool, key)
        await self._put_health(pool, key, replace(health, strikes=health.strikes + 1))

    async def _ban(self, pool, key):
        health = await self._health(pool, key)
        await self._put_health(pool, key, replace(health, banned=True))

    async def _charge(self, pool, key, model, status):
        """Do to a key what the status of its failed call asks for."""
        if status == QUOTA:
            await self._mark(pool, key, model)
        elif status in AUTH:
            await self._ban(pool, key)
        elif status not in REQUEST:
            await self._strike(pool, key)

    # -- what brings a key back

    async def _restore(self, pool, key):
        """Forget strikes, bans and marks of a key; its usage stays."""
        await self._put_health(pool, key, Health())
        for name in await self._store.find("tally", pool, key):
            await self._lift(pool, key, *name)

    async def _lift(self, pool, key, model):
        tally = await self._tally(pool, key, model)
        await self._put_tally(pool, key, model, replace(tally, marked=-1))
