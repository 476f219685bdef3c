"""The consumer of a stream: reads as a step says, ends as it says, and what its provider meets stands beside it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from pytest_keyconform.errors import Unsupported
from pytest_keyconform.operation import Answered, Invocation, Raised

if TYPE_CHECKING:
    from pytest_keyconform.adapters.answered import Exchange, Upstream
    from pytest_keyconform.adapters.keys import Keyring
    from pytest_keyconform.adapters.sending import Beside, Concealing

ENDED: Final = "ended"
LEFT: Final = "left"
UNREAD: Final = "unread"
SETTLING: Final = 20  # turns of the loop in which what a stream has left to do is done
_LONGEST: Final = 60

current: Final[ContextVar[Consumer | None]] = ContextVar("consumer", default=None)
"""Whose stream the code that runs belongs to, also in the tasks that it has started."""


class Consumer:
    """One stream: who reads it, and the script of its provider, one line for each request; then all is well.

    ``passed`` counts the chunks that reached the consumer, ``stalled`` is told as the provider falls silent, ``keys``
    are those that were asked with.
    """

    def __init__(
        self,
        invocation: Invocation,
        invoke: Callable[[], object],
        beside: Beside,
        conceal: Concealing,
    ) -> None:
        script, read = invocation.get("upstream"), invocation.get("read")
        self.lines: Iterator[str] = iter(map(str, script) if isinstance(script, list | tuple) else ())
        self.beside = beside
        self.passed = 0
        self.stalled: Callable[[], None] = lambda: None
        self.exchanges: list[Exchange] = []
        self.keys: set[str | None] = set()
        self._of = tuple(pair for pair in invocation.arguments if pair[0] == "of")
        self.about = {name: value for name, value in invocation.arguments if name in ("model", "pool")}
        self._invoke = invoke
        self._conceal = conceal
        self._most = int(str(read)) if read is not None else None
        self._leave = str(invocation.get("leave", "close"))
        self._stream: Any = None

    def said(self, name: str, **more: object) -> Invocation:
        """Answer what something within this stream is recorded as."""
        return Invocation(name, (*self._of, *more.items()))

    # -- an asynchronous one

    async def read(self) -> str:
        """Read it, and answer whether it ``ended`` or was ``left``; raises what it raises."""
        token = current.set(self)
        try:
            return await (self._until_stalled() if self._leave == "cancel" else self._read())
        finally:
            current.reset(token)
            self._over()

    def _over(self) -> None:
        for exchange in self.exchanges:
            exchange.over()

    async def _read(self) -> str:
        answer = self._invoke()
        self._stream = await answer if inspect.isawaitable(answer) else answer
        del answer
        if not isinstance(self._stream, AsyncIterator):
            return self._read_all(self._stream)
        try:
            while self._most is None or self.passed < self._most:
                self._passed(await anext(self._stream))
        except StopAsyncIteration:
            await _settled()
            return ENDED
        except Exception:
            await _settled()
            raise
        finally:
            if not isinstance(self._stream, AsyncGenerator):  # which no interpreter closes
                await self._close()
        return await self._left()

    async def _left(self) -> str:
        """Leave: by closing it, or by forgetting it, as ``break`` does."""
        if self._leave == "close":
            await self._close()
        self._stream = None
        await _settled()
        return LEFT

    async def _close(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()

    async def _until_stalled(self) -> str:
        """Read in a task that is cancelled as the provider has fallen silent."""
        silent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stalled = lambda: None if silent.done() else silent.set_result(None)
        reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait((reading, silent), return_when=asyncio.FIRST_COMPLETED)
            await _settled()  # what was sent before reaches the consumer
            if reading.done():
                return reading.result()
        finally:
            silent.cancel()
            reading.cancel()
        await asyncio.wait((reading,))
        await _settled()
        return LEFT if reading.cancelled() else reading.result()

    # -- a synchronous one

    def read_now(self) -> str:
        """Read it likewise, without an event loop."""
        token = current.set(self)
        try:
            return self._read_all(self._invoke())
        finally:
            current.reset(token)
            self._over()

    def _read_all(self, stream: Any) -> str:  # noqa: ANN401 - whatever the backend answers
        if not isinstance(stream, Iterator):
            message = f"stream answers no iterator but a {type(stream).__name__}"
            raise Unsupported(message)
        if self._leave == "cancel":
            message = "a synchronous stream is not cancelled"
            raise Unsupported(message)
        while self._most is None or self.passed < self._most:
            try:
                self._passed(next(stream))
            except StopIteration:
                return ENDED
        close = getattr(stream, "close", None)
        if close is not None:
            close()
        return LEFT

    def _passed(self, chunk: object) -> None:
        self.passed += 1
        shown = self._conceal(chunk)
        self.beside(self.said("chunk"))(Answered(shown[:_LONGEST] if isinstance(shown, str) else shown))


class Streams:
    """The streams of one execution, and the provider that all of them ask.

    ``_reading`` are those that are being read; ``_upstream`` is made for the first of them.
    """

    def __init__(self, keyring: Keyring, failed: Callable[[BaseException], Raised]) -> None:
        """Bind the keys, and what records an error."""
        self.label = keyring.found_in
        self.redact = keyring.redact
        self.failed = failed
        self._reading: list[Consumer] = []
        self._upstream: Upstream | None = None

    def consume(self, consumer: Consumer, *, is_async: bool) -> object:
        """Read a stream as its step says; answers an awaitable where the backend lives on an event loop."""
        return self._asynchronous(consumer) if is_async else self._synchronous(consumer)

    def asking(self) -> Consumer | None:
        """Answer whose stream the request that comes belongs to; None: that cannot be told."""
        known = current.get()
        if known is None and len(self._reading) == 1:
            return self._reading[0]
        return known if known in self._reading else None

    async def _asynchronous(self, consumer: Consumer) -> str:
        with self._met(consumer):
            return await consumer.read()

    def _synchronous(self, consumer: Consumer) -> str:
        with self._met(consumer):
            return consumer.read_now()

    @contextmanager
    def _met(self, consumer: Consumer) -> Iterator[None]:
        from pytest_keyconform.adapters.answered import Upstream  # httpx: only for who streams

        if self._upstream is None:
            self._upstream = Upstream(self)
        self._reading.append(consumer)
        try:
            with self._upstream:
                yield
        finally:
            self._reading.remove(consumer)


async def _settled() -> None:
    for _ in range(SETTLING):
        await asyncio.sleep(0)
