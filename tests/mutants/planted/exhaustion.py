"""Planted bugs of the family EXH."""

from __future__ import annotations

import asyncio
import random

from managers.ledger import REGULAR
from managers.poor import NOTHING, PoorManager
from managers.records import Health
from managers.rich import SENTINEL, RichManager

from planted.registry import planted
from pytest_keyconform import Policies


class SoonestOfNone(RichManager):
    """With nothing usable it looks for the key marked last, and fails where none is marked at all."""

    async def _choose(self, pool, model, avoid=None):
        key = await super()._choose(pool, model, avoid)
        if key == SENTINEL and self._keys[pool]:
            rows = [await self._tally(pool, one, model) for one in self._keys[pool]]
            self._retry_at = max(row.marked for row in rows if self._is_marked(row)) + 1
        return key


class RandomOfNone(PoorManager):
    """The random choice does not expect that nothing is usable."""

    async def get_random_valid_key(self, model_name=None):
        model = self._name(model_name)
        return random.choice([card.key for card in self._decks[False].cards.values() if self._usable(card, model)])


class RetriesTheSameKey(RichManager):
    """Where no other key is usable, the retry path answers the one that failed, out or not."""

    async def _failed(self, pool, key, model_name, retries, status):
        another = await super()._failed(pool, key, model_name, retries, status)
        if another == SENTINEL and retries < self._max_retries and key in self._keys[pool]:
            return key
        return another


class NextOfNothing(PoorManager):
    """The retry path takes the next usable key without asking whether there is one."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        model, card = self._name(model_name), self._card(is_vertex_key, api_key)
        if card is not None:
            self._blame(card, model, status_code)
        if retries >= self._settings.max_retries:
            return NOTHING
        deck = self._decks[bool(is_vertex_key)]
        usable = (key for key in deck.order(model) if self._usable(deck.cards[key], model))
        key = next(usable)
        if key == api_key:
            key = next(usable, key)
        deck.dealt(model, key)
        return key


class TurnModuloNothing(RichManager):
    """The turn is taken modulo the number of keys before it is asked whether there are any."""

    async def _choose(self, pool, model, avoid=None):
        keys = self._keys[pool]
        start = self._cursors.get((pool, model), 0) % len(keys)
        for key in (*keys[start:], *keys[:start]):
            if key != avoid and await self._usable(pool, key, model):
                self._cursors[pool, model] = keys.index(key) + 1
                return key
        if avoid in keys and await self._usable(pool, avoid, model):
            return avoid
        return self._exhausted(pool, model)


class RotatesNothing(PoorManager):
    """The plain rotation expects a key in it."""

    async def get_next_key(self, is_vertex_key=False):
        rotation = self._decks[bool(is_vertex_key)].rotation
        rotation.rotate(-1)
        return rotation[-1]


class RegularKeysFirst(RichManager):
    """A manager without regular keys serves nothing, not even from its vertex pool."""

    async def _acquire(self, pool, model_name):
        model = self._resolve(model_name)
        if not self._keys[REGULAR]:
            return self._exhausted(pool, model)
        async with self._locks[pool]:
            return await self._choose(pool, model)


class BothOrNone(PoorManager):
    """Whether there are keys is asked of all pools where it is meant of any."""

    async def _deal(self, vertex, model, besides=None):
        if not all(deck.cards for deck in self._decks.values()):
            return NOTHING
        return await super()._deal(vertex, model, besides)


class SearchNeverCalledOff(RichManager):
    """Callers wait for the one who searches, who does not tell them when it has found nothing."""

    def __init__(self, pool):
        super().__init__(pool)
        self._searches = {}

    async def _acquire(self, pool, model_name):
        model = self._resolve(model_name)
        while (pool, model) in self._searches:
            await self._searches[pool, model].wait()
        search = self._searches[pool, model] = asyncio.Event()
        async with self._locks[pool]:
            key = await self._choose(pool, model)
        del self._searches[pool, model]
        if key == SENTINEL:
            return key
        search.set()
        return key


class RoundOverASharedPlace(PoorManager):
    """The search ends when the place that all callers share is back where this caller began."""

    def __init__(self, pool):
        super().__init__(pool)
        self._place = 0

    async def get_key(self, model_name=None, is_vertex_key=False):
        model, deck = self._name(model_name), self._decks[bool(is_vertex_key)]
        keys = list(deck.cards)
        if not keys:
            return NOTHING
        start = self._place = self._place % len(keys)
        while True:
            key = keys[self._place % len(keys)]
            self._place = (self._place + 1) % len(keys)
            if self._usable(deck.cards[key], model):
                return key
            if self._place == start:
                return NOTHING
            await asyncio.sleep(0)


class DryUntilTheMinuteEnds(RichManager):
    """That nothing is usable is remembered for the minute; bringing a key back does not end it."""

    def __init__(self, pool):
        super().__init__(pool)
        self._dry = {}

    async def _choose(self, pool, model, avoid=None):
        if self._dry.get((pool, model)) == self._minute():
            return self._exhausted(pool, model)
        key = await super()._choose(pool, model, avoid)
        if key == SENTINEL and self._keys[pool]:
            self._dry[pool, model] = self._minute()
        return key

    async def reset_usage(self):
        await super().reset_usage()
        self._dry.clear()


class LeavesTheOrderForGood(PoorManager):
    """A key that is struck out leaves the orders it is dealt in, and forgiving it puts it into none."""

    def _blame(self, card, model, status):
        super()._blame(card, model, status)
        if self._valid(card):
            return
        for deck in self._decks.values():
            if deck.cards.get(card.key) is card and card.key in deck.order(model):
                deck.order(model).remove(card.key)


class LooksThriceAtNothing(RichManager):
    """With nothing usable it looks again twice, a second apart, also where there is no key at all."""

    async def _acquire(self, pool, model_name):
        key = await super()._acquire(pool, model_name)
        for _ in range(2):
            if key != SENTINEL:
                break
            await asyncio.sleep(1.0)
            key = await super()._acquire(pool, model_name)
        return key


class WaitsForAnEmptyPool(PoorManager):
    """It waits for a key until the deadline, in a pool that has none to wait for."""

    policies = Policies(exhaustion="blocks", deadline=5.0)
    get_random_valid_key = get_first_valid_key = None

    async def get_key(self, model_name=None, is_vertex_key=False):
        model = self._name(model_name)
        for _ in range(10):
            key = await self._deal(is_vertex_key, model)
            if key != NOTHING:
                return key
            await asyncio.sleep(0.5)
        return await self._deal(is_vertex_key, model)


class FreshStartForAll(RichManager):
    """An acquire that finds every key struck out zeroes the strikes of all, for the next one."""

    async def _choose(self, pool, model, avoid=None):
        key = await super()._choose(pool, model, avoid)
        if key != SENTINEL or avoid is not None:
            return key
        for one in self._keys[pool]:
            health = await self._health(pool, one)
            if not health.banned and not self._is_valid(health):
                await self._put_health(pool, one, Health())
        return key


class PassedOverIsAStrike(PoorManager):
    """A key that is passed over because it is out gets another strike each time."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        key = await super().get_key(model_name, is_vertex_key)
        if key == NOTHING:
            for card in self._decks[bool(is_vertex_key)].cards.values():
                card.strikes += not self._valid(card)
        return key


class RefusalIsCounted(PoorManager):
    """An acquire in vain counts a request of the key that it looked at last."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        key = await super().get_key(model_name, is_vertex_key)
        cards = list(self._decks[bool(is_vertex_key)].cards.values())
        if key == NOTHING and cards:
            self._open_meter(cards[-1], self._name(model_name)).rpm += 1
        return key


class SecondChance(PoorManager):
    """An acquire in vain takes a strike off each key that has more than take it out."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        key = await super().get_key(model_name, is_vertex_key)
        if key == NOTHING:
            for card in self._decks[bool(is_vertex_key)].cards.values():
                card.strikes -= card.strikes > self._settings.max_failures
        return key


MUTANTS = (
    planted("EXH01", SoonestOfNone),
    planted("EXH01", RandomOfNone),
    planted("EXH02", RetriesTheSameKey),
    planted("EXH02", NextOfNothing),
    planted("EXH03", TurnModuloNothing),
    planted("EXH03", RotatesNothing),
    planted("EXH04", RegularKeysFirst),
    planted("EXH04", BothOrNone),
    planted("EXH05", SearchNeverCalledOff),
    planted("EXH05", RoundOverASharedPlace),
    planted("EXH06", DryUntilTheMinuteEnds),
    planted("EXH06", LeavesTheOrderForGood),
    planted("EXH07", LooksThriceAtNothing),
    planted("EXH07", WaitsForAnEmptyPool),
    planted("EXH08", FreshStartForAll),
    planted("EXH08", PassedOverIsAStrike),
    planted("EXH08", RefusalIsCounted),
    planted("EXH08", SecondChance),
)
