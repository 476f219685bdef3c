"""Planted bugs of the family FAIL: what a failure does to its key."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from managers.ledger import AUTH, QUOTA
from managers.poor import NOTHING, PoorManager
from managers.rich import SENTINEL, RichManager

from planted.registry import planted


class PoolHasToBeSaid(RichManager):
    """The failure takes a fourth argument that its call sites do not pass."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key, status_code=None):
        return await self._failed(self._pool(is_vertex_key), api_key, model_name, retries, status_code)


class OrderOfTheVertexForm(PoorManager):
    """The failure takes retries and model in the order of its vertex form."""

    async def handle_api_failure(self, api_key, retries, model_name=None, is_vertex_key=False, status_code=None):
        return await super().handle_api_failure(api_key, model_name, retries, is_vertex_key, status_code)


class StillValidAtTheThreshold(RichManager):
    """`is_key_valid` lets a key have one failure more than every other view."""

    async def _validity(self, pool, key):
        async with self._locks[pool]:
            if key not in self._keys[pool]:
                return False
            health = await self._health(pool, key)
        return not health.banned and health.strikes <= self._max_failures


class OneFailureMore(PoorManager):
    """A key is out when it has more failures than allowed, not when it has as many."""

    def _valid(self, card):
        return not card.out and not card.strikes > self._settings.max_failures


class StrikesOutsideTheLock(RichManager):
    """The failure is charged before the lock is taken."""

    async def _failed(self, pool, key, model_name, retries, status):
        model = self._resolve(model_name)
        if key in self._keys[pool]:
            await self._charge(pool, key, model, status)
        if retries >= self._max_retries:
            return SENTINEL
        async with self._locks[pool]:
            return await self._choose(pool, model, avoid=key)


class CountKeptOverAnAwait(PoorManager):
    """The count of failures is read, the failure announced, and the count then written."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        model, card = self._name(model_name), self._card(is_vertex_key, api_key)
        if card is not None:
            before = card.strikes
            self._blame(card, model, status_code)
            after = card.strikes
            await self._announce(before, after)
            card.strikes = after
        if retries >= self._settings.max_retries:
            return NOTHING
        return await self._deal(is_vertex_key, model, besides=api_key)

    async def _announce(self, before, after):
        if after != before:
            await asyncio.sleep(0)


class MarksAllItsModels(RichManager):
    """A 429 marks every model the key was used with."""

    async def _mark(self, pool, key, model):
        await super()._mark(pool, key, model)
        for (other,) in await self._store.find("tally", pool, key):
            await super()._mark(pool, key, other)


class MarkStrikesToo(PoorManager):
    """A 429 marks the model and is a strike of the key as well."""

    def _blame(self, card, model, status):
        super()._blame(card, model, status)
        if status == 429:
            card.strikes += 1


class LateSuccessLiftsTheBan(RichManager):
    """A success that arrives after a 401 takes it for over."""

    async def _record(self, pool, key, model, tokens, error_type):
        stored = await super()._record(pool, key, model, tokens, error_type)
        if error_type is None:
            health = await self._health(pool, key)
            await self._put_health(pool, key, replace(health, banned=False))
        return stored


class RefusedForTheModel(PoorManager):
    """A 401 takes the key out for the model it was reported on."""

    def __init__(self, pool):
        super().__init__(pool)
        self._refused = set()

    def _blame(self, card, model, status):
        if status in (401, 403):
            self._refused.add((id(card), model))
        else:
            super()._blame(card, model, status)

    def _usable(self, card, model):
        return (id(card), model) not in self._refused and super()._usable(card, model)

    def _forgive(self, card):
        super()._forgive(card)
        self._refused = {one for one in self._refused if one[0] != id(card)}


class TimeOutIsTheCallersFault(RichManager):
    """Every 4xx but 401, 403 and 429 is free, a 408 too."""

    async def _charge(self, pool, key, model, status):
        if status == QUOTA:
            await self._mark(pool, key, model)
        elif status in AUTH:
            await self._ban(pool, key)
        elif status is None or not 400 <= status < 500:
            await self._strike(pool, key)


class TooLargeIsAStrike(PoorManager):
    """A 413, of the four free ones, is a strike."""

    def _blame(self, card, model, status):
        match status:
            case 400 | 404 | 422:
                pass
            case 413:
                card.strikes += 1
            case _:
                super()._blame(card, model, status)


class OneRetryMore(RichManager):
    """The retries end one later than configured."""

    async def _failed(self, pool, key, model_name, retries, status):
        model = self._resolve(model_name)
        async with self._locks[pool]:
            if key in self._keys[pool]:
                await self._charge(pool, key, model, status)
            if retries > self._max_retries:
                return SENTINEL
            return await self._choose(pool, model, avoid=key)


class LastFailureUnrecorded(PoorManager):
    """When the retries are used up it answers at once, and the last failure is not recorded."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        if retries >= self._settings.max_retries:
            return NOTHING
        return await super().handle_api_failure(api_key, model_name, retries, is_vertex_key, status_code)


class KnownServerErrors(PoorManager):
    """Of the server's errors only those count that somebody wrote down."""

    def _blame(self, card, model, status):
        if status is None or status < 500 or status in (500, 502, 503, 504):
            super()._blame(card, model, status)


class VertexStrikesReadFirst(PoorManager):
    """The report that is for vertex keys alone reads the count, waits, and writes it back raised."""

    async def handle_vertex_api_failure(self, api_key, retries, model_name=None):
        card = self._card(True, api_key)
        before = None if card is None else card.strikes
        await asyncio.sleep(0)
        answer = await super().handle_vertex_api_failure(api_key, retries, model_name)
        if card is not None:
            card.strikes = before + 1
        return answer


MUTANTS = (
    planted("FAIL01", PoolHasToBeSaid),
    planted("FAIL01", OrderOfTheVertexForm),
    planted("FAIL02", StillValidAtTheThreshold),
    planted("FAIL02", OneFailureMore),
    planted("FAIL03", StrikesOutsideTheLock),
    planted("FAIL03", CountKeptOverAnAwait),
    planted("FAIL04", MarksAllItsModels),
    planted("FAIL04", MarkStrikesToo),
    planted("FAIL05", LateSuccessLiftsTheBan),
    planted("FAIL05", RefusedForTheModel),
    planted("FAIL06", TimeOutIsTheCallersFault),
    planted("FAIL06", TooLargeIsAStrike),
    planted("FAIL07", OneRetryMore),
    planted("FAIL07", LastFailureUnrecorded),
    planted("FAIL03", VertexStrikesReadFirst),
    planted("FAIL06", KnownServerErrors),
)
