"""Planted bugs of the streams: STR01 to STR04."""

from __future__ import annotations

import asyncio
import contextlib

import httpx
from managers.poor import NOTHING
from twins.streaming import (
    LeasedStreams,
    LeasedStreamsInTurn,
    NoKey,
    StreamsCountedFirst,
    StreamsCountedOnAcquire,
    StreamsEvents,
    StreamsInThreads,
    StreamsInTurn,
    StreamsThroughAQueue,
    opened,
    status_of,
)

from planted.registry import planted


class EndsQuietly(StreamsCountedFirst):
    """A connection that is lost in the middle ends the answer."""

    async def stream(self, model, pool):
        with contextlib.suppress(ConnectionError):
            async for chunk in super().stream(model, pool):
                yield chunk


class EndsQuietlyOnTimeouts(StreamsInTurn):
    """What comes too late is taken for the end."""

    async def _read(self, key, model, vertex):
        try:
            async for chunk in super()._read(key, model, vertex):
                yield chunk
        except httpx.TimeoutException:
            return


class TellsTheErrorAsText(StreamsInTurn):
    """The error is one more chunk of a stream that ends well."""

    async def stream(self, model, pool):
        try:
            async for chunk in super().stream(model, pool):
                yield chunk
        except httpx.TransportError:
            yield 'data: {"error": "stream failed"}\n\n'


class StreamsAgain(StreamsCountedFirst):
    """The same key is asked once more, and the answer begins anew."""

    async def stream(self, model, pool):
        name, vertex = self._books._name(model), pool == "vertex"
        key = await self._choose(name, vertex, ())
        for _ in range(2):
            try:
                async for chunk in self._read(key, name, vertex):
                    yield chunk
            except httpx.TransportError:
                continue
            return


class CountsBrokenTwice(StreamsInTurn):
    """The handler of the error counts the call, and so does what comes after it."""

    async def _blame(self, vertex, key, model, status):
        await super()._blame(vertex, key, model, status)
        self._count(vertex, key, model)


class CountsWholeOnesOnly(StreamsInTurn):
    """The call is counted behind the last chunk."""

    async def _read(self, key, model, vertex):
        try:
            async with opened(key, model) as answer:
                async for chunk in answer.aiter_text():
                    yield chunk
        except httpx.HTTPError as error:
            await self._blame(vertex, key, model, status_of(error))
            raise
        self._count(vertex, key, model)


class BlamesNobody(StreamsCountedFirst):
    """The failure of a stream that had begun is nobody's."""

    async def _blame(self, vertex, key, model, status):
        if status is not None:
            await super()._blame(vertex, key, model, status)


class BlamesTwice(StreamsThroughAQueue):
    """The task that reads and the generator that passes on both report the failure."""

    async def _blame(self, vertex, key, model, status):
        for _ in range(2):
            await super()._blame(vertex, key, model, status)


class BlamesTheNextKey(StreamsInTurn):
    """The failure is charged to the key that the manager would serve now."""

    async def _blame(self, vertex, key, model, status):
        current = await self._choose(model, vertex, ())
        await super()._blame(vertex, current or key, model, status)


class BlamesTheLatestKey(StreamsInTurn):
    """The key of the stream is kept where other streams write to."""

    async def _choose(self, model, vertex, tried):
        self._latest = await super()._choose(model, vertex, tried)
        return self._latest

    async def _blame(self, vertex, key, model, status):
        await super()._blame(vertex, self._latest, model, status)


class TakesTheKeyOut(StreamsCountedFirst):
    """A stream that breaks takes its key out, as if it had been refused."""

    async def _blame(self, vertex, key, model, status):
        await super()._blame(vertex, key, model, status or 401)


class EndsQuietlyInThreads(StreamsInThreads):
    """Likewise in a generator without an event loop."""

    def stream(self, model):
        with contextlib.suppress(httpx.HTTPError):
            yield from super().stream(model)


class BlamesNobodyInThreads(StreamsInThreads):
    """Likewise: no key is charged."""

    def stream(self, model):
        before = set(self._out)
        try:
            yield from super().stream(model)
        finally:
            self._out.intersection_update(before)


class ForgetsWhoLeaves(StreamsInTurn):
    """Who leaves before the end is not counted."""

    _read = CountsWholeOnesOnly._read


class CountsLeaversTwice(StreamsInTurn):
    """Leaving is counted, and so is the end that it comes to."""

    async def _read(self, key, model, vertex):
        try:
            async for chunk in super()._read(key, model, vertex):
                yield chunk
        except (GeneratorExit, asyncio.CancelledError):
            self._count(vertex, key, model)
            raise


class BlamesTheKeyForLeaving(StreamsInTurn):
    """A cancellation is a failure like any other."""

    async def _read(self, key, model, vertex):
        try:
            async for chunk in super()._read(key, model, vertex):
                yield chunk
        except (GeneratorExit, asyncio.CancelledError):
            self._books._blame(self._books._card(vertex, key), model, 500)
            raise


class KeepsTheLeaseOfLeavers(LeasedStreamsInTurn):
    """The lease is given back behind the last chunk and where something fails, not where somebody leaves."""

    async def stream(self, model, pool):
        self._check(model)
        name = self._books._name(model)
        lease = await self.acquire(model, pool)
        card = self._books._card(pool == "vertex", lease.key)
        self._books._spend(card, name, 0)
        try:
            async with opened(lease.key, name) as answer:
                async for chunk in answer.aiter_text():
                    yield chunk
        except httpx.HTTPError as error:
            self._books._blame(card, name, status_of(error))
            self._give_back(lease)
            raise
        self._give_back(lease)


class KeepsTheLeaseOfTheCancelled(LeasedStreams):
    """An object that is cancelled in the middle of a chunk forgets to give its key back."""

    def _over(self, lease, model, vertex):
        self._books._spend(self._books._card(vertex, lease.key), model, 0)
        task = asyncio.current_task()
        if not task.cancelling():
            self._give_back(lease)


class ForgetsWhoLeavesInThreads(StreamsInThreads):
    """The call is counted behind the last chunk."""

    def stream(self, model):
        chunks = super().stream(model)
        with contextlib.closing(chunks):
            try:
                yield from chunks
            except GeneratorExit:
                chunks.close()
                minute, count = self._calls[self._turns[-1]]
                self._calls[self._turns[-1]] = minute, count - 1
                raise


class TriesOnAfterOutput(StreamsInTurn):
    """Every key is tried until one answers to its end."""

    async def stream(self, model, pool):
        name, vertex, tried = self._books._name(model), pool == "vertex", set()
        while key := await self._choose(name, vertex, tried):
            tried.add(key)
            try:
                async for chunk in self._read(key, name, vertex):
                    yield chunk
            except httpx.HTTPError:
                continue
            return
        raise NoKey


class TriesOnOnceAfterOutput(LeasedStreamsInTurn):
    """One more key is tried where time runs out, however much was passed on."""

    async def stream(self, model, pool):
        try:
            async for chunk in super().stream(model, pool):
                yield chunk
        except httpx.ReadTimeout:
            async for chunk in super().stream(model, pool):
                yield chunk


class LeavesOutWhatWasPassedOn(StreamsInTurn):
    """Another key goes on where the first one broke: its answer is another one."""

    async def stream(self, model, pool):
        name, vertex, tried, passed = self._books._name(model), pool == "vertex", set(), 0
        while key := await self._choose(name, vertex, tried):
            tried.add(key)
            number = 0
            try:
                async for chunk in self._read(key, name, vertex):
                    number += 1
                    if number > passed:
                        passed += 1
                        yield chunk
            except httpx.HTTPError:
                continue
            return
        raise NoKey


class TriesOnInThreads(StreamsInThreads):
    """Likewise without an event loop."""

    def stream(self, model):
        for _ in self._calls:
            try:
                yield from super().stream(model)
            except httpx.TransportError:
                continue
            return


class LetsTheProviderRefuse(StreamsEvents):
    """Whatever is no name of a model is sent to the provider as it is."""

    async def stream(self, model, pool):
        if not isinstance(model, str):
            key = await self._choose(self.pool.default_model, pool == "vertex", ())
            self._count(pool == "vertex", key, self.pool.default_model)
            async with opened(key, model) as answer:
                async for chunk in answer.aiter_text():
                    yield chunk
            return
        async for chunk in super().stream(model, pool):
            yield chunk


class CountsBeforeItLooks(StreamsInTurn):
    """A key is taken and the call counted before the model is looked at."""

    async def stream(self, model, pool):
        vertex, default = pool == "vertex", self.pool.default_model
        if not isinstance(model, str):
            self._count(vertex, await self._choose(default, vertex, ()), default)
        async for chunk in super().stream(model, pool):
            yield chunk


class GreetsBeforeItLooks(StreamsCountedFirst):
    """The first chunk is its own, and comes before the model is looked at."""

    async def stream(self, model, pool):
        yield NOTHING
        async for chunk in super().stream(model, pool):
            yield chunk


class TakesUnknownModels(LeasedStreamsInTurn):
    """Unknown models are refused by every operation but the stream."""

    def _check(self, model):
        task = asyncio.current_task()
        if getattr(task, "streams", False):
            return
        super()._check(model)

    async def stream(self, model, pool):
        task = asyncio.current_task()
        task.streams = True
        try:
            async for chunk in super().stream(model, pool):
                yield chunk
        finally:
            task.streams = False


class AcquiresBeforeItLooks(LeasedStreams):
    """A lease is taken before the model is looked at, and kept by who refuses it."""

    async def stream(self, model, pool):
        if not isinstance(model, str):
            await self.acquire(self.pool.default_model, pool)
        return await super().stream(model, pool)


class CountsRefusals(StreamsCountedOnAcquire):
    """A key is counted as chosen before the model is looked at."""

    async def stream(self, model, pool):
        if not isinstance(model, str):
            await self._choose(self.pool.default_model, pool == "vertex", ())
        async for chunk in super().stream(model, pool):
            yield chunk


MUTANTS = (
    planted("STR01", EndsQuietly),
    planted("STR01", EndsQuietlyOnTimeouts),
    planted("STR01", TellsTheErrorAsText),
    planted("STR01", StreamsAgain),
    planted("STR01", CountsBrokenTwice),
    planted("STR01", CountsWholeOnesOnly),
    planted("STR01", BlamesNobody),
    planted("STR01", BlamesTwice),
    planted("STR01", BlamesTheNextKey),
    planted("STR01", BlamesTheLatestKey),
    planted("STR01", TakesTheKeyOut),
    planted("STR01", EndsQuietlyInThreads),
    planted("STR01", BlamesNobodyInThreads),
    planted("STR02", ForgetsWhoLeaves),
    planted("STR02", CountsLeaversTwice),
    planted("STR02", BlamesTheKeyForLeaving),
    planted("STR02", KeepsTheLeaseOfLeavers),
    planted("STR02", KeepsTheLeaseOfTheCancelled),
    planted("STR02", ForgetsWhoLeavesInThreads),
    planted("STR03", TriesOnAfterOutput),
    planted("STR03", TriesOnOnceAfterOutput),
    planted("STR03", LeavesOutWhatWasPassedOn),
    planted("STR03", TriesOnInThreads),
    planted("STR04", LetsTheProviderRefuse),
    planted("STR04", CountsBeforeItLooks),
    planted("STR04", GreetsBeforeItLooks),
    planted("STR04", TakesUnknownModels),
    planted("STR04", AcquiresBeforeItLooks),
    planted("STR04", CountsRefusals),
)
