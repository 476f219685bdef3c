"""Planted bugs of the family COST."""

from __future__ import annotations

import time

from managers.poor import PoorManager
from managers.rich import RichManager

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


MUTANTS = (
    planted("COST01", SumsUpAllCalls),
    planted("COST01", FiltersAndKeeps),
    planted("COST02", KeepsAllStamps),
    planted("COST02", RemembersStrangers),
)
