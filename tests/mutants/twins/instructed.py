"""A sound twin whose failures say when to come back."""

from __future__ import annotations

import time

from managers.poor import NOTHING, PoorManager

from pytest_keyconform import Adapter


class ObeysRetryAfter(Adapter):
    """A 429 keeps a key out for a minute, or for as long as its failure says. ``_until`` are instants, by cell."""

    least = 60.0

    def __init__(self, pool):
        super().__init__(pool)
        self._books = PoorManager(pool)
        self._until = {}

    def _pause(self, told):
        return self.least if told is None else max(told, self.least)

    async def acquire(self, model, pool):
        return self._deal(model, pool)

    def _deal(self, model, pool, besides=None):
        vertex, name = pool == "vertex", self._books._name(model)
        deck = self._books._decks[vertex]
        usable = [key for key in deck.order(name) if self._usable(deck, pool, key, name)]
        for key in (*(key for key in usable if key != besides), *usable):
            deck.dealt(name, key)
            return key
        return NOTHING

    def _usable(self, deck, pool, key, name):
        back = self._until.get((pool, key, name), 0.0)
        return time.monotonic() >= back and self._books._usable(deck.cards[key], name)

    async def fail(self, lease, model, pool, retries, status, retry_after) -> str:
        name, card = self._books._name(model), self._books._card(pool == "vertex", lease.key)
        if card is not None and status == 429:
            self._until[pool, lease.key, name] = time.monotonic() + self._pause(retry_after)
        elif card is not None:
            self._books._blame(card, name, status)
        return NOTHING if retries >= self.pool.max_retries else self._deal(model, pool, besides=lease.key)

    async def record(self, lease, model, pool, tokens) -> bool:
        return await self._books.update_usage(model, lease.key, pool == "vertex", tokens)

    async def status(self, pool):
        return self._books._groups(pool == "vertex")
