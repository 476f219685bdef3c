"""Sound twins with other windows, and with keys that come back on another day or by themselves."""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta

from managers.poor import DAY_ZONE, WINDOW, PoorManager

from pytest_keyconform import Policies


class MarksWithStamps(PoorManager):
    """A 429 mark ends at an instant of its own, kept by pool object, key and model.

    ``_now`` is a clock that nobody sets back; a subclass whose marks end with a day has the wall clock.
    """

    _now = staticmethod(time.monotonic)

    def __init__(self, pool):
        super().__init__(pool)
        self._until = {}
        self._offences = {}

    def _mark_ends(self, card, model):
        raise NotImplementedError

    def _usable(self, card, model):
        if self._now() < self._until.get((id(card), model), -math.inf):
            return False
        return super()._usable(card, model)

    def _blame(self, card, model, status):
        if status != 429:
            super()._blame(card, model, status)
            return
        self._offences[id(card), model] = self._offences.get((id(card), model), 0) + 1
        self._until[id(card), model] = self._mark_ends(card, model)

    def _forgive(self, card):
        super()._forgive(card)
        for name in [name for name in self._until if name[0] == id(card)]:
            del self._until[name]
            del self._offences[name]

    async def reactivate_key(self, key, model_name=None):
        if model_name is None:
            return await super().reactivate_key(key)
        cards = [card for vertex in (False, True) if (card := self._card(vertex, key))]
        for card in cards:
            self._until.pop((id(card), self._name(model_name)), None)
            self._offences.pop((id(card), self._name(model_name)), None)
        return bool(cards)


class BackAfterSeconds(MarksWithStamps):
    """A 429 keeps a key out for 30 s."""

    policies = Policies(quota_recovery=30.0)

    def _mark_ends(self, card, model):
        return self._now() + 30.0


class BackAfterSteps(MarksWithStamps):
    """Each further 429 keeps a key out for longer: 10 s, 20 s, then 40 s each."""

    policies = Policies(quota_recovery=(10.0, 20.0, 40.0))

    def _mark_ends(self, card, model):
        step = min(self._offences[id(card), model], 3)
        return self._now() + (10.0, 20.0, 40.0)[step - 1]


class BackNextDay(MarksWithStamps):
    """A 429 keeps a key out until the provider's midnight."""

    policies = Policies(quota_recovery="day")
    _now = staticmethod(time.time)

    def _mark_ends(self, card, model):
        today = datetime.fromtimestamp(time.time(), DAY_ZONE)
        tomorrow = today.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return tomorrow.timestamp()


class BackByHand(MarksWithStamps):
    """A 429 keeps a key out until somebody brings it back."""

    policies = Policies(quota_recovery=None)

    def _mark_ends(self, card, model):
        return math.inf


class StrikesHeal(PoorManager):
    """A struck-out key comes back after two minutes, with no strikes; one that was refused after five.

    ``_back_at`` is when, by pool object; a key that is not out has none.
    """

    policies = Policies(strike_recovery=120.0, auth_recovery=300.0)

    def __init__(self, pool):
        super().__init__(pool)
        self._back_at = {}

    def _card(self, vertex, key):
        return self._healed(super()._card(vertex, key))

    def _healed(self, card):
        if time.time() >= self._back_at.get(id(card), math.inf):
            del self._back_at[id(card)]
            card.strikes, card.out = 0, False
        return card

    def _valid(self, card):
        return super()._valid(self._healed(card))

    def _blame(self, card, model, status):
        was_valid, was_out = self._valid(card), card.out
        super()._blame(card, model, status)
        if card.out and not was_out:
            self._back_at[id(card)] = time.time() + 300.0
        elif was_valid and not self._valid(card):
            self._back_at[id(card)] = time.time() + 120.0

    def _forgive(self, card):
        super()._forgive(card)
        self._back_at.pop(id(card), None)


class Rolling(PoorManager):
    """A request counts for the 60 s after it; a 429 mark lasts as long. ``_spent`` are times and tokens."""

    policies = Policies(minute_window="rolling")

    def __init__(self, pool):
        super().__init__(pool)
        self._spent = {}
        self._marked = {}

    def _meter(self, card, model):
        meter, now = super()._meter(card, model), time.time()
        spent = [one for one in self._spent.get((id(card), model), []) if 0 <= now - one[0] < WINDOW]
        if (id(card), model) in self._spent:
            self._spent[id(card), model] = spent
        meter.opened, meter.rpm, meter.tpm = None, len(spent), sum(tokens for _, tokens in spent)
        meter.marked = 0 <= now - self._marked.get((id(card), model), -math.inf) < WINDOW
        return meter

    def _spend(self, card, model, tokens):
        self._open_meter(card, model).rpd += 1
        self._spent.setdefault((id(card), model), []).append((time.time(), tokens))

    def _blame(self, card, model, status):
        if status == 429:
            self._marked[id(card), model] = time.time()
        else:
            super()._blame(card, model, status)

    def _forgive(self, card):
        super()._forgive(card)
        self._marked = {name: at for name, at in self._marked.items() if name[0] != id(card)}

    async def reactivate_key(self, key, model_name=None):
        for vertex in (False, True):
            card = self._card(vertex, key)
            if card is not None and model_name is not None:
                self._marked.pop((id(card), self._name(model_name)), None)
        return await super().reactivate_key(key, model_name)

    async def reset_usage(self):
        await super().reset_usage()
        self._spent.clear()


class Bucket(PoorManager):
    """Limits of a minute are buckets that run empty steadily; a model without limits keeps plain minutes.

    ``_levels`` hold how full a bucket was at an instant, by pool object, model and limit.
    """

    policies = Policies(minute_window="bucket")

    def __init__(self, pool):
        super().__init__(pool)
        self._levels = {}

    def _level(self, card, model, name, capacity):
        level, at = self._levels.get((id(card), model, name), (0.0, time.monotonic()))
        passed = max(0.0, time.monotonic() - at)
        return max(0.0, level - passed * capacity / WINDOW)

    def _capacity(self, model, name):
        return getattr(self._settings.limits.get(model), name, None)

    def _meter(self, card, model):
        meter = super()._meter(card, model)
        for name in ("rpm", "tpm"):
            capacity = self._capacity(model, name)
            if capacity is not None:
                setattr(meter, name, math.ceil(self._level(card, model, name, capacity)))
        return meter

    def _spend(self, card, model, tokens):
        for name, amount in (("rpm", 1), ("tpm", tokens)):
            capacity = self._capacity(model, name)
            if capacity is not None:
                level = self._level(card, model, name, capacity)
                self._levels[id(card), model, name] = level + amount, time.monotonic()
        super()._spend(card, model, tokens)

    async def reset_usage(self):
        await super().reset_usage()
        self._levels.clear()
