"""Planted bugs of LIFE07 to LIFE09."""

from __future__ import annotations

import asyncio

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


class EmptiedThenFilled(RichManager):
    """The lists are emptied, something is awaited, and they are filled."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        self._keys = {REGULAR: [], VERTEX: []}
        await asyncio.sleep(0)
        self._keys = {REGULAR: list(dict.fromkeys(api_keys)), VERTEX: list(dict.fromkeys(vertex_api_keys))}


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


MUTANTS = (
    planted("LIFE07", KeysAreAdded),
    planted("LIFE07", CountsAreLost),
    planted("LIFE08", EmptiedThenFilled),
    planted("LIFE08", CardsComeLater),
    planted("LIFE09", ClearedFirst),
    planted("LIFE09", HalfExchanged),
)
