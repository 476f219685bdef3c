"""Sound twins that call the upstream themselves."""

from __future__ import annotations

import asyncio
import threading

import httpx
from managers.poor import NOTHING, PoorManager

from pytest_keyconform import Adapter


class Calls(Adapter):
    """Tries one key after the other, each once, within a deadline."""

    def __init__(self, pool):
        super().__init__(pool)
        self._books = PoorManager(pool)
        self._lock = asyncio.Lock()

    async def acquire(self, model, pool):
        return await self._books.get_key(model, pool == "vertex")

    async def next_key(self, pool):
        return await self._books.get_next_key(pool == "vertex")

    async def is_valid(self, key, pool):
        card = self._books._card(pool == "vertex", key)
        return card is not None and self._books._valid(card)

    async def failures(self, key, pool):
        card = self._books._card(pool == "vertex", key)
        return card.strikes if card else 0

    async def status(self, pool):
        return self._books._groups(pool == "vertex")

    async def usage(self, key, model, pool):
        name, card = self._books._name(model), self._books._card(pool == "vertex", key)
        meter = card and self._books._meter(card, name)
        return {"rpm": meter.rpm, "tpm": meter.tpm, "rpd": meter.rpd} if meter else None

    async def call(self, model, pool, send):
        async with asyncio.timeout(5.0):
            return await self._attempts(self._books._name(model), pool == "vertex", send)

    async def _attempts(self, model, vertex, send):
        tried, last = set(), None
        while key := await self._choose(model, vertex, tried):
            tried.add(key)
            try:
                return await send(key)
            except httpx.HTTPStatusError as error:
                last = error
                await self._blame(vertex, key, model, self._status(error))
        if last is not None:
            raise last
        return NOTHING

    def _status(self, error):
        return error.response.status_code

    async def _choose(self, model, vertex, tried):
        async with self._lock:
            deck = self._books._decks[vertex]
            for key in [key for key in deck.order(model) if key not in tried]:
                if self._books._usable(deck.cards[key], model):
                    deck.dealt(model, key)
                    return key
            return None

    async def _blame(self, vertex, key, model, status):
        async with self._lock:
            self._books._blame(self._books._card(vertex, key), model, status)


class CallsInThreads(Adapter):
    """The same without an event loop, and without limits; the upstream is asked while no lock is held."""

    policies = {"counted_on": "none"}

    def __init__(self, pool):
        super().__init__(pool)
        self._keys, self._turn, self._out = list(dict.fromkeys(pool.api_keys)), 0, set()
        self._lock = threading.Lock()

    def acquire(self):
        with self._lock:
            for _ in self._keys:
                self._turn += 1
                key = self._keys[self._turn % len(self._keys)]
                if key not in self._out:
                    return key
            return NOTHING

    def is_valid(self, key):
        return key in self._keys and key not in self._out

    def call(self, send):
        tried, last = set(), None
        while key := self._choose(tried):
            tried.add(key)
            try:
                return send(key)
            except httpx.HTTPStatusError as error:
                last = error
                if error.response.status_code in (401, 403, 429):
                    with self._lock:
                        self._out.add(key)
        if last is not None:
            raise last
        return NOTHING

    def _choose(self, tried):
        with self._lock:
            return next((key for key in self._keys if key not in tried and key not in self._out), None)
