"""Sound twins that do without what others pay: a statement for each key, an entry for each model there ever was."""

from __future__ import annotations

import time

from managers.poor import NOTHING, PoorManager
from managers.rich import RichManager
from managers.stored import AsyncSqliteManager, SqliteManager

ALL = "SELECT key, minute, day, rpm, tpm, rpd FROM used WHERE pool = :pool AND model = :model"
DAY = 86_400


class OneStatement(SqliteManager):
    """Reads the counts of all keys of a pool at once."""

    def get_key(self, model_name=None, is_vertex_key=False):
        with self._lock:
            cell = self._cell(is_vertex_key, "", model_name)
            rows = {key: row for key, *row in self._rows.execute(ALL, cell)}
            keys = self._keys(is_vertex_key)
            start = self._places.get(is_vertex_key, 0)
            for place in (*range(start, len(keys)), *range(start)):
                if self._has_room(cell, rows.get(keys[place], (0, "", 0, 0, 0))):
                    self._places[is_vertex_key] = (place + 1) % len(keys)
                    return keys[place]
            return NOTHING

    def _has_room(self, cell, row):
        minute, day, rpm, tpm, rpd = row
        now, limits = minute == cell["minute"], self._pool.limits.get(cell["model"])
        used = {"rpm": rpm * now, "tpm": tpm * now, "rpd": rpd * (day == cell["day"])}
        return all((limit := getattr(limits, name, None)) is None or count < limit for name, count in used.items())


class AsyncOneStatement(AsyncSqliteManager):
    """The same with coroutines, and old rows go with the reports that come after them."""

    _has_room = OneStatement._has_room

    async def get_key(self, model_name=None, is_vertex_key=False):
        return OneStatement.get_key(self, model_name, is_vertex_key)

    def _add(self, cell):
        self._rows.execute("DELETE FROM used WHERE minute < ? AND day <> ?", (cell["minute"], cell["day"]))
        super()._add(cell)


class ForgetsModels(PoorManager):
    """What belongs to a model that is not configured goes a day after its last call; looked for now and then."""

    def __init__(self, pool):
        super().__init__(pool)
        self._met, self._calls = {}, 0

    def _name(self, model):
        name = super()._name(model)
        self._calls += 1
        if name not in self._models:
            self._met[name] = time.time()
        if self._calls % 50 == 0:
            for old in [one for one, at in self._met.items() if at < time.time() - DAY]:
                self._forget(old)
        return name

    def _forget(self, model):
        del self._met[model]
        for deck in self._decks.values():
            deck._orders.pop(model, None)
            for card in deck.cards.values():
                card.meters.pop(model, None)


class ForgetsAtMaintenance(RichManager):
    """Maintenance drops the places of models that nothing is counted for."""

    async def run_maintenance(self):
        await super().run_maintenance()
        counted = {name[2] for name in await self._store.find("tally")}
        kept = counted.union(self._limits)
        self._cursors = {at: place for at, place in self._cursors.items() if at[1] in kept}
