"""Planted bugs of the family UNK."""

from __future__ import annotations

from collections import Counter

from managers.deck import Card, Deck
from managers.ledger import AUTH, REGULAR, SEPARATORS, VERTEX
from managers.poor import NOTHING, PoorManager
from managers.rich import RichManager

from planted.registry import planted


class RetriesOnTheDefaultModel(RichManager):
    """The retry path looks an unknown model up as the default one."""

    async def _failed(self, pool, key, model_name, retries, status):
        known = self._resolve(model_name) in self._limits
        return await super()._failed(pool, key, model_name if known else None, retries, status)


class FailuresOfKnownModels(PoorManager):
    """Failures are tallied by model, and only the configured ones have a tally."""

    def __init__(self, pool):
        super().__init__(pool)
        self._failed_calls = dict.fromkeys((*pool.limits, pool.default_model), 0)

    def _blame(self, card, model, status):
        super()._blame(card, model, status)
        self._failed_calls[model] += 1


class UsageOfKnownModels(RichManager):
    """Usage is read back for configured models alone."""

    async def _usage(self, pool, key, model):
        if model not in self._limits and model != self._default_model:
            return {"rpm": 0, "tpm": 0, "rpd": 0} if key in self._keys[pool] else None
        return await super()._usage(pool, key, model)


class OneMeterForTheUnknown(PoorManager):
    """Unknown models share one meter, so that what is read back is the sum of all."""

    OTHERS = "*"

    def _name(self, model):
        name = super()._name(model)
        known = name in self._settings.limits or name == self._settings.default_model
        return name if known else self.OTHERS


class MarksTheDefaultModel(RichManager):
    """A 429 on a model without limits is remembered for the default model."""

    async def _mark(self, pool, key, model):
        await super()._mark(pool, key, model if model in self._limits else self._default_model)


class UnlimitedMeansForgotten(PoorManager):
    """A model without limits cannot be exhausted, so that a 429 on it is forgotten."""

    def _usable(self, card, model):
        if model not in self._settings.limits:
            return self._valid(card)
        return super()._usable(card, model)


class RefusalOfOneModel(RichManager):
    """A 401 on a model that is not configured takes the key out for that model alone."""

    async def _charge(self, pool, key, model, status):
        if status in AUTH and model not in self._limits:
            await self._mark(pool, key, model)
        else:
            await super()._charge(pool, key, model, status)


class ForbiddenMeansTheModel(PoorManager):
    """A 403 on a model that is not configured is taken for a mistake of the caller."""

    def _blame(self, card, model, status):
        if status == 403 and model not in self._settings.limits:
            status = 404
        super()._blame(card, model, status)


class FirstStemWins(RichManager):
    """A model maps to the first entry of the table that begins it, not to the longest."""

    def _resolve(self, model):
        name = super()._resolve(model)
        if name not in self._limits or name == model or not model:
            return name
        stems = (one for one in self._limits if model.startswith(one) and model[len(one)] in SEPARATORS)
        return next(stems)


class AnyStemWillDo(PoorManager):
    """A model maps to any entry that its name begins with, in the middle of a word too."""

    def _name(self, model):
        name = super()._name(model)
        return next((known for known in self._models if name.startswith(known)), name)


class AnythingIsAName(RichManager):
    """What is no text is looked up as if it were one."""

    def _resolve(self, model):
        if not model:
            model = self._default_model
        if model in self._limits:
            return model
        stems = [name for name in self._limits if model.startswith(tuple(name + end for end in SEPARATORS))]
        return max(stems, key=len, default=model)


class EmptyNameIsAModel(PoorManager):
    """The empty name is a model of its own, without limits, instead of the default one."""

    def _name(self, model):
        if isinstance(model, str) and model not in self._settings.limits:
            stems = (one for one in self._models if model.startswith((f"{one}-", f"{one}@", f"{one}:")))
            return next(stems, model)
        return super()._name(model)


class StrangersAreAdopted(RichManager):
    """A key that a report names and no pool knows is added to the pool."""

    async def _failed(self, pool, key, model_name, retries, status):
        if key and key not in self._keys[pool]:
            async with self._locks[pool]:
                self._keys[pool] = [*self._keys[pool], key]
        return await super()._failed(pool, key, model_name, retries, status)


class StrangersBlameTheLast(PoorManager):
    """A failure whose key is not known is charged to the key that was served last."""

    _last = None

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        self._last = self._card(vertex, key) or self._last
        return key

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        model, card = self._name(model_name), self._card(is_vertex_key, api_key) or self._last
        if card is not None:
            self._blame(card, model, status_code)
        if retries >= self._settings.max_retries:
            return NOTHING
        return await self._deal(is_vertex_key, model, besides=api_key)


class ResetAlwaysSucceeds(RichManager):
    """A reset answers True for a key that there is not."""

    async def _restore_in(self, pools, key):
        for pool in pools:
            async with self._locks[pool]:
                await self._restore(pool, key)
        return True


class UnknownMeansAll(PoorManager):
    """The reset of a key that is not known resets every key."""

    async def reset_key_failure_count(self, key):
        cards = [card for deck in self._decks.values() for card in deck.cards.values()]
        named = [card for card in cards if card.key == key]
        for card in named or cards:
            self._forgive(card)
        return bool(named)


class CountsEachListing(RichManager):
    """A request is counted for every place of the list that holds its key."""

    def __init__(self, pool):
        super().__init__(pool)
        self._listed = {
            REGULAR: Counter(pool.api_keys),
            VERTEX: Counter(pool.vertex_api_keys),
        }

    async def _count(self, pool, key, model, tokens):
        for _ in range(self._listed[pool][key] or 1):
            await super()._count(pool, key, model, tokens)


class ListingDeck(Deck):
    """A pool that holds a card for each place of the list."""

    def __init__(self, keys):
        super().__init__(range(len(keys)))
        self.cards = {place: Card(key) for place, key in enumerate(keys)}


class CardForEachListing(PoorManager):
    """A key listed twice has two cards: the second is dealt on when the first is out."""

    def __init__(self, pool):
        super().__init__(pool)
        self._decks = {False: ListingDeck(pool.api_keys), True: ListingDeck(pool.vertex_api_keys)}

    def _card(self, vertex, key):
        cards = self._decks[bool(vertex)].cards.values()
        return next((card for card in cards if card.key == key), None)

    async def _deal(self, vertex, model, besides=None):
        deck = self._decks[bool(vertex)]
        places = [place for place in deck.order(model) if self._usable(deck.cards[place], model)]
        others = [place for place in places if deck.cards[place].key != besides]
        for place in (*others, *places):
            deck.dealt(model, place)
            return deck.cards[place].key
        return NOTHING

    async def get_next_key(self, is_vertex_key=False):
        place = await super().get_next_key(is_vertex_key)
        return place if place == NOTHING else self._decks[bool(is_vertex_key)].cards[place].key


MUTANTS = (
    planted("UNK01", RetriesOnTheDefaultModel),
    planted("UNK01", FailuresOfKnownModels),
    planted("UNK02", UsageOfKnownModels),
    planted("UNK02", OneMeterForTheUnknown),
    planted("UNK03", MarksTheDefaultModel),
    planted("UNK03", UnlimitedMeansForgotten),
    planted("UNK04", RefusalOfOneModel),
    planted("UNK04", ForbiddenMeansTheModel),
    planted("UNK05", FirstStemWins),
    planted("UNK05", AnyStemWillDo),
    planted("UNK06", AnythingIsAName),
    planted("UNK06", EmptyNameIsAModel),
    planted("UNK07", StrangersAreAdopted),
    planted("UNK07", StrangersBlameTheLast),
    planted("UNK08", ResetAlwaysSucceeds),
    planted("UNK08", UnknownMeansAll),
    planted("UNK10", CountsEachListing),
    planted("UNK10", CardForEachListing),
)
