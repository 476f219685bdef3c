"""Planted bugs of LIFE07 to LIFE09."""

from __future__ import annotations

import asyncio
import copy

from managers.deck import Deck
from managers.ledger import REGULAR, VERTEX
from managers.poor import PoorManager
from managers.rich import RichManager

from planted.registry import planted


class KeysAreAdded(RichManager):
    """New keys are added, and old ones stay."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        await super().reinitialize([*self._keys[REGULAR], *api_keys], [*self._keys[VERTEX], *vertex_api_keys])


class CountsAreLost(PoorManager):
    """Every key of the new pool begins with nothing counted."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        self._decks = {False: Deck(api_keys), True: Deck(vertex_api_keys)}


class VertexBeginsAnew(PoorManager):
    """The vertex keys that stay begin with nothing counted and no strike."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        await super().reinitialize(api_keys, vertex_api_keys)
        self._decks[True] = Deck(vertex_api_keys)


class PlaceIsKept(RichManager):
    """The place in the rotation stays, behind the end of a shorter list."""

    async def _next(self, pool):
        async with self._locks[pool]:
            keys = self._keys[pool]
            if not keys:
                return ""
            place = self._turns[pool]
            self._turns[pool] = (place + 1) % len(keys)
            return keys[place]


class MeanwhileIsLost(PoorManager):
    """The cards of those that stay are copied, something is awaited, and the copies are put in their place."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        copies = copy.deepcopy(self._decks)
        await asyncio.sleep(0)
        self._decks = copies
        await super().reinitialize(api_keys, vertex_api_keys)


class EmptiedThenFilled(RichManager):
    """The lists are emptied, something is awaited, and they are filled."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        self._keys = {REGULAR: [], VERTEX: []}
        await asyncio.sleep(0)
        self._keys = {REGULAR: list(dict.fromkeys(api_keys)), VERTEX: list(dict.fromkeys(vertex_api_keys))}


class VertexComesLater(PoorManager):
    """The regular pool is exchanged and the vertex one emptied; something is awaited before that is filled."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        vertex = self._decks[True]
        self._decks[False].exchange(tuple(api_keys))
        self._decks[True] = Deck(())
        await asyncio.sleep(0)
        self._decks[True] = vertex
        vertex.exchange(tuple(vertex_api_keys))


class CardsComeLater(PoorManager):
    """The order of the new pool is there before its cards are."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        old = self._decks
        new = {False: Deck(api_keys), True: Deck(vertex_api_keys)}
        for deck in new.values():
            deck.order("m1")
            deck.cards, cards = {}, deck.cards
            deck.waiting = cards
        self._decks = new
        await asyncio.sleep(0)
        for vertex, deck in new.items():
            deck.cards = {key: old[vertex].cards.get(key) or card for key, card in deck.waiting.items()}


class ClearedFirst(RichManager):
    """The old pool is cleared before the new one is looked at."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        self._keys = {REGULAR: [], VERTEX: []}
        self._keys = {REGULAR: list(dict.fromkeys(api_keys)), VERTEX: list(dict.fromkeys(vertex_api_keys))}


class HalfExchanged(PoorManager):
    """The vertex pool and the books are gone before the regular list is read."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        self._decks = {}
        self._decks = {True: Deck(vertex_api_keys), False: Deck(api_keys)}


class RegularGoesFirst(RichManager):
    """The regular list is in its place before the vertex list is read."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        self._keys[REGULAR] = list(dict.fromkeys(api_keys))
        await super().reinitialize(api_keys, vertex_api_keys)


MUTANTS = (
    planted("LIFE07", KeysAreAdded),
    planted("LIFE07", CountsAreLost),
    planted("LIFE07", VertexBeginsAnew),
    planted("LIFE07", PlaceIsKept),
    planted("LIFE07", MeanwhileIsLost),
    planted("LIFE08", EmptiedThenFilled),
    planted("LIFE08", CardsComeLater),
    planted("LIFE08", VertexComesLater),
    planted("LIFE09", ClearedFirst),
    planted("LIFE09", HalfExchanged),
    planted("LIFE09", RegularGoesFirst),
)
