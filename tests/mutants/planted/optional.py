"""Planted bugs of operations that few managers have: LIVE08, LIVE09, CFG, MIG and FMT10."""

from __future__ import annotations

import asyncio

from twins.optional import CarriesOver, ChecksAndHides

from planted.registry import planted


class StopsAtTheFirst(ChecksAndHides):
    """The first bad key ends the loop."""

    async def bulk(self, keys):
        told = {}
        for key in keys:
            told[key] = await self._checked(key)
            if told[key] is not None:
                break
        return told


class ErrorsSwallowed(ChecksAndHides):
    """Errors are answered as None."""

    async def bulk(self, keys):
        return dict.fromkeys(await super().bulk(keys))


class OneCasing(ChecksAndHides):
    """Names are looked for in one casing."""

    def is_secret(self, name):
        return name.endswith("api_key")


class AnyPart(ChecksAndHides):
    """Everything with a capital letter is a secret."""

    def is_secret(self, name):
        return "key" in name.lower() or name != name.lower()


class RaisedThenRead(ChecksAndHides):
    """The layer is raised, something is awaited, and it is read again for the answer."""

    async def advance_layer(self):
        self._layer += 1
        await asyncio.sleep(0)
        return self._layer


class TwoLayersAtOnce(ChecksAndHides):
    """Each failure skips a layer."""

    async def advance_layer(self):
        self._layer += 2
        return self._layer


class AcronymsFallApart(ChecksAndHides):
    """Each capital letter becomes a word."""

    def _snake(self, name):
        return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).strip("_")


class OldestWins(ChecksAndHides):
    """What is there already is not written over."""

    async def configure(self, settings):
        for name, value in settings.items():
            self._settings.setdefault(self._snake(name), value)
        return dict(self._settings)


class GrowsWhenDoneAgain(ChecksAndHides):
    """Each call leaves its number among the settings."""

    async def configure(self, settings):
        self._settings["revision"] = self._settings.get("revision", 0) + 1
        return await super().configure(settings)


class NamesPassedOn(ChecksAndHides):
    """Names go out as they came in."""

    async def configure(self, settings):
        return dict(settings)


class OnlySnakeCaseIsRead(ChecksAndHides):
    """Settings in the other casing are dropped."""

    async def configure(self, settings):
        return {name: value for name, value in settings.items() if name == name.lower()}


class CountersAreDropped(CarriesOver):
    """Keys are carried over, and what they spent is not."""

    def _carry(self, card, row, name):
        super()._carry(card, {**row, "rpm": 0, "tpm": 0, "rpd": 0}, name)


class YesterdayIsToday(CarriesOver):
    """The day's count is carried over, whatever day it was of."""

    def _carry(self, card, row, name):
        super()._carry(card, row, name)
        self._books._meter(card, name)
        card.meters[name].day, card.meters[name].rpd = self._books._meter(card, name).day, row["rpd"]


class ExhaustedForgotten(CarriesOver):
    """What was marked by a 429 is served at once."""

    def _carry(self, card, row, name):
        super()._carry(card, {**row, "exhausted": False}, name)


class InactiveForgotten(CarriesOver):
    """What was taken out is served again."""

    def _carry(self, card, row, name):
        super()._carry(card, {**row, "inactive": False}, name)


class AddsEachTime(CarriesOver):
    """Counters are added to what is there."""

    def _known(self, row, name):
        return False

    def _carry(self, card, row, name):
        before = self._books._meter(card, name)
        super()._carry(card, {**row, **{one: row[one] + getattr(before, one) for one in ("rpm", "tpm", "rpd")}}, name)


class SecondRunWritesOver(CarriesOver):
    """A second run writes over what was counted since the first."""

    def _known(self, row, name):
        return False


class NotedBeforeItIsDone(CarriesOver):
    """A row is noted as done, something is awaited, and then it is done."""

    async def migrate(self, rows):
        for row in rows:
            card, name = self._books._card(row["pool"] == "vertex", row["key"]), self._books._name(row["model"])
            if card is not None and not self._known(row, name):
                self._carried.add((row["pool"], row["key"], name))
                await asyncio.sleep(0)
                self._carry(card, row, name)


class RowsArePopped(CarriesOver):
    """Rows are taken from the list as they are done."""

    async def migrate(self, rows):
        while rows:
            await super().migrate([rows.pop()])


class RowsAreRewritten(CarriesOver):
    """A column is rewritten in place."""

    async def migrate(self, rows):
        await super().migrate(rows)
        for row in rows:
            row["migrated"] = True


class FoundByText(CarriesOver):
    """What was carried over is told by a search in a joined text."""

    def _known(self, row, name):
        return row["key"] in " ".join(key for _, key, _ in self._carried)


class PoolsForgotten(CarriesOver):
    """What was carried over is told by key and model alone."""

    def _known(self, row, name):
        return (row["key"], name) in {(key, model) for _, key, model in self._carried}


MUTANTS = (
    planted("FMT10", NamesPassedOn),
    planted("FMT10", OnlySnakeCaseIsRead),
    planted("LIVE09", RaisedThenRead),
    planted("LIVE09", TwoLayersAtOnce),
    planted("CFG01", AcronymsFallApart),
    planted("CFG01", OldestWins),
    planted("CFG01", GrowsWhenDoneAgain),
    planted("MIG01", CountersAreDropped),
    planted("MIG01", YesterdayIsToday),
    planted("MIG01", ExhaustedForgotten),
    planted("MIG01", InactiveForgotten),
    planted("MIG02", AddsEachTime),
    planted("MIG02", SecondRunWritesOver),
    planted("MIG02", NotedBeforeItIsDone),
    planted("MIG03", RowsArePopped),
    planted("MIG03", RowsAreRewritten),
    planted("MIG04", FoundByText),
    planted("MIG04", PoolsForgotten),
    planted("LIVE08", StopsAtTheFirst),
    planted("LIVE08", ErrorsSwallowed),
    planted("CFG02", OneCasing),
    planted("CFG02", AnyPart),
)
