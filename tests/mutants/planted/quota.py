"""Planted bugs of the family QUO."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from managers.ledger import REGULAR, VERTEX
from managers.poor import PoorManager
from managers.records import MemoryStore
from managers.rich import RichManager
from twins.stored import ConnectsForEachCall

from planted.registry import planted


class CountsOutsideTheLock(RichManager):
    """The lock covers the look-up of the key; its usage is read and written after it was released."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        pool, model = self._pool(is_vertex_key), self._resolve(model_name)
        if not self._is_amount(tokens_used):
            message = "tokens_used is a whole number from 0 on"
            raise ValueError(message)
        async with self._locks[pool]:
            known = key_value in self._keys[pool]
        if not known:
            return False
        return await self._record(pool, key_value, model, tokens_used, error_type if error else None)


class SumWrittenAfterAwait(PoorManager):
    """The new sum of tokens is made before an await and stored after it."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        model, card = self._name(model_name), self._card(is_vertex_key, key_value)
        if card is None or type(tokens_used) is not int or tokens_used < 0:
            return False
        meter = self._open_meter(card, model)
        tokens = meter.tpm + tokens_used
        await asyncio.sleep(0)
        meter.rpm, meter.rpd, meter.tpm = meter.rpm + 1, meter.rpd + 1, tokens
        if error and error_type in ("429", "permanent"):
            self._blame(card, model, 429 if error_type == "429" else 401)
        return True


class TokensMayReachTheLimit(RichManager):
    """A key whose tokens are exactly at the limit is served once more."""

    def _has_room(self, tally, model):
        limits = self._limits.get(model)
        if limits is None:
            return True
        requests = all(
            limit is None or count < limit for count, limit in ((tally.requests, limits.rpm), (tally.daily, limits.rpd))
        )
        return requests and (limits.tpm is None or tally.tokens <= limits.tpm)


class LastOfTheDayUnspent(PoorManager):
    """The last request of the day is never granted."""

    def _below(self, meter, model):
        limits = self._settings.limits.get(model)
        if limits is not None and limits.rpd is not None and meter.rpd + 1 >= limits.rpd:
            return False
        return super()._below(meter, model)


class JoinedStore(MemoryStore):
    """Rows under one text each."""

    async def get(self, *name):
        await asyncio.sleep(0)
        return self._rows.get(":".join(name), (None, None))[1]

    async def put(self, row, *name):
        await asyncio.sleep(0)
        self._rows[":".join(name)] = name, row

    async def drop(self, *beginning):
        await asyncio.sleep(0)
        size = len(beginning)
        self._rows = {text: held for text, held in self._rows.items() if held[0][:size] != beginning}

    async def find(self, *beginning):
        await asyncio.sleep(0)
        size = len(beginning)
        return {name[size:]: row for name, row in self._rows.values() if name[:size] == beginning}


class NamesRunTogether(RichManager):
    """Rows are named by key and model with a colon between them, which both may contain."""

    def __init__(self, pool):
        super().__init__(pool)
        self._store = JoinedStore()


class DaysOfAllModels(PoorManager):
    """The requests of the day are counted for the key, all models together."""

    def __init__(self, pool):
        super().__init__(pool)
        self._daily = {}

    def _meter(self, card, model):
        meter = super()._meter(card, model)
        day, count = self._daily.get(id(card), (meter.day, 0))
        meter.rpd = count if day == meter.day else 0
        return meter

    def _spend(self, card, model, tokens):
        super()._spend(card, model, tokens)
        meter = card.meters[model]
        self._daily[id(card)] = meter.day, meter.rpd

    async def reset_usage(self):
        await super().reset_usage()
        self._daily.clear()


class QuotaErrorIsNoRecord(RichManager):
    """A record with a 429 is stored and answered False."""

    async def _record(self, pool, key, model, tokens, error_type):
        await self._count(pool, key, model, tokens)
        if error_type == "429":
            await self._mark(pool, key, model)
            return False
        if error_type == "permanent":
            await self._ban(pool, key)
        return True


class StrangersRecorded(PoorManager):
    """The record of a key of no pool is answered True, though there is nowhere to store it."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        model, card = self._name(model_name), self._card(is_vertex_key, key_value)
        if not key_value or type(tokens_used) is not int or tokens_used < 0:
            return False
        if card is not None:
            self._spend(card, model, tokens_used)
            if error and error_type in ("429", "permanent"):
                self._blame(card, model, 429 if error_type == "429" else 401)
        return True


class FailedCallsCountTwice(RichManager):
    """A failed call is counted where errors are looked at, and once more where every call is."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        pool, model = self._pool(is_vertex_key), self._resolve(model_name)
        if error and self._is_amount(tokens_used):
            async with self._locks[pool]:
                if key_value in self._keys[pool]:
                    await self._count(pool, key_value, model, 0)
        return await super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)


class FailedCallsOfTheDayOnly(PoorManager):
    """A failed call counts for the day and not for the minute."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        stored = await super().update_usage(*arguments)
        if stored and error:
            card = self._card(is_vertex_key, key_value)
            self._meter(card, self._name(model_name)).rpm -= 1
        return stored


class AnyNumberOfTokens(RichManager):
    """Amounts are compared with 0 alone, and what is not a number is not below it."""

    def _is_amount(self, tokens):
        return isinstance(tokens, int | float) and not tokens < 0


class RefusedAfterCounting(PoorManager):
    """A negative amount is refused when the request has been counted already."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        model, card = self._name(model_name), self._card(is_vertex_key, key_value)
        if card is None or type(tokens_used) is not int:
            return False
        self._spend(card, model, 0)
        if tokens_used < 0:
            return False
        card.meters[model].tpm += tokens_used
        if error and error_type in ("429", "permanent"):
            self._blame(card, model, 429 if error_type == "429" else 401)
        return True


class DayOutlivesTheReset(RichManager):
    """The reset of usage empties the minute and leaves the day as it is."""

    async def reset_usage(self):
        async with self._locks[REGULAR], self._locks[VERTEX]:
            for name, row in (await self._store.find("tally")).items():
                emptied = replace(self._current(row), requests=0, tokens=0, marked=-1)
                await self._store.put(emptied, "tally", *name)


class ResetOfOnePool(PoorManager):
    """The reset of usage goes through the regular pool alone."""

    async def reset_usage(self):
        for card in self._decks[False].cards.values():
            for meter in card.meters.values():
                meter.rpm = meter.tpm = meter.rpd = 0


class ThreeRetriesAlways(RichManager):
    """Retries end at three, whatever is configured."""

    MAX_RETRIES = 3

    async def _failed(self, pool, key, model_name, retries, status):
        model = self._resolve(model_name)
        async with self._locks[pool]:
            if key in self._keys[pool]:
                await self._charge(pool, key, model, status)
            if retries >= self.MAX_RETRIES:
                return ""
            return await self._choose(pool, model, avoid=key)


class ThreeStrikesAlways(PoorManager):
    """A key is out at three strikes, whatever is configured."""

    def _valid(self, card):
        return not card.out and card.strikes < 3


class ReadsBeforeItsTransaction(ConnectsForEachCall):
    """Each call has a connection of its own; a report reads the counts, and adds to them in a later transaction."""

    class once(ConnectsForEachCall.once):  # noqa: N801 - the name of what it replaces
        begin = "BEGIN DEFERRED"

    def _add(self, cell):
        used = self._used(cell)
        self._rows.execute("COMMIT")
        self._rows.execute("BEGIN IMMEDIATE")
        self._rows.execute(
            "INSERT OR REPLACE INTO used VALUES (:pool, :key, :model, :minute, :day, :rpm, :tpm, :rpd)",
            {**cell, "rpm": used["rpm"] + 1, "tpm": used["tpm"] + cell["tokens"], "rpd": used["rpd"] + 1},
        )


class ErrorsAreTakenAsTheyCome(PoorManager):
    """The tokens of a call that failed are not looked at before they are added."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        card = self._card(is_vertex_key, key_value)
        if error and card is not None and tokens_used < 0:
            self._spend(card, self._name(model_name), tokens_used)
            return True
        return await super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)


class ErrorsAddedLate(PoorManager):
    """The sum of a call that failed is made before an await and stored after it."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        card = self._card(is_vertex_key, key_value)
        if not error or card is None:
            return await super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        before = self._open_meter(card, self._name(model_name)).tpm
        await asyncio.sleep(0)
        taken = await super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        if taken:
            self._open_meter(card, self._name(model_name)).tpm = before + tokens_used
        return taken


MUTANTS = (
    planted("QUO01", ReadsBeforeItsTransaction),
    planted("QUO01", CountsOutsideTheLock),
    planted("QUO01", SumWrittenAfterAwait),
    planted("QUO02", TokensMayReachTheLimit),
    planted("QUO02", LastOfTheDayUnspent),
    planted("QUO04", NamesRunTogether),
    planted("QUO04", DaysOfAllModels),
    planted("QUO05", QuotaErrorIsNoRecord),
    planted("QUO05", StrangersRecorded),
    planted("QUO06", FailedCallsCountTwice),
    planted("QUO06", FailedCallsOfTheDayOnly),
    planted("QUO07", AnyNumberOfTokens),
    planted("QUO07", RefusedAfterCounting),
    planted("QUO09", DayOutlivesTheReset),
    planted("QUO09", ResetOfOnePool),
    planted("QUO10", ThreeRetriesAlways),
    planted("QUO10", ThreeStrikesAlways),
    planted("QUO01", ErrorsAddedLate),
    planted("QUO07", ErrorsAreTakenAsTheyCome),
)
