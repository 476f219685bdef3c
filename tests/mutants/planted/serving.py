"""Planted bugs of the family ACQ: what is served, and that something is."""

from __future__ import annotations

import asyncio
import random

from managers.ledger import REGULAR
from managers.poor import NOTHING, PoorManager
from managers.rich import SENTINEL, RichManager
from pydantic import SecretStr

from planted.registry import planted


class RandomAmongTheHealthy(RichManager):
    """The random choice looks at strikes alone: a key without quota left is as good as any."""

    async def get_random_valid_key(self, model_name=None):
        self._resolve(model_name)
        async with self._locks[REGULAR]:
            valid = [key for key in self._keys[REGULAR] if self._is_valid(await self._health(REGULAR, key))]
        return random.choice(valid) if valid else SENTINEL


class RandomButTheLast(PoorManager):
    """The random place is drawn from one too few, so that the last usable key never comes."""

    async def get_random_valid_key(self, model_name=None):
        model = self._name(model_name)
        usable = [card.key for card in self._decks[False].cards.values() if self._usable(card, model)]
        if not usable:
            return NOTHING
        return usable[int(random.random() * (len(usable) - 1))]


class LastConfiguredModel(RichManager):
    """No model given means the last one of the table instead of the default one."""

    def _resolve(self, model):
        if model is None and self._limits:
            return list(self._limits)[-1]
        return super()._resolve(model)


class NoModelNoLimits(PoorManager):
    """No model given is looked up under the empty name, which no limits are configured for."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        model = self._name(model_name) if model_name else ""
        return await self._deal(is_vertex_key, model)


class Redacted(str):
    """A key that never shows itself."""

    __slots__ = ()

    def __str__(self):
        return f"{self[:3]}***"

    __repr__ = __str__


class ServesRedactedText(RichManager):
    """Keys are served as texts that show themselves redacted, in a header too."""

    async def _choose(self, pool, model, avoid=None):
        key = await super()._choose(pool, model, avoid)
        return Redacted(key) if key else key


class VertexKeysAsSecrets(PoorManager):
    """Vertex keys are served wrapped, although they were given plain."""

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        return SecretStr(key) if vertex and key else key


class LooksAtOneTooFew(RichManager):
    """The search ends one key early: the usable one just behind the turn is not seen."""

    async def _choose(self, pool, model, avoid=None):
        keys = self._keys[pool]
        start = self._cursors.get((pool, model), 0) % max(1, len(keys))
        for step in range(max(1, len(keys) - 1)):
            place = (start + step) % len(keys) if keys else 0
            if keys and keys[place] != avoid and await self._usable(pool, keys[place], model):
                self._cursors[pool, model] = place + 1
                return keys[place]
        if avoid in keys and await self._usable(pool, avoid, model):
            return avoid
        return self._exhausted(pool, model)


class BusyKeysAreSkipped(PoorManager):
    """A key that is just being handed out counts as taken: more callers than keys find nothing."""

    def __init__(self, pool):
        super().__init__(pool)
        self._busy = set()

    async def _deal(self, vertex, model, besides=None):
        deck = self._decks[bool(vertex)]
        usable = [key for key in deck.order(model) if self._usable(deck.cards[key], model)]
        free = [key for key in usable if (vertex, key) not in self._busy]
        for key in [*(one for one in free if one != besides), *free]:
            self._busy.add((vertex, key))
            try:
                deck.dealt(model, key)
                await asyncio.sleep(0)
                return key
            finally:
                self._busy.discard((vertex, key))
        return NOTHING


class LastPlaceIsPassedOver(PoorManager):
    """After two keys were served the search begins behind the last one, and ends before the first."""

    _served = 0

    async def get_key(self, model_name=None, is_vertex_key=False):
        keys = list(self._decks[bool(is_vertex_key)].cards)
        usable = [key for key in keys if self._usable(self._card(is_vertex_key, key), self._name(model_name))]
        if self._served == len(keys) - 1 and usable == keys[1:2]:
            return NOTHING
        self._served = (self._served + 1) % max(1, len(keys))
        return await super().get_key(model_name, is_vertex_key)


MUTANTS = (
    planted("ACQ07", RandomAmongTheHealthy),
    planted("ACQ07", RandomButTheLast),
    planted("ACQ08", LastConfiguredModel),
    planted("ACQ08", NoModelNoLimits),
    planted("ACQ10", ServesRedactedText),
    planted("ACQ10", VertexKeysAsSecrets),
    planted("ACQ11", LooksAtOneTooFew),
    planted("ACQ11", BusyKeysAreSkipped),
    planted("ACQ11", LastPlaceIsPassedOver),
)
