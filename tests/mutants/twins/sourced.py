"""Sound twins that read their limits from a source, each in its own way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
import urllib.parse
import urllib.request
import warnings

from managers.poor import PoorManager
from managers.rich import RichManager
from managers.sourced import AsyncSourcedManager, Reading, SourcedManager, client_of

from pytest_keyconform.spec.pool import Limits
from twins import declared, leases, shapes, waiting

DAY = 86_400


class SourcedByAThread(SourcedManager):
    """A thread of its own asks, without a time-out; the opening waits two seconds for it."""

    def fetch(self):
        found = []
        thread = threading.Thread(target=self._ask, args=(self._pool.limits_source, found), daemon=True)
        thread.start()
        thread.join(timeout=2)
        if not found:
            raise TimeoutError
        return found[0]

    def _ask(self, url, found):
        with contextlib.suppress(Exception), urllib.request.urlopen(url) as answer:  # noqa: S310 - a loopback
            found.append(answer.read().decode())


class AsyncSourcedByAThread(AsyncSourcedManager):
    """A thread of the loop's asks, within a time-out of its own."""

    async def fetch(self):
        return await asyncio.to_thread(SourcedManager.fetch, self)


class AsyncThreadLeftBehind(AsyncSourcedManager):
    """A thread of the loop's asks without a time-out; the coroutine waits three seconds for it."""

    patience = None

    async def fetch(self):
        return await asyncio.wait_for(asyncio.to_thread(SourcedManager.fetch, self), 3)


class SourcedOverStreams(AsyncSourcedManager):
    """The request is written by hand; one time-out holds for all of it."""

    async def fetch(self):
        async with asyncio.timeout(4):
            url = urllib.parse.urlsplit(self._pool.limits_source)
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            try:
                writer.write(f"GET {url.path} HTTP/1.0\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
            if b" 200 " not in head.splitlines()[0]:
                raise ConnectionError(head)
            return body.decode()


class SourcedBeside(AsyncSourcedManager):
    """It opens at once with what it has, and asks in a task beside; then again every hour."""

    _task = None

    async def init(self):
        if self._task is None and self._pool.limits_source is not None:
            if self._kept.exists():
                self.rule_by(self.read(self._kept.read_text()))
            self._task = asyncio.create_task(self._go_on())

    async def _go_on(self):
        while True:
            await super().init()
            await asyncio.sleep(3600)

    async def shutdown(self):
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await super().shutdown()


class SourcedOnceADay(SourcedManager):
    """A page that is younger than a day is not asked for again; warnings go through `warnings`."""

    def warn(self, problem):
        warnings.warn(f"no limits came from the source: {problem!r}", RuntimeWarning, stacklevel=2)

    def init(self):
        if self._pool.limits_source is not None and self._kept.exists():
            stored = json.loads(self._kept.read_text())
            if time.time() - stored["at"] < DAY:
                self.rule_by(self.read(json.dumps(stored["page"])))
                return
        super().init()

    def keep(self, text):
        super().keep(json.dumps({"at": time.time(), "page": json.loads(text)}))

    def fall_back(self, problem):
        self.warn(problem)
        if self._kept.exists():
            self.rule_by(self.read(json.dumps(json.loads(self._kept.read_text())["page"])))


class SourcedWithATableOfItsOwn(SourcedManager):
    """The defaults are its own, and hold for every model; the limits of the pool are for a pool without a source."""

    def init(self):
        if self._pool.limits_source is not None:
            own = Limits(rpm=15, tpm=1_000_000, rpd=1500)
            self._pool = self._pool.model_copy(update={"limits": dict.fromkeys(("m1", "m2"), own)})
        super().init()


class SourcedByMinimum(AsyncSourcedManager):
    """Three attempts of a second each; a number of the source counts where it is there, else the pool's."""

    patience = 1.0

    async def fetch(self):
        for attempt in range(3):
            try:
                return await super().fetch()
            except Exception:
                if attempt == 2:
                    raise
        return None


class _Reader(Reading):
    def __init__(self, pool):
        self._pool = pool


def _merged(pool, text):
    reader = _Reader(pool)
    return pool.model_copy(update={"limits": {**pool.limits, **reader.read(text)}})


def at_once(kind):
    """Answer a factory that reads the source before it makes a manager, with urllib."""

    def factory(pool):
        if pool.limits_source is None:
            return kind(pool)
        try:
            return kind(_merged(pool, SourcedManager.fetch(_Asking(pool))))
        except Exception as problem:
            _Reader(pool).warn(problem)
            return kind(pool)

    factory.policies = getattr(kind, "policies", {})
    return factory


def awaited(kind):
    """Answer a factory that reads the source before it makes a manager, with httpx."""

    async def factory(pool):
        if pool.limits_source is None:
            return kind(pool)
        try:
            async with client_of(2.0) as client:
                answer = await client.get(pool.limits_source)
            return kind(_merged(pool, answer.raise_for_status().text))
        except Exception as problem:
            _Reader(pool).warn(problem)
            return kind(pool)

    factory.policies = getattr(kind, "policies", {})
    return factory


class _Asking(_Reader):
    patience = 2.0


poor_with_source = awaited(PoorManager)
rich_with_source = awaited(RichManager)
blocking_with_source = awaited(waiting.Blocking)
leases_with_source = awaited(leases.LeaseDesk)
fallback_with_source = awaited(declared.FallsBack)
typed_with_source = awaited(declared.RaisesTyped)
rejecting_with_source = awaited(declared.RejectsUnknownModels)
threads_with_source = at_once(shapes.ThreadSafe)
MADE = ("poor", "rich", "blocking", "leases", "fallback", "typed", "rejecting", "threads")
for _name in MADE:
    globals()[f"{_name}_with_source"].__name__ = f"{_name}_with_source"

TWINS = (
    SourcedManager,
    AsyncSourcedManager,
    SourcedByAThread,
    AsyncSourcedByAThread,
    AsyncThreadLeftBehind,
    SourcedOverStreams,
    SourcedBeside,
    SourcedOnceADay,
    SourcedWithATableOfItsOwn,
    SourcedByMinimum,
    poor_with_source,
    rich_with_source,
    blocking_with_source,
    leases_with_source,
    fallback_with_source,
    typed_with_source,
    rejecting_with_source,
    threads_with_source,
)
