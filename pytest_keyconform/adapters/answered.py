"""What a stream's requests are answered, as its script says, and how each of them ends."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx

from pytest_keyconform.adapters.intercepting import Interception, body_of, is_local, model_of, texts_of
from pytest_keyconform.adapters.streaming import LEFT, UNREAD
from pytest_keyconform.operation import Answered, Raised

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from pytest_keyconform.adapters.streaming import Consumer, Streams
    from pytest_keyconform.operation import Response

WHOLE: Final = "whole"
WORDS: Final = ("one ", "two ", "three ")
_REFUSING: Final = 400
_LINE: Final = re.compile(r"(ok|hang|\d{3}|(breaks|resets|late|stalls) (\d))")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request is answered: a status, so many chunks, and then the ``end``.

    That is ``whole``, ``breaks`` (the connection is closed), ``resets`` (reading fails), ``late`` (the client's own
    time-out), or ``stalls`` (nothing more comes).
    """

    status: int = 200
    chunks: int = len(WORDS)
    end: str = WHOLE

    @classmethod
    def of(cls, line: str) -> Answer:
        """Read a line of a script; raises ValueError for what is none."""
        found = _LINE.fullmatch(line)
        if found is None:
            message = f"expected ok, a status, hang, or breaks, resets, late or stalls and a number; found {line!r}"
            raise ValueError(message)
        if found[2]:
            return cls(chunks=int(found[3]), end=found[2])
        return cls(chunks=0, end="stalls") if line == "hang" else cls(status=int(line) if line.isdigit() else 200)


class Exchange:
    """One request of a stream; it ends once, whoever notices first."""

    def __init__(self, consumer: Consumer, ended: Callable[[Response], object]) -> None:
        self._consumer = consumer
        self._ended: Callable[[Response], object] | None = ended
        self._passed = consumer.passed
        consumer.exchanges.append(self)

    def ends(self, response: Response) -> None:
        """Keep how it ended."""
        if self._ended is not None:
            self._ended(response)
            self._ended = None

    def over(self) -> None:
        """End it where nobody read it to its end: what was passed on of it was ``left``, else it went ``unread``."""
        self.ends(Answered(LEFT if self._consumer.passed > self._passed else UNREAD))


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of one answer."""

    def __init__(self, pieces: tuple[bytes, ...], error: httpx.TransportError | None, exchange: Exchange) -> None:
        self.stalls: Callable[[], None] | None = None
        self._pieces = pieces
        self._error = error
        self._exchange = exchange
        self.failed: Callable[[BaseException], Raised]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            await asyncio.sleep(0)  # a client waits for each: others may come first
            yield piece
        await asyncio.sleep(0)
        if self.stalls is not None:
            await silence(self.stalls)
        self._end()

    def _end(self) -> None:
        if self._error is not None:
            self._exchange.ends(self.failed(self._error))
            raise self._error
        self._exchange.ends(Answered(WHOLE))


class Upstream(Interception):
    """The provider that the streams of one execution ask; entered while any of them is read."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(self)
        self._streams = streams

    def meet(self, request: httpx.Request) -> httpx.Response | None:
        """Answer a synchronous client; None for what is no request of a stream."""
        found = self._met(request)
        return None if found is None else self._answer(request, *found)

    async def meet_async(self, request: httpx.Request) -> httpx.Response | None:
        """Answer an asynchronous client likewise."""
        found = self._met(request)
        if found is None:
            return None
        await asyncio.sleep(0)
        answer, exchange, consumer = found
        if answer.end == "stalls" and not answer.chunks:
            await silence(consumer.stalled)
        return self._answer(request, answer, exchange, consumer)

    def _met(self, request: httpx.Request) -> tuple[Answer, Exchange, Consumer] | None:
        label = next(filter(None, map(self._streams.label, texts_of(request))), None)
        consumer = self._streams.asking()
        if consumer is None or (label is None and is_local(request)):
            return None
        more: dict[str, object] = {"again": True} if label in consumer.keys else {}
        consumer.keys.add(label)
        to = self._streams.redact(f"{request.method} {request.url.host}{request.url.path}")
        named = model_of(request, body_of(request))
        shown = consumer.said("request", key=label or "", **consumer.about, named=named, to=to, **more)
        exchange = Exchange(consumer, consumer.beside(shown))
        # Who carries no key of the pool is refused, whatever the script says: it may not be about this stream.
        return Answer.of(next(consumer.lines, "ok")) if label else Answer(status=401), exchange, consumer

    def _answer(self, request: httpx.Request, answer: Answer, exchange: Exchange, consumer: Consumer) -> httpx.Response:
        if answer.status >= _REFUSING:
            told = {"error": {"code": answer.status, "message": "refused"}}
            exchange.ends(Raised("HTTPStatusError", f"{answer.status} refused", typed=True))
            return httpx.Response(answer.status, json=told, request=request)
        body = Body(pieces_for(request, answer), error_of(answer, request), exchange)
        body.failed = self._streams.failed
        body.stalls = consumer.stalled if answer.end == "stalls" else None
        kind = "text/event-stream" if _by_lines(request) else "text/plain"
        return httpx.Response(answer.status, headers={"content-type": kind}, stream=body, request=request)


async def silence(told: Callable[[], None]) -> None:
    """Say that nothing more comes, and let nothing come."""
    told()
    await asyncio.get_running_loop().create_future()


def pieces_for(request: httpx.Request, answer: Answer) -> tuple[bytes, ...]:
    """Answer the chunks of a body: plain text, or lines of server-sent events where the request asks for such.

    Each line has its word where the two usual shapes have it; the last one is ``[DONE]`` for who names no shape.
    """
    words = WORDS[: answer.chunks]
    if not _by_lines(request):
        return tuple(word.encode() for word in words)
    lines = [json.dumps(_shaped(word)) for word in words]
    whole = answer.end == WHOLE and "GenerateContent" not in request.url.path
    return tuple(f"data: {line}\n\n".encode() for line in (*lines, *(["[DONE]"] if whole else [])))


def error_of(answer: Answer, request: httpx.Request) -> httpx.TransportError | None:
    """Answer what reading the body ends in; None: it ends well."""
    match answer.end:
        case "breaks":
            text = "peer closed connection without sending complete message body (incomplete chunked read)"
            return httpx.RemoteProtocolError(text, request=request)
        case "resets":
            return httpx.ReadError("connection reset by peer", request=request)
        case "late":
            return httpx.ReadTimeout("no more came in time", request=request)
        case _:
            return None


def _by_lines(request: httpx.Request) -> bool:
    asked = request.headers.get("accept", "") == "text/event-stream" or request.url.params.get("alt") == "sse"
    return bool(asked or body_of(request).get("stream"))


def _shaped(word: str) -> dict[str, object]:
    return {
        "choices": [{"index": 0, "delta": {"content": word}}],
        "candidates": [{"content": {"parts": [{"text": word}]}}],
    }
