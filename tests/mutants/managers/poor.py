"""`PoorManager`: asynchronous by signature alone; no method suspends, so each is atomic without a lock."""

from __future__ import annotations

import random
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from managers.deck import Deck, Meter

WINDOW = 60.0
DAY_ZONE = ZoneInfo("America/Los_Angeles")
NOTHING = ""


class PoorManager:
    """An asynchronous key manager over plain objects. ``_decks`` are the pools: vertex under True."""

    def __init__(self, pool):
        self._settings = pool
        self._models = sorted(pool.limits, key=len, reverse=True)
        self._decks = {False: Deck(pool.api_keys), True: Deck(pool.vertex_api_keys)}

    async def init(self):
        return None

    async def shutdown(self):
        return None

    # -- lookups

    def _name(self, model):
        """Answer the configured model that a name means, else the name itself."""
        if not model and (model is None or isinstance(model, str)):
            model = self._settings.default_model
        if not isinstance(model, str):
            message = "the name of a model is a str"
            raise TypeError(message)
        for known in self._models:
            if model == known or model.startswith((f"{known}-", f"{known}@", f"{known}:")):
                return known
        return model

    def _card(self, vertex, key):
        return self._decks[bool(vertex)].cards.get(key) if isinstance(key, str) else None

    def _meter(self, card, model):
        """Answer the meter of a card for a model, its windows rolled on to now."""
        meter = card.meters.get(model) or Meter()
        now = time.time()
        if meter.opened is not None and not 0 <= now - meter.opened < WINDOW:
            meter.opened, meter.rpm, meter.tpm, meter.marked = None, 0, 0, False
        day = datetime.fromtimestamp(now, DAY_ZONE).date()
        if meter.day != day:
            meter.day, meter.rpd = day, 0
        return meter

    def _open_meter(self, card, model):
        """Answer the meter to write to, its minute open."""
        meter = card.meters[model] = self._meter(card, model)
        if meter.opened is None:
            meter.opened = time.time()
        return meter

    def _valid(self, card):
        return not card.out and card.strikes < self._settings.max_failures

    def _below(self, meter, model):
        limits = self._settings.limits.get(model)
        pairs = () if limits is None else ((meter.rpm, limits.rpm), (meter.tpm, limits.tpm), (meter.rpd, limits.rpd))
        return all(limit is None or used < limit for used, limit in pairs)

    def _usable(self, card, model):
        if not self._valid(card):
            return False
        meter = self._meter(card, model)
        return not meter.marked and self._below(meter, model)

    # -- dealing

    async def _deal(self, vertex, model, besides=None):
        """Serve the usable key that waited longest; the one to avoid only where it is the last."""
        deck = self._decks[bool(vertex)]
        usable = [key for key in deck.order(model) if self._usable(deck.cards[key], model)]
        others = [key for key in usable if key != besides]
        for key in (*others, *usable):
            deck.dealt(model, key)
            return key
        return NOTHING

    async def get_key(self, model_name=None, is_vertex_key=False):
        return await self._deal(is_vertex_key, self._name(model_name))

    async def get_next_working_key(self, model_name=None):
        return await self.get_key(model_name)

    async def get_next_working_vertex_key(self, model_name=None):
        return await self.get_key(model_name, is_vertex_key=True)

    async def get_first_valid_key(self):
        model = self._name(None)
        cards = self._decks[False].cards.values()
        return next((card.key for card in cards if self._usable(card, model)), NOTHING)

    async def get_random_valid_key(self, model_name=None):
        model = self._name(model_name)
        usable = [card.key for card in self._decks[False].cards.values() if self._usable(card, model)]
        return random.choice(usable or [NOTHING])

    async def get_next_key(self, is_vertex_key=False):
        rotation = self._decks[bool(is_vertex_key)].rotation
        if not rotation:
            return NOTHING
        rotation.rotate(-1)
        return rotation[-1]

    async def get_next_vertex_key(self):
        return await self.get_next_key(is_vertex_key=True)

    # -- reports

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        model, card = self._name(model_name), self._card(is_vertex_key, key_value)
        if card is None or type(tokens_used) is not int or tokens_used < 0:
            return False
        self._spend(card, model, tokens_used)
        if error and error_type in ("429", "permanent"):
            self._blame(card, model, 429 if error_type == "429" else 401)
        return True

    def _spend(self, card, model, tokens):
        meter = self._open_meter(card, model)
        meter.rpm += 1
        meter.tpm += tokens
        meter.rpd += 1

    def _blame(self, card, model, status):
        match status:
            case 429:
                self._open_meter(card, model).marked = True
            case 401 | 403:
                card.out, card.strikes = True, max(card.strikes, self._settings.max_failures)
            case 400 | 404 | 413 | 422:
                pass
            case _:
                card.strikes += 1

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        model, card = self._name(model_name), self._card(is_vertex_key, api_key)
        if card is not None:
            self._blame(card, model, status_code)
        if retries >= self._settings.max_retries:
            return NOTHING
        return await self._deal(is_vertex_key, model, besides=api_key)

    async def handle_vertex_api_failure(self, api_key, retries, model_name=None):
        return await self.handle_api_failure(api_key, model_name, retries, is_vertex_key=True)

    # -- recovery

    def _forgive(self, card):
        card.strikes, card.out = 0, False
        for meter in card.meters.values():
            meter.marked = False

    async def reset_key_failure_count(self, key):
        cards = [card for vertex in (False, True) if (card := self._card(vertex, key))]
        for card in cards:
            self._forgive(card)
        return bool(cards)

    async def reset_vertex_key_failure_count(self, key):
        card = self._card(True, key)
        if card is None:
            return False
        self._forgive(card)
        return True

    async def reset_failure_counts(self):
        for card in self._decks[False].cards.values():
            self._forgive(card)

    async def reset_vertex_failure_counts(self):
        for card in self._decks[True].cards.values():
            self._forgive(card)

    async def reactivate_key(self, key, model_name=None):
        cards = [card for vertex in (False, True) if (card := self._card(vertex, key))]
        for card in cards:
            if model_name is None:
                self._forgive(card)
            elif (meter := card.meters.get(self._name(model_name))) is not None:
                meter.marked = False
        return bool(cards)

    async def reset_usage(self):
        for deck in self._decks.values():
            for card in deck.cards.values():
                for meter in card.meters.values():
                    meter.rpm = meter.tpm = meter.rpd = 0

    # -- views

    def _groups(self, vertex):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for card in self._decks[vertex].cards.values():
            groups["valid_keys" if self._valid(card) else "invalid_keys"][card.key] = card.strikes
        return groups

    async def get_keys_by_status(self):
        return self._groups(False)

    async def get_vertex_keys_by_status(self):
        return self._groups(True)

    async def get_all_keys_with_fail_count(self):
        groups = self._groups(False)
        return {**groups, "all_keys": groups["valid_keys"] | groups["invalid_keys"]}

    async def get_fail_count(self, key):
        card = self._card(False, key)
        return card.strikes if card else 0

    async def get_vertex_fail_count(self, key):
        card = self._card(True, key)
        return card.strikes if card else 0

    async def is_key_valid(self, key):
        card = self._card(False, key)
        return card is not None and self._valid(card)

    async def is_vertex_key_valid(self, key):
        card = self._card(True, key)
        return card is not None and self._valid(card)

    async def get_usage_stats(self, api_key, model_name):
        model, card = self._name(model_name), self._card(False, api_key)
        if card is None:
            return None
        meter = self._meter(card, model)
        return {"rpm": meter.rpm, "tpm": meter.tpm, "rpd": meter.rpd}

    async def reinitialize(self, api_keys, vertex_api_keys):
        regular, vertex = tuple(api_keys), tuple(vertex_api_keys)
        self._decks[False].exchange(regular)
        self._decks[True].exchange(vertex)

    async def get_paid_key(self):
        return self._settings.paid_key
