"""Planted bugs of the family FAIL: replacement and recovery."""

from __future__ import annotations

import time
from dataclasses import replace

from managers.poor import NOTHING, PoorManager
from managers.records import Health, Tally
from managers.rich import SENTINEL, RichManager

from planted.registry import planted


class SameKeyAgain(RichManager):
    """The replacement is the key whose turn it is, which may be the one that has just failed."""

    async def _failed(self, pool, key, model_name, retries, status):
        model = self._resolve(model_name)
        async with self._locks[pool]:
            if key in self._keys[pool]:
                await self._charge(pool, key, model, status)
            if retries >= self._max_retries:
                return SENTINEL
            return await self._choose(pool, model)


class ReplacedForTheDefaultModel(PoorManager):
    """The replacement is chosen for the default model."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        model, card = self._name(model_name), self._card(is_vertex_key, api_key)
        if card is not None:
            self._blame(card, model, status_code)
        if retries >= self._settings.max_retries:
            return NOTHING
        return await self._deal(is_vertex_key, self._name(None), besides=api_key)


class TallyBuiltAnew(RichManager):
    """Counting builds a new tally and leaves out the mark of the old one."""

    async def _count(self, pool, key, model, tokens):
        tally = await self._tally(pool, key, model)
        counted = Tally(
            minute=tally.minute,
            requests=tally.requests + 1,
            tokens=tally.tokens + tokens,
            day=tally.day,
            daily=tally.daily + 1,
            last_used=time.time(),
        )
        await self._put_tally(pool, key, model, counted)


class OneSuccessFreesAll(PoorManager):
    """A success with a model lifts the marks that other keys have for it."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        stored = await super().update_usage(*arguments)
        if stored and not error:
            for card in self._decks[bool(is_vertex_key)].cards.values():
                if card.key != key_value:
                    self._meter(card, self._name(model_name)).marked = False
        return stored


class MarksOutliveTheReset(RichManager):
    """The reset of a key clears strikes and bans, and leaves it marked for the models that answered 429."""

    async def _restore(self, pool, key):
        await self._put_health(pool, key, Health())


class NothingLeftToReset(PoorManager):
    """The reset of a key that is well already answers False."""

    async def reset_key_failure_count(self, key):
        cards = [card for vertex in (False, True) if (card := self._card(vertex, key))]
        changed = [card for card in cards if card.strikes or card.out]
        for card in cards:
            self._forgive(card)
        return bool(changed)


class BannedOnesStayOut(RichManager):
    """The reset of all keys zeroes strikes, and leaves out those taken out by a 401."""

    async def _restore_all(self, pool):
        async with self._locks[pool]:
            for key in self._keys[pool]:
                health = await self._health(pool, key)
                await self._put_health(pool, key, replace(health, strikes=0))
                for name in await self._store.find("tally", pool, key):
                    await self._lift(pool, key, *name)


class RestoresWhatIsOut(PoorManager):
    """Only the keys that are out are restored; strikes below the threshold stay."""

    async def reset_failure_counts(self):
        self._forgive_out(self._decks[False])

    async def reset_vertex_failure_counts(self):
        self._forgive_out(self._decks[True])

    def _forgive_out(self, deck):
        for card in deck.cards.values():
            if not self._valid(card) or any(meter.marked for meter in card.meters.values()):
                self._forgive(card)


class RestoredInTheStatusOnly(PoorManager):
    """A key that is out leaves the order it is dealt in; the reset of all does not put it back."""

    def _blame(self, card, model, status):
        super()._blame(card, model, status)
        for deck in self._decks.values():
            if deck.cards.get(card.key) is card and not self._valid(card) and card.key in deck.order(model):
                deck.order(model).remove(card.key)

    async def reset_key_failure_count(self, key):
        known = await super().reset_key_failure_count(key)
        for deck in self._decks.values():
            for order in deck._orders.values() if key in deck.cards else ():
                if key not in order:
                    order.append(key)
        return known


class LiftsEveryModel(RichManager):
    """Reactivating a key for one model lifts its marks for all."""

    async def reactivate_key(self, key, model_name=None):
        known = False
        for pool in self._keys:
            async with self._locks[pool]:
                if key in self._keys[pool]:
                    for name in await self._store.find("tally", pool, key):
                        await self._lift(pool, key, *name)
                    if model_name is None:
                        await self._put_health(pool, key, Health())
                    known = True
        return known


class ReactivatedButMarked(PoorManager):
    """Reactivating a key brings it back from strikes and refusals, and leaves its marks."""

    async def reactivate_key(self, key, model_name=None):
        if model_name is not None:
            return await super().reactivate_key(key, model_name)
        cards = [card for vertex in (False, True) if (card := self._card(vertex, key))]
        for card in cards:
            card.strikes, card.out = 0, False
        return bool(cards)


MUTANTS = (
    planted("FAIL08", SameKeyAgain),
    planted("FAIL08", ReplacedForTheDefaultModel),
    planted("FAIL09", TallyBuiltAnew),
    planted("FAIL09", OneSuccessFreesAll),
    planted("FAIL10", MarksOutliveTheReset),
    planted("FAIL10", NothingLeftToReset),
    planted("FAIL11", BannedOnesStayOut),
    planted("FAIL11", RestoredInTheStatusOnly),
    planted("FAIL11", RestoresWhatIsOut),
    planted("FAIL12", LiftsEveryModel),
    planted("FAIL12", ReactivatedButMarked),
)
