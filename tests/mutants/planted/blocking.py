"""Planted bugs of LIVE10 and LIVE11."""

from __future__ import annotations

import asyncio
import time

from managers.poor import NOTHING
from twins.waiting import DEADLINE, Blocking

from planted.registry import planted


class Polls(Blocking):
    """A waiter sleeps a second and looks again."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        until = time.monotonic() + DEADLINE
        while True:
            key = await self._deal(is_vertex_key, self._name(model_name))
            if key != NOTHING or time.monotonic() >= until:
                return key
            await asyncio.sleep(1)


class TellsNobody(Blocking):
    """A key that comes back is not announced; waiters look again each second."""

    async def _tell(self):
        return


class OneIsTold(Blocking):
    """One waiter is told, whether it is still there or not, and nobody looks again by itself."""

    def __init__(self, pool):
        super().__init__(pool)
        self._waiters = []

    async def get_key(self, model_name=None, is_vertex_key=False):
        model = self._name(model_name)
        key = await self._deal(is_vertex_key, model)
        if key != NOTHING or not self._decks[bool(is_vertex_key)].cards:
            return key
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(asyncio.shield(waiter), DEADLINE)
        except TimeoutError:
            return NOTHING
        return await self._deal(is_vertex_key, model)

    async def _tell(self):
        if self._waiters:
            self._waiters.pop(0).set_result(None)


class WaitsForAWindow(Blocking):
    """A waiter waits for the end of a minute, whatever comes back meanwhile."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        key = await self._deal(is_vertex_key, self._name(model_name))
        if key == NOTHING and self._decks[bool(is_vertex_key)].cards:
            await asyncio.sleep(DEADLINE)
        return key


MUTANTS = (
    planted("LIVE10", Polls),
    planted("LIVE10", TellsNobody),
    planted("LIVE11", OneIsTold),
    planted("LIVE11", WaitsForAWindow),
)
