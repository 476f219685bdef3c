"""Planted bugs of the backend's own retry wrapper: FAIL14 to FAIL16, LIVE05 and LIVE06."""

from __future__ import annotations

import asyncio

import httpx
from managers.poor import NOTHING
from twins.calling import Calls, CallsInThreads

from planted.registry import planted


class TriesTheSameKey(Calls):
    """The first key is tried until nothing is left of the attempts."""

    async def _attempts(self, model, vertex, send):
        key, last = await self._choose(model, vertex, set()), None
        for _ in range(3):
            try:
                return await send(key)
            except httpx.HTTPStatusError as error:
                last = error
                await self._blame(vertex, key, model, self._status(error))
        raise last


class KeyInAnAttribute(Calls):
    """The key of the attempt is kept where other calls write to."""

    async def _attempts(self, model, vertex, send):
        tried = set()
        while key := await self._choose(model, vertex, tried):
            tried.add(key)
            self._current = key
            await asyncio.sleep(0)
            try:
                return await send(key)
            except httpx.HTTPStatusError as error:
                await self._blame(vertex, self._current, model, self._status(error))
        return NOTHING


class LosesTheLastError(Calls):
    """When every attempt has failed it looks for an attempt that has not."""

    async def _attempts(self, model, vertex, send):
        try:
            return await super()._attempts(model, vertex, send)
        except httpx.HTTPStatusError:
            return {}["answer"]


class ChargesWhateverComes(Calls):
    """A mistake of the caller's is counted as a failure of the key."""

    async def _attempts(self, model, vertex, send):
        async def sent(key):
            try:
                return await send(key)
            except httpx.HTTPStatusError:
                raise
            except Exception:
                await self._blame(vertex, key, model, 500)
                raise

        return await super()._attempts(model, vertex, sent)


class SwallowsWhateverComes(Calls):
    """A mistake of the caller's ends as if no key was left."""

    async def _attempts(self, model, vertex, send):
        try:
            return await super()._attempts(model, vertex, send)
        except httpx.HTTPStatusError:
            raise
        except Exception:
            return NOTHING


class ReadsTheMessage(Calls):
    """Digits of the message decide."""

    def _status(self, error):
        return next((status for status in (429, 401) if str(status) in str(error)), error.response.status_code)


class ReadsWords(Calls):
    """Words of the message decide."""

    def _status(self, error):
        return 401 if "invalid api key" in str(error).lower() else error.response.status_code


class LockOverTheUpstream(Calls):
    """The lock is held until the upstream has answered."""

    async def acquire(self, model, pool):
        async with self._lock:
            return await super().acquire(model, pool)

    async def _attempts(self, model, vertex, send):
        async def sent(key):
            async with self._lock:
                return await send(key)

        return await super()._attempts(model, vertex, sent)


class StatusWaitsToo(LockOverTheUpstream):
    """The lock is held until the upstream has answered, and a status wants it."""

    async def acquire(self, model, pool):
        return await Calls.acquire(self, model, pool)

    async def status(self, pool):
        async with self._lock:
            return await super().status(pool)


class NoDeadline(Calls):
    """Nothing limits the wait for the upstream."""

    async def call(self, model, pool, send):
        return await self._attempts(self._books._name(model), pool == "vertex", send)


class DeadlineForEachAttempt(Calls):
    """The limit is for each attempt, and there are many."""

    async def call(self, model, pool, send):
        async def sent(key):
            try:
                async with asyncio.timeout(4.0):
                    return await send(key)
            except TimeoutError:
                raise httpx.HTTPStatusError("408", request=None, response=httpx.Response(408)) from None

        return await self._attempts(self._books._name(model), pool == "vertex", sent)


class LockLeftBehind(Calls):
    """A time-out leaves the lock held."""

    async def _attempts(self, model, vertex, send):
        async def sent(key):
            await self._lock.acquire()
            answer = await send(key)
            self._lock.release()
            return answer

        return await super()._attempts(model, vertex, sent)


class TriesNoKey(Calls):
    """No key is tried, as if none was left."""

    async def _attempts(self, model, vertex, send):
        return NOTHING


class LockOverTheUpstreamInThreads(CallsInThreads):
    """The lock of all threads is held until the upstream has answered."""

    def call(self, send):
        def sent(key):
            with self._lock:
                return send(key)

        return super().call(sent)


class KeyInAnAttributeOfThreads(CallsInThreads):
    """The key of the attempt is kept where the calls of other threads write to."""

    def call(self, send):
        for _ in self._keys:
            with self._lock:
                self._current = next((key for key in self._keys if key not in self._out), NOTHING)
            if not self._current:
                break
            try:
                return send(self._current)
            except httpx.HTTPStatusError:
                with self._lock:
                    self._out.add(self._current)
        return NOTHING


MUTANTS = (
    planted("FAIL14", TriesNoKey),
    planted("FAIL14", KeyInAnAttributeOfThreads),
    planted("LIVE05", LockOverTheUpstreamInThreads),
    planted("FAIL14", TriesTheSameKey),
    planted("FAIL14", KeyInAnAttribute),
    planted("FAIL14", LosesTheLastError),
    planted("FAIL15", ChargesWhateverComes),
    planted("FAIL15", SwallowsWhateverComes),
    planted("FAIL16", ReadsTheMessage),
    planted("FAIL16", ReadsWords),
    planted("LIVE05", LockOverTheUpstream),
    planted("LIVE05", StatusWaitsToo),
    planted("LIVE06", NoDeadline),
    planted("LIVE06", DeadlineForEachAttempt),
    planted("LIVE06", LockLeftBehind),
)
