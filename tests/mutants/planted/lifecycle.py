"""Planted bugs of the family LIFE."""

from __future__ import annotations

import asyncio

from managers.deck import Deck
from managers.poor import PoorManager
from managers.rich import RichManager
from twins.waiting import QueueWorker

from planted.registry import planted


class TaskLeft(RichManager):
    """Opening starts a task that closing forgets."""

    async def init(self):
        await super().init()
        self._worker = asyncio.create_task(self._watch())

    async def _watch(self):
        while True:
            await asyncio.sleep(600)
            await self.run_maintenance()


class SecondCloseRaises(PoorManager):
    """What closing takes away it takes away once."""

    def __init__(self, pool):
        super().__init__(pool)
        self._open = ["it is"]

    async def shutdown(self):
        self._open.pop()


class WorkerDoubled(TaskLeft):
    """Opening starts a task, whether there is one or not; closing ends the last."""

    async def shutdown(self):
        self._worker.cancel()
        await super().shutdown()


class OpeningsMeet(RichManager):
    """Opening looks whether there is a task, awaits, and starts one."""

    _worker = None

    async def init(self):
        if self._worker is None:
            await super().init()
            self._worker = asyncio.create_task(self._watch())

    async def _watch(self):
        while True:
            await asyncio.sleep(600)
            await self.run_maintenance()

    async def shutdown(self):
        if self._worker is not None:
            self._worker.cancel()
        self._worker = None
        await super().shutdown()


class ClosingsMeet(PoorManager):
    """Closing takes the task away behind an await."""

    _worker = None

    async def init(self):
        self._worker = self._worker or asyncio.create_task(asyncio.sleep(600))

    async def shutdown(self):
        if self._worker is not None:
            await asyncio.sleep(0)
            self._worker.cancel()
            self._worker = None


class BooksEmptied(PoorManager):
    """Opening begins with empty books."""

    async def init(self):
        for vertex, deck in self._decks.items():
            self._decks[vertex] = Deck(list(deck.cards))


class StoreGone(RichManager):
    """Closing sets the store to None."""

    async def shutdown(self):
        await super().shutdown()
        self._store = None


class WaitsForTheWorker(PoorManager):
    """After closing an acquire waits for a worker that is gone."""

    _closed = False

    async def shutdown(self):
        self._closed = True

    async def _deal(self, vertex, model, besides=None):
        if self._closed:
            await asyncio.get_running_loop().create_future()
        return await super()._deal(vertex, model, besides)


class ReactivateWaits(RichManager):
    """After closing a reactivation waits for an event that opening sets."""

    async def init(self):
        self._ready = asyncio.Event()
        self._ready.set()
        await super().init()

    async def shutdown(self):
        await super().shutdown()
        self._ready.clear()

    async def reactivate_key(self, key, model_name=None):
        await self._ready.wait()
        return await super().reactivate_key(key, model_name)


class HealthIsAText(RichManager):
    """The health is a text."""

    async def health(self):
        return "ok" if await super().health() else ""


class HealthAsksForWhatIsNotThere(PoorManager):
    """The health asks for an attribute that was renamed."""

    async def health(self):
        return self._cards is not None


class StillServes(RichManager):
    """A closed manager goes on."""


class AnswersAfterClose(QueueWorker):
    """A call on a closed manager is answered beside the worker."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        return next(iter(self._owned._decks[is_vertex_key].cards), "")


class RandomAfterClose(RichManager):
    """Closed, it refuses what it is asked, but for a random key."""

    _closed = False

    async def shutdown(self):
        await super().shutdown()
        self._closed = True

    async def _acquire(self, pool, model_name):
        return "" if self._closed else await super()._acquire(pool, model_name)

    async def _next(self, pool):
        return "" if self._closed else await super()._next(pool)

    async def _failed(self, pool, key, model_name, retries, status):
        return "" if self._closed else await super()._failed(pool, key, model_name, retries, status)

    async def _record(self, pool, key, model, tokens, error_type):
        return not self._closed and await super()._record(pool, key, model, tokens, error_type)


class VertexStaysClosed(PoorManager):
    """Closing empties the vertex pool alone."""

    async def shutdown(self):
        self._decks[True] = Deck([])


class MinutesStandStill(RichManager):
    """Closing stops the minutes, and opening does not start them again."""

    _stopped = None

    async def shutdown(self):
        self._stopped = self._minute()
        await super().shutdown()

    def _minute(self):
        return super()._minute() if self._stopped is None else self._stopped


class ClosedForGood(RichManager):
    """Closing gives the locks away, and opening does not make new ones."""

    async def shutdown(self):
        await super().shutdown()
        self._locks = None


class EmptyOnceReopened(PoorManager):
    """Closing empties the pools."""

    async def shutdown(self):
        self._decks = {False: Deck([]), True: Deck([])}


MUTANTS = (
    planted("LIFE03", TaskLeft),
    planted("LIFE03", SecondCloseRaises),
    planted("LIFE03", ClosingsMeet),
    planted("LIFE04", WorkerDoubled),
    planted("LIFE04", OpeningsMeet),
    planted("LIFE04", BooksEmptied),
    planted("LIFE05", StoreGone),
    planted("LIFE05", WaitsForTheWorker),
    planted("LIFE05", ReactivateWaits),
    planted("LIFE12", HealthIsAText),
    planted("LIFE12", HealthAsksForWhatIsNotThere),
    planted("LIFE15", StillServes),
    planted("LIFE15", AnswersAfterClose),
    planted("LIFE15", RandomAfterClose),
    planted("LIFE16", ClosedForGood),
    planted("LIFE16", EmptyOnceReopened),
    planted("LIFE16", VertexStaysClosed),
    planted("LIFE16", MinutesStandStill),
)
