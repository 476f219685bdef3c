"""Planted bugs of QUO08, QUO11, FMT07, FAIL17 and UNK09."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from managers.ledger import REGULAR
from managers.poor import NOTHING, PoorManager
from managers.rich import RichManager
from twins.choosing import CountedOnAcquire
from twins.instructed import ObeysRetryAfter

from planted.registry import planted


class ReadInTwo(RichManager):
    """The requests are read, the lock is given up, and then the tokens are read."""

    async def _usage(self, pool, key, model):
        first = await super()._usage(pool, key, model)
        second = await super()._usage(pool, key, model)
        return first and {**first, "tpm": second["tpm"]}


class DateInTheUsage(PoorManager):
    """The usage holds the day as a date."""

    async def get_usage_stats(self, api_key, model_name):
        told = await super().get_usage_stats(api_key, model_name)
        return told and {**told, "day": datetime.now(UTC).date()}


class LooksThenCounts(CountedOnAcquire):
    """What is left is looked at, something is awaited, and then it is counted."""

    async def _deal(self, vertex, model, besides=None):
        key = await PoorManager._deal(self, vertex, model, besides)
        await asyncio.sleep(0)
        if key != NOTHING:
            meter = self._open_meter(self._card(vertex, key), model)
            meter.rpm += 1
            meter.rpd += 1
        return key


class RefusedIsSpent(CountedOnAcquire):
    """An acquire that is refused counts for the first key."""

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        cards = list(self._decks[bool(vertex)].cards.values())
        if key == NOTHING and cards:
            meter = self._open_meter(cards[0], model)
            meter.rpm += 1
            meter.rpd += 1
        return key


class ConfiguredOnly(RichManager):
    """Models that were added on the fly are no part of the state."""

    async def get_state(self):
        told = await super().get_state()
        models = {name: group for name, group in told["models"].items() if name in self._limits}
        return {**told, "models": models, "summary": {**told["summary"], "total_models": len(models)}}


class TotalsOfUsableKeys(RichManager):
    """The total of the exhausted is what is not available."""

    async def get_state(self):
        told = await super().get_state()
        summary = told["summary"]
        return {**told, "summary": {**summary, "total_exhausted": summary["total_keys"] - summary["total_available"]}}


class RegularKeysAlone(RichManager):
    """The total of the keys leaves out those of the vertex pool."""

    async def get_state(self):
        told = await super().get_state()
        return {**told, "summary": {**told["summary"], "total_keys": len(self._keys[REGULAR])}}


class SummaryOfLater(RichManager):
    """The lists are made, something is awaited, and then the summary is counted."""

    async def get_state(self):
        told = await super().get_state()
        await asyncio.sleep(0)
        return {**told, "summary": (await super().get_state())["summary"]}


class MarkedIsAvailable(RichManager):
    """A 429 is not looked at when the lists are made."""

    async def get_state(self):
        told = await super().get_state()
        for pools in told["models"].values():
            for group in pools.values():
                group["available"] += group["exhausted"]
                group["exhausted"] = []
        totals = {f"total_{name}": told["summary"][f"total_{name}"] for name in ("available", "exhausted")}
        summary = {**told["summary"], "total_available": sum(totals.values()), "total_exhausted": 0}
        return {**told, "summary": summary}


class AlwaysAMinute(ObeysRetryAfter):
    """What the failure says is not looked at."""

    def _pause(self, told):
        return self.least


class ReadAsMinutes(ObeysRetryAfter):
    """What the failure says is taken for minutes."""

    def _pause(self, told):
        return max((told or 1) * 60.0, self.least)


class AsItCame(RichManager):
    """A model is counted under its name as it came."""

    def _spelling(self, model):
        return model


class CaseAlone(PoorManager):
    """The case of a name is folded, and its blanks and prefix are not."""

    def _name(self, model):
        return super()._name(model.casefold() if isinstance(model, str) else model)


MUTANTS = (
    planted("QUO08", ReadInTwo),
    planted("QUO08", DateInTheUsage),
    planted("QUO11", LooksThenCounts),
    planted("QUO11", RefusedIsSpent),
    planted("FMT07", ConfiguredOnly),
    planted("FMT07", TotalsOfUsableKeys),
    planted("FMT07", RegularKeysAlone),
    planted("FMT07", SummaryOfLater),
    planted("FMT07", MarkedIsAvailable),
    planted("FAIL17", AlwaysAMinute),
    planted("FAIL17", ReadAsMinutes),
    planted("UNK09", AsItCame),
    planted("UNK09", CaseAlone),
)
