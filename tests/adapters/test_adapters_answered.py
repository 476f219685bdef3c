"""What the requests of a stream are answered, and what httpx sends is met wherever it goes."""

import asyncio

import httpx
import pytest

from pytest_keyconform.adapters.answered import Answer, error_of, pieces_for
from pytest_keyconform.adapters.intercepting import Interception, key_of, texts_of
from pytest_keyconform.adapters.keys import Keyring, canary
from pytest_keyconform.adapters.raised import Agreement, raised
from pytest_keyconform.adapters.streaming import Consumer, Streams
from pytest_keyconform.errors import Unsupported
from pytest_keyconform.operation import Invocation
from pytest_keyconform.spec.policies import Policies

URL = "https://anywhere.example/v1/chat"


class Told:
    """What stood beside a stream, as a list of names, keys and ends."""

    def __init__(self):
        self.lines = []

    def beside(self, invocation):
        place = len(self.lines)
        self.lines.append([invocation.name, invocation.get("key"), None])

        def ended(response):
            self.lines[place][2] = getattr(response, "value", getattr(response, "kind", None))

        return ended


def streams():
    """Answer the streams of an execution that knows two keys."""
    keyring = Keyring()
    keyring.reveal(("key-1", "key-2"))
    agreement = Agreement(Policies(), frozenset())
    return Streams(keyring, lambda error: raised(error, agreement, keyring.redact, bad_input=False))


def consumer(told, opened, *script, **more):
    """Answer who reads a stream whose provider answers by this script."""
    invocation = Invocation("stream", (("of", "a"), ("upstream", script), *more.items()))
    return Consumer(invocation, opened, told.beside, lambda value, **_: value)


async def asked(key="key-1", url=URL, **more):
    """Yield what the provider answers to one request."""
    headers = {"authorization": f"Bearer {canary(key)}"}
    async with httpx.AsyncClient() as client, client.stream("POST", url, headers=headers, **more) as answer:
        answer.raise_for_status()
        async for text in answer.aiter_text():
            yield text


def read(*script, opened=asked, **more):
    """Read a stream on an ordinary loop; answer how it ended and what stood beside it."""
    told = Told()

    async def main():
        try:
            return await streams().consume(consumer(told, opened, *script, **more), is_async=True)
        except httpx.HTTPError as error:
            return type(error).__name__

    return asyncio.run(main()), told.lines


def test_a_stream_is_read_to_its_end():
    """Each chunk stands beside the stream, and its request is whole."""
    end, lines = read()
    assert end == "ended"
    assert lines[0] == ["request", "key-1", "whole"]
    assert [line[2] for line in lines[1:]] == ["one ", "two ", "three "]


@pytest.mark.parametrize(
    "line, error, chunks",
    [
        ("breaks 2", "RemoteProtocolError", 2),
        ("resets 1", "ReadError", 1),
        ("late 0", "ReadTimeout", 0),
        ("429", "HTTPStatusError", 0),
    ],
)
def test_a_stream_breaks_as_its_script_says(line, error, chunks):
    """So many chunks come, and then the error; the request ended in it."""
    end, lines = read(line)
    assert (end, lines[0][2], len(lines) - 1) == (error, error, chunks)


@pytest.mark.parametrize("leave", ["close", "drop"])
def test_a_consumer_leaves(leave):
    """Who leaves after a chunk has left a request that is not whole."""
    end, lines = read(read=1, leave=leave)
    assert (end, lines[0][2], len(lines) - 1) == ("left", "left", 1)


@pytest.mark.parametrize("line, chunks, request_end", [("hang", 0, "unread"), ("stalls 2", 2, "left")])
def test_a_consumer_is_cancelled_as_nothing_more_comes(line, chunks, request_end):
    """The cancellation comes once the provider has fallen silent, and what came before is passed on."""
    end, lines = read(line, leave="cancel")
    assert (end, lines[0][2], len(lines) - 1) == ("left", request_end, chunks)


def test_who_carries_no_key_is_refused():
    """A request without a key of the pool gets a 401, whatever the script says, and is seen as nobody's."""

    async def strange():
        async with httpx.AsyncClient() as client:
            yield str((await client.get(URL)).status_code)

    _, lines = read(opened=strange)
    assert [lines[0], lines[1][2]] == [["request", "", "HTTPStatusError"], "401"]


def test_a_synchronous_stream_is_read():
    """A plain iterator is read without an event loop, and closed where its reader leaves."""

    def opened():
        headers = {"x-goog-api-key": canary("key-2")}
        with httpx.Client() as client, client.stream("POST", URL, headers=headers) as answer:
            yield from answer.iter_text()

    told = Told()
    assert streams().consume(consumer(told, opened, read=2), is_async=False) == "left"
    assert told.lines[0] == ["request", "key-2", "left"]


@pytest.mark.parametrize("answer", ["a text", 5, None])
def test_what_is_no_iterator_is_not_judged(answer):
    """An answer that cannot be read is left out, and said to be."""
    with pytest.raises(Unsupported, match="stream answers no iterator"):
        read(opened=lambda: answer)


def test_transports_are_as_before():
    """Once no stream is read, httpx sends as it always did."""
    before = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request
    read("breaks 1")
    assert before == (httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request)


def test_what_the_provider_lets_pass_goes_on():
    """A request that is nobody's reaches the transport that it was meant for, and two may intercept at once."""

    class Passing:
        def meet(self, request):
            return httpx.Response(204, request=request) if request.url.path == "/met" else None

    with Interception(Passing()) as interception, interception, httpx.Client() as client:
        assert client.get("http://127.0.0.1:1/met").status_code == 204
        with pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:1/passed")


def test_events_are_sent_to_who_asks_for_them():
    """Who streams by events gets lines, the last of them [DONE], but not where the path is Gemini's."""
    plain = httpx.Request("POST", URL)
    events = httpx.Request("POST", URL, json={"stream": True})
    gemini = httpx.Request("POST", f"{URL}/models/m1:streamGenerateContent?alt=sse")
    assert pieces_for(plain, Answer()) == (b"one ", b"two ", b"three ")
    assert pieces_for(events, Answer())[-1] == b"data: [DONE]\n\n"
    assert len(pieces_for(gemini, Answer())) == 3
    assert b'"content": "one "' in pieces_for(events, Answer(chunks=1, end="breaks"))[0]
    assert error_of(Answer(), plain) is None


def test_a_line_that_is_none_is_refused():
    """A script that says nothing is told with what was expected."""
    with pytest.raises(ValueError, match="expected ok, a status, hang"):
        Answer.of("explodes")


def test_a_key_is_found_where_it_is():
    """The usual headers and the query are looked at first, then the whole request."""
    assert key_of(httpx.Request("GET", f"{URL}?key=abc")) == "abc"
    assert key_of(httpx.Request("GET", URL, headers={"api-key": "abc"})) == "abc"
    assert "abc" in texts_of(httpx.Request("POST", URL, headers={"mine": "abc"}))
