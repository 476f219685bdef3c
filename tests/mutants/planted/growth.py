"""Planted bugs of the family COST."""

from __future__ import annotations

import asyncio
import time

from managers.poor import PoorManager
from managers.rich import RichManager
from twins.thrifty import AsyncOneStatement, ForgetsAtMaintenance, ForgetsModels, OneStatement

from planted.registry import planted


class SumsUpAllCalls(RichManager):
    """Every report is kept, and gone through at each acquire."""

    def __init__(self, pool):
        super().__init__(pool)
        self._log = []

    async def _count(self, pool, key, model, tokens):
        self._log.append((pool, key))
        await super()._count(pool, key, model, tokens)

    async def _usable(self, pool, key, model):
        if sum(1 for entry in self._log if entry == (pool, key)) < 0:
            return False
        return await super()._usable(pool, key, model)


class FiltersAndKeeps(PoorManager):
    """Stamps of all reports are kept, and filtered at each status."""

    def __init__(self, pool):
        super().__init__(pool)
        self._stamps = []

    def _spend(self, card, model, tokens):
        self._stamps.append(time.time())
        super()._spend(card, model, tokens)

    def _groups(self, vertex):
        for stamp in self._stamps:
            if stamp < 0:
                break
        return super()._groups(vertex)


class KeepsAllStamps(PoorManager):
    """The stamp, the model and the tokens of each report are kept."""

    def __init__(self, pool):
        super().__init__(pool)
        self._stamps = []

    def _spend(self, card, model, tokens):
        self._stamps.append({"at": time.time(), "model": model, "tokens": tokens})
        super()._spend(card, model, tokens)


class RemembersStrangers(RichManager):
    """An entry is made for each key that anybody reports on."""

    def __init__(self, pool):
        super().__init__(pool)
        self._seen = {}

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        self._seen.setdefault(key_value, {"calls": 0, "models": []})["calls"] += 1
        return await super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)


class AsksWhoIsOut(PoorManager):
    """For each key those that are out are gathered anew, and looked through."""

    def _usable(self, card, model):
        cards = self._decks[False].cards.values()
        out = [one.key for one in cards if not self._valid(one)]
        return card.key not in out and super()._usable(card, model)


class ListOfBanned(RichManager):
    """Keys that are out stand in a list, which is searched for each key: no line of Python runs meanwhile."""

    def __init__(self, pool):
        super().__init__(pool)
        self._banned = []

    async def _ban(self, pool, key):
        self._banned.append(key)
        await super()._ban(pool, key)

    async def _usable(self, pool, key, model):
        return not (key in self._banned and not self._keys[pool]) and await super()._usable(pool, key, model)


class FindsEachPlace(PoorManager):
    """The status finds the place of each key in the list of all."""

    def _groups(self, vertex):
        groups, keys = super()._groups(vertex), list(self._decks[vertex].cards)
        for group in groups.values():
            for key in sorted(group, key=keys.index):
                group[key] = group.pop(key)
        return groups


class SumsUpEachModel(RichManager):
    """The rows of all models are found again for each row of the state."""

    async def get_state(self):
        state = await super().get_state()
        for model in state["models"]:
            rows = await self._store.find("tally")
            if sum(1 for name in rows if name[2] == model) < 0:
                return {}
        return state


class AsksForEachKey(OneStatement):
    """The counts of each key are read by a statement of its own."""

    def _has_room(self, cell, row):
        self._rows.execute("SELECT rpm FROM used WHERE pool = :pool AND model = :model", cell).fetchone()
        return super()._has_room(cell, row)


class WritesAllKeys(OneStatement):
    """A report touches the rows of all keys of its pool."""

    def _add(self, cell):
        rows = [(cell["pool"], key) for key in self._keys(cell["pool"] == "vertex")]
        self._rows.executemany("UPDATE used SET rpm = rpm WHERE pool = ? AND key = ?", rows)
        super()._add(cell)


class KeepsALog(AsyncOneStatement):
    """Each report reads again all those that came before it, one by one."""

    def __init__(self, pool):
        super().__init__(pool)
        self._seen = 0

    def _add(self, cell):
        self._seen += 1
        for number in range(self._seen):
            self._rows.execute("SELECT ?", (number,)).fetchone()
        super()._add(cell)


class AsksEverMore(AsyncOneStatement):
    """A background task asks the store each minute, for each minute that there was."""

    def __init__(self, pool):
        super().__init__(pool)
        self._task = None

    async def init(self):
        self._task = asyncio.create_task(self._sweep())

    async def shutdown(self):
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await super().shutdown()

    async def _sweep(self):
        minutes = 0
        while True:
            await asyncio.sleep(60)
            minutes += 1
            for number in range(minutes):
                self._rows.execute("SELECT ?", (number,)).fetchone()


class KeepsOrders(ForgetsModels):
    """Meters of old models are dropped, their orders of dealing are kept."""

    def _forget(self, model):
        del self._met[model]
        for deck in self._decks.values():
            for card in deck.cards.values():
                card.meters.pop(model, None)


class KeepsCursors(ForgetsAtMaintenance):
    """Maintenance drops the counts of old models and keeps their places in the rotation."""

    async def run_maintenance(self):
        await RichManager.run_maintenance(self)


class ListsAllModels(ForgetsAtMaintenance):
    """The state tells of every model that was ever asked for."""

    def __init__(self, pool):
        super().__init__(pool)
        self._seen = {}

    def _resolve(self, model):
        name = super()._resolve(model)
        self._seen[name] = None
        return name

    async def get_state(self):
        state = await super().get_state()
        for model in self._seen:
            state["models"].setdefault(model, {})
        return state


MUTANTS = (
    planted("COST01", SumsUpAllCalls),
    planted("COST01", FiltersAndKeeps),
    planted("COST02", KeepsAllStamps),
    planted("COST02", RemembersStrangers),
    planted("COST03", AsksWhoIsOut),
    planted("COST03", ListOfBanned),
    planted("COST03", FindsEachPlace),
    planted("COST03", SumsUpEachModel),
    planted("COST04", AsksForEachKey),
    planted("COST04", WritesAllKeys),
    planted("COST04", KeepsALog),
    planted("COST04", AsksEverMore),
    planted("COST05", KeepsOrders),
    planted("COST05", KeepsCursors),
    planted("COST05", ListsAllModels),
)
