"""Planted bugs of LIFE11, LIFE13 and QUO03."""

from __future__ import annotations

from managers.poor import PoorManager
from managers.rich import RichManager

from planted.registry import planted
from pytest_keyconform.spec.pool import Pool


class KeepsTheListOfAReload(RichManager):
    """The list given to a reload is kept as it is."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        await super().reinitialize(api_keys, vertex_api_keys)
        self._keys["regular"] = api_keys


class KeepsTheListForNextKey(PoorManager):
    """The rotation is the list given to a reload."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        await super().reinitialize(api_keys, vertex_api_keys)
        self._given = api_keys

    async def get_next_key(self, is_vertex_key=False):
        if not is_vertex_key and getattr(self, "_given", None):
            return self._given[0]
        return await super().get_next_key(is_vertex_key)


class KeepsTheListsGiven(PoorManager):
    """The list given at construction is looked at each time."""

    def __init__(self, api_keys: list, vertex_api_keys: list):
        super().__init__(Pool(api_keys=tuple(api_keys), vertex_api_keys=tuple(vertex_api_keys)))
        self._given = api_keys

    async def get_next_key(self, is_vertex_key=False):
        return await super().get_next_key(is_vertex_key) if is_vertex_key else self._given[0]


class NoneUntilOpened(RichManager):
    """What opening makes is None until then."""

    def __init__(self, pool):
        super().__init__(pool)
        self._ready, self._locks = self._locks, None

    async def init(self):
        self._locks = self._ready


class OpeningBeginsAnew(PoorManager):
    """What was reported before the opening is forgotten by it."""

    async def init(self):
        for deck in self._decks.values():
            deck.cards = {key: type(card)(key) for key, card in deck.cards.items()}


class LetsAllThrough(RichManager):
    """Whoever asks before the first report is let through."""


class LetsAllThroughAtOnce(PoorManager):
    """Whoever asks before the first report is let through."""


MUTANTS = (
    planted("LIFE11", KeepsTheListOfAReload),
    planted("LIFE11", KeepsTheListForNextKey),
    planted("LIFE11", KeepsTheListsGiven),
    planted("LIFE13", NoneUntilOpened),
    planted("LIFE13", OpeningBeginsAnew),
    planted("QUO03", LetsAllThrough),
    planted("QUO03", LetsAllThroughAtOnce),
)
