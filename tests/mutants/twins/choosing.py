"""Sound twins that choose in another way, or count when a key is handed out."""

from __future__ import annotations

import random
import time

from managers.poor import NOTHING, WINDOW, PoorManager

from pytest_keyconform import Policies


class LeastUsed(PoorManager):
    """Serves the key with the fewest calls, those under way included; among equals the one served longest ago.

    ``_under_way`` are the times at which keys were handed out and not reported since, by pool, key and model.
    """

    policies = Policies(selection="least-used")
    get_first_valid_key = None

    def __init__(self, pool):
        super().__init__(pool)
        self._under_way = {}
        self._served = 0
        self._stamps = {}

    def _pending(self, vertex, key, model):
        now = time.monotonic()
        handed = [at for at in self._under_way.get((vertex, key, model), []) if now - at < WINDOW]
        self._under_way[vertex, key, model] = handed
        return handed

    def _load(self, card, model, pending):
        return self._meter(card, model).rpm + pending

    async def _deal(self, vertex, model, besides=None):
        vertex, cards = bool(vertex), self._decks[bool(vertex)].cards

        def worth(card):
            pending = len(self._pending(vertex, card.key, model))
            stamp = self._stamps.get((vertex, card.key, model), 0)
            return card.key == besides, self._load(card, model, pending), stamp

        usable = [card for card in cards.values() if self._usable(card, model)]
        if not usable:
            return NOTHING
        key = min(usable, key=worth).key
        self._served += 1
        self._stamps[vertex, key, model] = self._served
        return key

    async def get_key(self, model_name=None, is_vertex_key=False):
        key = await super().get_key(model_name, is_vertex_key)
        if key != NOTHING:
            name = bool(is_vertex_key), key, self._name(model_name)
            self._under_way[name].append(time.monotonic())
        return key

    def _reported(self, vertex, key, model):
        handed = self._pending(bool(vertex), key, model) if self._card(vertex, key) else []
        if handed:
            handed.pop(0)

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        self._reported(is_vertex_key, key_value, self._name(model_name))
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        return await super().update_usage(*arguments)

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        self._reported(is_vertex_key, api_key, self._name(model_name))
        arguments = (api_key, model_name, retries, is_vertex_key, status_code)
        return await super().handle_api_failure(*arguments)


class MostLeft(LeastUsed):
    """Serves the key with the most of its rate left, of requests and tokens alike."""

    policies = Policies(selection="most-left")

    def _load(self, card, model, pending):
        meter, limits = self._meter(card, model), self._settings.limits.get(model)
        requests = meter.rpm + pending
        if limits is None:
            return requests
        pairs = ((requests, limits.rpm), (meter.tpm, limits.tpm), (meter.rpd + pending, limits.rpd))
        return max((used / limit for used, limit in pairs if limit), default=requests)


class RandomChoice(PoorManager):
    """Serves any usable key."""

    policies = Policies(selection="random")

    async def _deal(self, vertex, model, besides=None):
        cards = self._decks[bool(vertex)].cards.values()
        usable = [card.key for card in cards if self._usable(card, model)]
        others = [key for key in usable if key != besides]
        return random.choice(others or usable or [NOTHING])


class ByTimeStamp(PoorManager):
    """Serves the usable key that was served longest ago by the clock."""

    def __init__(self, pool):
        super().__init__(pool)
        self._served_at = {}

    async def _deal(self, vertex, model, besides=None):
        deck = self._decks[bool(vertex)]
        usable = [key for key in deck.cards if self._usable(deck.cards[key], model)]
        others = [key for key in usable if key != besides] or usable
        if not others:
            return NOTHING
        key = min(others, key=lambda one: self._served_at.get((bool(vertex), one, model), float("-inf")))
        self._served_at[bool(vertex), key, model] = time.monotonic()
        return key


class CountedOnAcquire(PoorManager):
    """A request is counted when its key is handed out; the report adds its tokens."""

    policies = Policies(counted_on="acquire")
    get_random_valid_key = get_first_valid_key = None

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        if key != NOTHING:
            meter = self._open_meter(self._card(vertex, key), model)
            meter.rpm += 1
            meter.rpd += 1
        return key

    def _spend(self, card, model, tokens):
        self._open_meter(card, model).tpm += tokens
