"""Sound twins that pass a provider's answers on, chunk by chunk."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import threading
import time

import httpx
from managers.poor import NOTHING

from pytest_keyconform import Adapter, Policies
from twins.calling import Calls
from twins.leases import LeaseDesk

URL = "https://llm.example/v1/chat"


class NoKey(Exception):
    """No key is left to ask with."""


class NoModel(Exception):
    """The name is that of no configured model."""


@functools.cache
def context():
    """One for all clients: making it takes longer than a stream."""
    return httpx.create_ssl_context()


def status_of(error):
    """The status that the provider answered; None where the connection failed."""
    return error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None


@contextlib.asynccontextmanager
async def opened(key, model, **headers):
    """A stream of the provider, once it has accepted the request."""
    headers = {"authorization": f"Bearer {key}", **headers}
    async with (
        httpx.AsyncClient(verify=context()) as client,
        client.stream("POST", URL, json={"model": model}, headers=headers) as answer,
    ):
        answer.raise_for_status()
        yield answer


class StreamsInTurn(Calls):
    """One key after the other until the first chunk has come; the call is counted as it ends, however it does."""

    async def stream(self, model, pool):
        name, vertex, tried = self._books._name(model), pool == "vertex", set()
        while key := await self._choose(name, vertex, tried):
            tried.add(key)
            chunks = self._read(key, name, vertex)
            try:
                first = await anext(chunks, NOTHING)
            except httpx.HTTPError:
                continue
            async with contextlib.aclosing(chunks):
                yield first
                async for chunk in chunks:
                    yield chunk
            return
        raise NoKey

    async def _read(self, key, model, vertex):
        try:
            async with opened(key, model) as answer:
                async for chunk in answer.aiter_text():
                    yield chunk
        except httpx.HTTPError as error:
            await self._blame(vertex, key, model, status_of(error))
            raise
        finally:
            self._count(vertex, key, model)

    def _count(self, vertex, key, model):
        self._books._spend(self._books._card(vertex, key), model, 0)


class StreamsCountedFirst(StreamsInTurn):
    """The call is counted before the provider is asked, and no other key is tried at all."""

    async def stream(self, model, pool):
        name, vertex = self._books._name(model), pool == "vertex"
        key = await self._choose(name, vertex, ())
        if not key:
            raise NoKey
        self._count(vertex, key, name)
        try:
            async with opened(key, name) as answer:
                async for chunk in answer.aiter_bytes():
                    yield chunk.decode()
        except (httpx.TransportError, httpx.HTTPStatusError) as error:
            await self._blame(vertex, key, name, status_of(error))
            raise ConnectionError("the stream broke") from error


class StreamsEvents(StreamsCountedFirst):
    """Server-sent events, read line by line as the usual clients do."""

    async def stream(self, model, pool):
        name, vertex = self._books._name(model), pool == "vertex"
        key = await self._choose(name, vertex, ())
        failed = None
        try:
            async with opened(key, name, accept="text/event-stream") as answer:
                async for line in answer.aiter_lines():
                    if line.startswith("data: {"):
                        yield json.loads(line[6:])["choices"][0]["delta"]["content"]
        except httpx.HTTPError as error:
            failed = error
        finally:
            self._count(vertex, key, name)
        if failed is not None:
            await self._blame(vertex, key, name, status_of(failed))
            raise failed


class StreamsThroughAQueue(StreamsInTurn):
    """A task reads the provider, the consumer a queue; who leaves ends the task."""

    async def stream(self, model, pool):
        name, vertex = self._books._name(model), pool == "vertex"
        queue = asyncio.Queue()
        pump = asyncio.create_task(self._pump(name, vertex, queue))
        try:
            while (chunk := await queue.get()) is not None:
                yield chunk
            await pump
        finally:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError, NoKey):
                await pump

    async def _pump(self, name, vertex, queue):
        try:
            key = await self._choose(name, vertex, ())
            if not key:
                raise NoKey
            async with contextlib.aclosing(self._read(key, name, vertex)) as chunks:
                async for chunk in chunks:
                    await queue.put(chunk)
        finally:
            queue.put_nowait(None)


class StreamsWhole(StreamsInTurn):
    """Nothing is passed on before everything has come, so that another key may be tried whatever broke."""

    async def stream(self, model, pool):
        name, vertex, tried = self._books._name(model), pool == "vertex", set()
        last = NoKey()
        while key := await self._choose(name, vertex, tried):
            tried.add(key)
            try:
                chunks = [chunk async for chunk in self._read(key, name, vertex)]
            except httpx.HTTPError as error:
                last = error
                continue
            for chunk in chunks:
                yield chunk
            return
        raise last


class Reading:
    """An iterator with a state of its own. ``_context`` is left once, by whoever comes first."""

    def __init__(self, desk, lease, model, vertex):
        self._desk, self._lease, self._model, self._vertex = desk, lease, model, vertex
        self._context = self._chunks = None

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            if self._chunks is None:
                self._context = opened(self._lease.key, self._model)
                self._chunks = (await self._context.__aenter__()).aiter_text()
            return await anext(self._chunks)
        except httpx.HTTPError as error:
            await self._desk._failed(self._lease, self._model, self._vertex, status_of(error))
            await self.aclose()
            raise
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self):
        context, self._context = self._context, None
        if self._lease is not None:
            self._desk._over(self._lease, self._model, self._vertex)
            self._lease = None
        if context is not None:
            await context.__aexit__(None, None, None)


class LeasedStreams(LeaseDesk):
    """The stream is an object that a coroutine answers; it holds its key until it is over."""

    async def stream(self, model, pool):
        lease = await self.acquire(model, pool)
        if not lease:
            raise NoKey
        return Reading(self, lease, self._books._name(model), pool == "vertex")

    async def _failed(self, lease, model, vertex, status):
        self._books._blame(self._books._card(vertex, lease.key), model, status)

    def _over(self, lease, model, vertex):
        self._books._spend(self._books._card(vertex, lease.key), model, 0)
        self._give_back(lease)


class LeasedStreamsInTurn(LeasedStreams):
    """A generator around leases, one after the other; unknown models are refused."""

    policies = Policies(tenure="lease", unknown_model="reject", error_usage="free", exhaustion="typed-error")

    async def acquire(self, model, pool):
        self._check(model)
        answer = await super().acquire(model, pool)
        if not answer:
            raise NoKey
        return answer

    def _check(self, model):
        if self._books._name(model) not in self.pool.limits:
            raise NoModel(model)

    async def record(self, lease, model, pool, tokens, outcome):
        self._check(model)
        if outcome != "success":
            if outcome in ("quota", "auth"):
                await self.fail(lease, model, pool, 429 if outcome == "quota" else 401)
            return self._books._card(pool == "vertex", lease.key) is not None
        return await super().record(lease, model, pool, tokens, outcome)

    async def fail(self, lease, model, pool, status) -> None:
        self._check(model)
        await super().fail(lease, model, pool, status)

    async def usage(self, key, model, pool):
        self._check(model)
        return await super().usage(key, model, pool)

    async def stream(self, model, pool):
        self._check(model)
        name, passed = self._books._name(model), 0
        for attempt in range(3):
            lease = await self.acquire(model, pool)
            outcome = "success"
            try:
                async with opened(lease.key, name) as answer:
                    async for chunk in answer.aiter_text():
                        passed += 1
                        yield chunk
                    return
            except httpx.HTTPError as error:
                outcome = "transient"
                self._books._blame(self._books._card(pool == "vertex", lease.key), name, status_of(error))
                if passed or attempt == 2:
                    raise
            finally:
                if outcome == "success":
                    self._books._spend(self._books._card(pool == "vertex", lease.key), name, 0)
                self._give_back(lease)


class StreamsInThreads(Adapter):
    """The same without an event loop, and without limits; a failed key is out at once.

    ``_calls`` has the minute of the last call of a key, and how many there were in it.
    """

    policies = Policies(failures="immediate")

    def __init__(self, api_keys):
        self._calls = dict.fromkeys(api_keys, (0.0, 0))
        self._turns, self._out, self._lock = list(self._calls), set(), threading.Lock()

    def acquire(self):
        with self._lock:
            for key in self._turns:
                if key not in self._out:
                    self._turns.remove(key)
                    self._turns.append(key)
                    return key
            return NOTHING

    def is_valid(self, key):
        return key in self._calls and key not in self._out

    def usage(self, key):
        with self._lock:
            minute, count = self._calls.get(key, (0.0, 0))
            return {"rpm": count if time.time() // 60 == minute else 0} if key in self._calls else None

    def record(self, lease) -> bool:
        return self._count(lease.key)

    def _count(self, key):
        with self._lock:
            if key not in self._calls:
                return False
            minute, count = self._calls[key]
            now = time.time() // 60
            self._calls[key] = now, count + 1 if now == minute else 1
            return True

    def stream(self, model):
        if not isinstance(model, str):
            raise TypeError("the name of a model is a str")
        key = self.acquire()
        if not key:
            raise NoKey
        headers = {"x-goog-api-key": key}
        try:
            with (
                httpx.Client(verify=context()) as client,
                client.stream("POST", f"{URL}/models/{model}:streamGenerateContent", headers=headers) as answer,
            ):
                answer.raise_for_status()
                yield from answer.iter_text()
        except httpx.HTTPError:
            with self._lock:
                self._out.add(key)
            raise
        finally:
            self._count(key)


class StreamsCountedOnAcquire(StreamsInTurn):
    """A request is counted as its key is chosen; what became of it adds nothing."""

    policies = {"counted_on": "acquire"}

    async def acquire(self, model, pool):
        key = await super().acquire(model, pool)
        if key:
            self._spent(pool == "vertex", key, self._books._name(model))
        return key

    async def _choose(self, model, vertex, tried):
        key = await super()._choose(model, vertex, tried)
        if key:
            self._spent(vertex, key, model)
        return key

    def _spent(self, vertex, key, model):
        self._books._spend(self._books._card(vertex, key), model, 0)

    def _count(self, vertex, key, model):
        """Nothing more."""


SOUND = (
    StreamsInTurn,
    StreamsCountedFirst,
    StreamsEvents,
    StreamsThroughAQueue,
    StreamsWhole,
    StreamsCountedOnAcquire,
    LeasedStreams,
    LeasedStreamsInTurn,
    StreamsInThreads,
)
