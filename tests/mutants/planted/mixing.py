"""Planted bugs of FAIL13: calls that are right alone, and leave what no order of them explains."""

from __future__ import annotations

import asyncio

from managers.poor import PoorManager
from managers.records import Health
from managers.rich import RichManager

from planted.registry import planted


class ResetInTwoTurns(RichManager):
    """A reset clears strikes and bans under the lock, gives it up to announce it, and takes it again for the marks."""

    async def _restore_in(self, pools, key):
        known = False
        for pool in pools:
            if key in self._keys[pool]:
                async with self._locks[pool]:
                    await self._put_health(pool, key, Health())
                await self._announce(key)
                async with self._locks[pool]:
                    for name in await self._store.find("tally", pool, key):
                        await self._lift(pool, key, *name)
                known = True
        return known

    async def _announce(self, key):
        await asyncio.sleep(0)


class ResetModelByModel(PoorManager):
    """A reset lets others run between the models whose marks it lifts."""

    async def reset_key_failure_count(self, key):
        for card in [card for vertex in (False, True) if (card := self._card(vertex, key))]:
            card.strikes, card.out = 0, False
            for model in sorted(self._settings.limits):
                if (meter := card.meters.get(model)) is not None:
                    meter.marked = False
                await asyncio.sleep(0)
            return True
        return False


class LastStrikeWrittenLate(PoorManager):
    """The strike that takes a key out is written after an await, as the number that was read before it."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        card = self._card(is_vertex_key, api_key)
        most = self._settings.max_failures
        striking = status_code not in (429, 401, 403, 400, 404, 413, 422)
        if card is None or not striking or card.strikes != most - 1:
            return await super().handle_api_failure(api_key, model_name, retries, is_vertex_key, status_code)
        await asyncio.sleep(0)
        card.strikes = most
        return await self._deal(is_vertex_key, self._name(model_name), besides=api_key)


MUTANTS = (
    planted("FAIL13", ResetInTwoTurns),
    planted("FAIL13", ResetModelByModel),
    planted("FAIL13", LastStrikeWrittenLate),
)
