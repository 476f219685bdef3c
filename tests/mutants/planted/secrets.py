"""Planted bugs of the family SEC."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from managers.poor import PoorManager
from managers.rich import RichManager

from planted.registry import planted

log = logging.getLogger(__name__)


class LogsTheKey(RichManager):
    """The key that is served is logged at the lowest level."""

    async def _choose(self, pool, model, avoid=None):
        key = await super()._choose(pool, model, avoid)
        log.debug("serving %s for %s", key, model)
        return key


class PrintsTheFailure(PoorManager):
    """The key that failed is printed."""

    def _blame(self, card, model, status):
        print("failed", card.key, status)  # noqa: T201 - the bug
        super()._blame(card, model, status)


class NamesTheKeyInAnError(RichManager):
    """An unknown key is named in the cause of the error about it."""

    async def _restore_in(self, pools, key):
        if not any(key in self._keys[pool] for pool in pools):
            try:
                raise KeyError(key)
            except KeyError as error:
                raise ValueError("no such key") from error
        return await super()._restore_in(pools, key)


@dataclass
class Served:
    """What was served last."""

    key: str


class ShowsWhatItServed(PoorManager):
    """What was served last is kept in a dataclass that shows it."""

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        self._last = Served(key)
        return key


class FirstTwelve(RichManager):
    """The first twelve characters are logged."""

    async def _choose(self, pool, model, avoid=None):
        key = await super()._choose(pool, model, avoid)
        log.info("serving %s…", key[:12])
        return key


class AllButTheMiddle(PoorManager):
    """All but the middle is masked the wrong way round: it is shown."""

    def _blame(self, card, model, status):
        log.warning("%s failed with %s", card.key[3:-3], status)
        super()._blame(card, model, status)


class StateOfKeys(RichManager):
    """The state names each key."""

    def _row(self, key, tally, model):
        return {**super()._row(key, tally, model), "api_key": key}


class UsageNamesItsKey(PoorManager):
    """The health is the list of the keys that work."""

    async def health(self):
        return [card.key for card in self._decks[False].cards.values() if self._valid(card)]


class EightOfTwelve(RichManager):
    """The state shows four characters at either end of a key, however short it is."""

    def _row(self, key, tally, model):
        return {**super()._row(key, tally, model), "api_key": f"{key[:4]}...{key[-4:]}"}


MUTANTS = (
    planted("SEC01", LogsTheKey),
    planted("SEC01", PrintsTheFailure),
    planted("SEC02", NamesTheKeyInAnError),
    planted("SEC02", ShowsWhatItServed),
    planted("SEC03", FirstTwelve),
    planted("SEC03", AllButTheMiddle),
    planted("SEC04", StateOfKeys),
    planted("SEC04", UsageNamesItsKey),
    planted("SEC03", EightOfTwelve),
)
