"""Planted bugs of the family LIVE."""

from __future__ import annotations

import asyncio

from managers.ledger import AUTH, REGULAR, VERTEX
from managers.poor import PoorManager
from managers.rich import SENTINEL, RichManager

from planted.registry import planted


class LocksInTheOtherOrder(RichManager):
    """The reset of usage locks the vertex pool first, everything else the regular one."""

    async def reset_usage(self):
        async with self._locks[VERTEX], self._locks[REGULAR]:
            await self._store.drop("tally")


class ReportUnderTheLock(RichManager):
    """A refused key is reported with the status, which asks for the lock that is held already."""

    async def _charge(self, pool, key, model, status):
        await super()._charge(pool, key, model, status)
        if status in AUTH:
            self._last_refusal = await self._statuses(pool)


class BookAndView(PoorManager):
    """A record locks the book and then the view, a status the view and then the book."""

    def __init__(self, pool):
        super().__init__(pool)
        self._book, self._view = asyncio.Lock(), asyncio.Lock()

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        async with self._book:
            stored = await super().update_usage(*arguments)
            await asyncio.sleep(0)
            async with self._view:
                return stored

    async def get_keys_by_status(self):
        async with self._view:
            await asyncio.sleep(0)
            async with self._book:
                return self._groups(False)


class LocksInARing(PoorManager):
    """Three operations lock two of three parts each, and every one begins where another one ends."""

    def __init__(self, pool):
        super().__init__(pool)
        self._parts = [asyncio.Lock() for _ in range(3)]

    async def _both(self, number):
        async with self._parts[number]:
            await asyncio.sleep(0)
            async with self._parts[(number + 1) % 3]:
                pass

    async def reactivate_key(self, key, model_name=None):
        await self._both(0)
        return await super().reactivate_key(key, model_name)

    async def reset_usage(self):
        await self._both(1)
        return await super().reset_usage()

    async def get_keys_by_status(self):
        await self._both(2)
        return await super().get_keys_by_status()


class StrangerAsksAgain(RichManager):
    """What a key of no pool is told of is looked up under the lock that the look-up takes."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        pool = self._pool(is_vertex_key)
        if key_value not in self._keys[pool]:
            async with self._locks[pool]:
                await self._statuses(pool)
        return await super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)


class LockKeptOnAnOddRestore(RichManager):
    """The model of a restore is looked up under a lock that is released by hand."""

    async def reactivate_key(self, key, model_name=None):
        await self._locks[VERTEX].acquire()
        if model_name is not None and not isinstance(model_name, str):
            message = "model_name is a name"
            raise TypeError(message)
        self._locks[VERTEX].release()
        return await super().reactivate_key(key, model_name)


class LockKeptOnBadInput(RichManager):
    """The lock is taken and released by hand, and what is refused in between leaves it taken."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        pool = self._pool(is_vertex_key)
        await self._locks[pool].acquire()
        model = self._resolve(model_name)
        if not self._is_amount(tokens_used):
            message = "tokens_used is a whole number from 0 on"
            raise ValueError(message)
        stored = key_value in self._keys[pool] and await self._record(
            pool, key_value, model, tokens_used, error_type if error else None
        )
        self._locks[pool].release()
        return stored


class BusyFlagStaysUp(PoorManager):
    """A flag keeps others waiting while a report is written; a model that is no name leaves it up."""

    def __init__(self, pool):
        super().__init__(pool)
        self._writing = False

    async def _wait_until_written(self):
        while self._writing:
            await asyncio.sleep(0.01)

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        await self._wait_until_written()
        self._writing = True
        if type(tokens_used) is not int or tokens_used < 0:
            message = "tokens_used is a whole number from 0 on"
            raise ValueError(message)
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        stored = await super().update_usage(*arguments)
        self._writing = False
        return stored

    async def get_key(self, model_name=None, is_vertex_key=False):
        await self._wait_until_written()
        return await super().get_key(model_name, is_vertex_key)


class TurnNotAwaited(RichManager):
    """That the turn is stored as well is not awaited."""

    async def _next(self, pool):
        async with self._locks[pool]:
            keys = self._keys[pool]
            if not keys:
                return SENTINEL
            place = self._turns[pool] % len(keys)
            self._turns[pool] = place + 1
            self._store.put(place + 1, "turn", pool)
            return keys[place]


class TaskFailsUnseen(PoorManager):
    """Refusals are announced by a task that nobody looks at, which fails where a model has no limit."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        if status_code in (401, 403):
            self._announcing = asyncio.create_task(self._announce(self._name(model_name)))
        return await super().handle_api_failure(api_key, model_name, retries, is_vertex_key, status_code)

    async def _announce(self, model):
        await asyncio.sleep(0)
        self._capacity_lost = self._settings.limits[model].rpm * 60


class GivesWayToEachOther(RichManager):
    """Two reports at once each see the other, give way, and come back together."""

    def __init__(self, pool):
        super().__init__(pool)
        self._wanting = set()

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        me = object()
        self._wanting.add(me)
        await asyncio.sleep(0)
        while len(self._wanting) > 1:
            await asyncio.sleep(0)
            self._wanting.discard(me)
            await asyncio.sleep(0)
            self._wanting.add(me)
            await asyncio.sleep(0)
        try:
            arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
            return await super().update_usage(*arguments)
        finally:
            self._wanting.discard(me)


class SearchesForEver(PoorManager):
    """A failure report looks for another key until there is one."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        arguments = (api_key, model_name, retries, is_vertex_key, status_code)
        found = await super().handle_api_failure(*arguments)
        while found == "" and retries < self._settings.max_retries:
            await asyncio.sleep(0)
            found = await self.get_key(model_name, is_vertex_key)
        return found


class LockKeptWhenCancelled(RichManager):
    """The lock is released where an error is caught, and a cancellation is none."""

    async def _acquire(self, pool, model_name):
        model = self._resolve(model_name)
        await self._locks[pool].acquire()
        try:
            key = await self._choose(pool, model)
        except Exception:
            self._locks[pool].release()
            raise
        self._locks[pool].release()
        return key


class RestoreKeepsTheLock(RichManager):
    """Bringing a key back takes the lock by hand, and a cancellation leaves it taken."""

    async def reactivate_key(self, key, model_name=None):
        await self._locks[VERTEX].acquire()
        try:
            await asyncio.sleep(0)
        except Exception:
            self._locks[VERTEX].release()
            raise
        self._locks[VERTEX].release()
        return await super().reactivate_key(key, model_name)


class ListByList(PoorManager):
    """The lists are exchanged one after the other, with an await between them."""

    async def reinitialize(self, api_keys, vertex_api_keys):
        self._decks[False].exchange(tuple(api_keys))
        await asyncio.sleep(0)
        self._decks[True].exchange(tuple(vertex_api_keys))


class WorkerKnowsItsModels(RichManager):
    """The worker looks up the limits of each model that is counted, also of one that has none, and dies of it."""

    async def init(self):
        await super().init()
        self._tending = asyncio.create_task(self._tend())

    async def shutdown(self):
        self._tending.cancel()
        await super().shutdown()

    async def _tend(self):
        while True:
            await asyncio.sleep(1800)
            self._tended = [self._limits[name[2]] for name in await self._store.find("tally")]


class HalfCounted(PoorManager):
    """The request is counted before an await, and its tokens after it."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        stored = await super().update_usage(model_name, key_value, is_vertex_key, 0, error, error_type)
        await asyncio.sleep(0)
        if stored and type(tokens_used) is int:
            meter = self._open_meter(self._card(is_vertex_key, key_value), self._name(model_name))
            meter.tpm += max(0, tokens_used)
        return stored


MUTANTS = (
    planted("LIVE01", LocksInTheOtherOrder),
    planted("LIVE01", ReportUnderTheLock),
    planted("LIVE01", BookAndView),
    planted("LIVE01", LocksInARing),
    planted("LIVE01", StrangerAsksAgain),
    planted("LIVE02", GivesWayToEachOther),
    planted("LIVE02", SearchesForEver),
    planted("LIVE03", LockKeptWhenCancelled),
    planted("LIVE03", HalfCounted),
    planted("LIVE03", RestoreKeepsTheLock),
    planted("LIVE03", ListByList),
    planted("LIVE04", LockKeptOnBadInput),
    planted("LIVE04", BusyFlagStaysUp),
    planted("LIVE04", LockKeptOnAnOddRestore),
    planted("LIVE07", TurnNotAwaited),
    planted("LIVE07", TaskFailsUnseen),
    planted("LIVE07", WorkerKnowsItsModels),
)
