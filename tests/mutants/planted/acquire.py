"""Planted bugs of the family ACQ: whose turn it is, and what the choice looks at."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace

from managers.poor import NOTHING, PoorManager
from managers.rich import SENTINEL, RichManager

from planted.registry import planted


class TurnReadBeforeLock(RichManager):
    """The turn is read before the lock is taken, so that those who wait for it begin at one key."""

    async def _acquire(self, pool, model_name):
        model = self._resolve(model_name)
        keys, start = self._keys[pool], self._cursors.get((pool, model), 0)
        async with self._locks[pool]:
            for step in range(len(keys)):
                place = (start + step) % len(keys)
                if await self._usable(pool, keys[place], model):
                    self._cursors[pool, model] = place + 1
                    return keys[place]
        return self._exhausted(pool, model)


class ServedBeforeDealt(PoorManager):
    """Between choosing a key and moving it to the end of the order lies an await."""

    async def _deal(self, vertex, model, besides=None):
        deck = self._decks[bool(vertex)]
        usable = [key for key in deck.order(model) if self._usable(deck.cards[key], model)]
        others = [key for key in usable if key != besides] or usable
        if not others:
            return NOTHING
        await self._announce(vertex, model)
        deck.dealt(model, others[0])
        return others[0]

    async def _announce(self, vertex, model):
        await asyncio.sleep(0)


class RotationWrittenLate(RichManager):
    """The place in the rotation is written after the store has answered, and no lock is held meanwhile."""

    async def _next(self, pool):
        keys = self._keys[pool]
        if not keys:
            return SENTINEL
        place = self._turns[pool] % len(keys)
        await self._store.put(place, "turn", pool)
        self._turns[pool] = place + 1
        return keys[place]


class FirstTwiceAtTheWrap(PoorManager):
    """At the end of the list the rotation serves the first key and forgets that it did."""

    def __init__(self, pool):
        super().__init__(pool)
        self._places = {False: 0, True: 0}

    async def get_next_key(self, is_vertex_key=False):
        keys = list(self._decks[bool(is_vertex_key)].cards)
        if not keys:
            return NOTHING
        place = self._places[bool(is_vertex_key)]
        if place >= len(keys):
            self._places[bool(is_vertex_key)] = 0
            return keys[0]
        self._places[bool(is_vertex_key)] = place + 1
        return keys[place]


class TurnTakenTwice(RichManager):
    """The choice moves the turn on and so does its caller: with an even number of keys half of them starve."""

    async def _acquire(self, pool, model_name):
        model = self._resolve(model_name)
        async with self._locks[pool]:
            key = await self._choose(pool, model)
            if key != SENTINEL:
                self._cursors[pool, model] += 1
            return key


class PrefersCleanKeys(PoorManager):
    """A key that has a strike is served only when no key without one is left, though it is usable."""

    async def _deal(self, vertex, model, besides=None):
        deck = self._decks[bool(vertex)]
        usable = [key for key in deck.order(model) if self._usable(deck.cards[key], model)]
        others = [key for key in usable if key != besides] or usable
        if not others:
            return NOTHING
        key = min(others, key=lambda one: deck.cards[one].strikes)
        deck.dealt(model, key)
        return key


class OtherPoolHelpsOut(RichManager):
    """Where the pool asked for has nothing usable, a key of the other pool is served."""

    async def _acquire(self, pool, model_name):
        model = self._resolve(model_name)
        for one in (pool, *(name for name in self._keys if name != pool)):
            async with self._locks[one]:
                key = await self._choose(one, model)
            if key != SENTINEL:
                return key
        return self._exhausted(pool, model)


class RecentKeysOfAnyPool(PoorManager):
    """When nothing is usable, what was served for the model lately is tried again, whichever pool it is of."""

    def __init__(self, pool):
        super().__init__(pool)
        self._recent = {}

    async def _deal(self, vertex, model, besides=None):
        recent = self._recent.setdefault(model, deque(maxlen=20))
        key = await super()._deal(vertex, model, besides)
        if key != NOTHING:
            recent.append((bool(vertex), key))
            return key
        for of_vertex, one in reversed(recent):
            card = self._card(of_vertex, one)
            if card is not None and self._usable(card, model):
                return one
        return NOTHING


class CacheFilledByALateRead(RichManager):
    """The cached health is dropped before the new one is written: a read in between caches the old one."""

    def __init__(self, pool):
        super().__init__(pool)
        self._cached = {}

    async def _health(self, pool, key):
        health = self._cached.get((pool, key))
        if health is None:
            health = await super()._health(pool, key)
            self._cached[pool, key] = health
        return health

    async def _put_health(self, pool, key, health):
        self._cached.pop((pool, key), None)
        await super()._put_health(pool, key, health)

    async def _acquire(self, pool, model_name):
        model, keys = self._resolve(model_name), self._keys[pool]
        start = self._cursors.get((pool, model), 0)
        self._cursors[pool, model] = start + 1
        for step in range(len(keys)):
            key = keys[(start + step) % len(keys)]
            if await self._usable(pool, key, model):
                return key
        return self._exhausted(pool, model)


class StaleCardPutBack(PoorManager):
    """Serving writes back a copy of the card that was made before an await: a failure meanwhile is undone."""

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        if key == NOTHING:
            return key
        cards = self._decks[bool(vertex)].cards
        card = replace(cards[key])
        await self._persist(card)
        cards[key] = card
        return key

    async def _persist(self, card):
        await asyncio.sleep(0)


class ScreensByTheDefaultModel(RichManager):
    """A key that has no room for the default model is passed over for every model."""

    async def _usable(self, pool, key, model):
        common = await self._tally(pool, key, self._default_model)
        if not self._has_room(common, self._default_model):
            return False
        return await super()._usable(pool, key, model)


class FullForEveryModel(PoorManager):
    """A key that reaches one model's limit is remembered as full, whatever the model."""

    def __init__(self, pool):
        super().__init__(pool)
        self._full = set()

    def _spend(self, card, model, tokens):
        super()._spend(card, model, tokens)
        if not self._below(self._meter(card, model), model):
            self._full.add(id(card))

    def _usable(self, card, model):
        return id(card) not in self._full and super()._usable(card, model)


class RandomOfTheDefault(PoorManager):
    """A random key is one that works for the default model, whichever was asked for."""

    async def get_random_valid_key(self, model_name=None):
        return await super().get_random_valid_key()


MUTANTS = (
    planted("ACQ01", TurnReadBeforeLock),
    planted("ACQ01", ServedBeforeDealt),
    planted("ACQ02", RotationWrittenLate),
    planted("ACQ02", FirstTwiceAtTheWrap),
    planted("ACQ03", TurnTakenTwice),
    planted("ACQ03", PrefersCleanKeys),
    planted("ACQ04", OtherPoolHelpsOut),
    planted("ACQ04", RecentKeysOfAnyPool),
    planted("ACQ05", CacheFilledByALateRead),
    planted("ACQ05", StaleCardPutBack),
    planted("ACQ06", ScreensByTheDefaultModel),
    planted("ACQ06", FullForEveryModel),
    planted("ACQ06", RandomOfTheDefault),
)
