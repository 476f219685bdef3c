"""Streams of the reference: which key is tried, what is counted, and what comes out."""

import contextlib

import httpx
import pytest
import respx

from keyconform_reference import InvalidInputError, KeyManager, NoUsableKeyError, Options, UpstreamError
from keyconform_reference.asking import HttpxProvider

pytestmark = pytest.mark.anyio
URL = "https://provider.test/chat"


@pytest.fixture
def anyio_backend():
    """Run on asyncio alone."""
    return "asyncio"


class Provider:
    """Answers by a script of errors: before the first chunk, or behind it where ``late``; ``keys`` asked."""

    def __init__(self, *script, late=False):
        self.script, self.late, self.keys = list(script), late, []

    async def __call__(self, key, model):
        self.keys.append(key)
        error = self.script.pop(0) if self.script else None
        if error is not None and not self.late:
            raise error
        yield "one"
        if error is not None:
            raise error
        yield "two"


async def opened(*, keys=("k1", "k2"), **options):
    manager = KeyManager(keys, default_model="m1", options=Options(**options))
    await manager.init()
    return manager


async def read(manager, ask, **more):
    return [chunk async for chunk in manager.stream("m1", ask=ask, **more)]


async def test_another_key_is_tried_before_the_first_chunk():
    """A refusal marks its key, and the next one answers; both were asked once."""
    manager, ask = await opened(), Provider(UpstreamError(429))
    assert await read(manager, ask) == ["one", "two"]
    assert ask.keys == ["k1", "k2"]
    assert await manager.get_key("m1") == "k2"


async def test_no_other_key_is_tried_behind_it():
    """What breaks behind a chunk comes out, is counted once, and is a failure of its key alone."""
    manager, ask = await opened(), Provider(UpstreamError(), late=True)
    with pytest.raises(UpstreamError, match="the provider broke off"):
        await read(manager, ask)
    assert ask.keys == ["k1"]
    assert (await manager.get_usage_stats("k1", "m1"))["rpm"] == 1
    assert [await manager.get_fail_count(key) for key in ("k1", "k2")] == [1, 0]


async def test_the_last_refusal_comes_out():
    """Where every key was tried the error of the last one is raised."""
    manager, ask = await opened(), Provider(UpstreamError(500), UpstreamError(503))
    with pytest.raises(UpstreamError, match="503"):
        await read(manager, ask)
    assert ask.keys == ["k1", "k2"]


async def test_who_leaves_gives_the_key_back():
    """A reader who leaves is counted, charges nobody, and the key is free again."""
    manager = await opened(keys=("k1",), tenure="lease")
    async with contextlib.aclosing(manager.stream("m1", ask=Provider())) as chunks:
        assert await anext(chunks) == "one"
    assert (await manager.get_usage_stats("k1", "m1"))["rpm"] == 1
    assert await manager.get_fail_count("k1") == 0
    assert await manager.get_key("m1") == "k1"


async def test_a_mistake_of_the_callers_is_no_failure_of_the_key():
    """An error that is not the provider's comes out as it is, and strikes no key."""
    manager = await opened()
    with pytest.raises(ZeroDivisionError):
        await read(manager, Provider(ZeroDivisionError()))
    assert await manager.get_fail_count("k1") == 0


async def test_bad_input_asks_nobody():
    """A model that is none is refused before a key is taken; so is a stream where there is no key."""
    manager, ask = await opened(), Provider()
    with pytest.raises(InvalidInputError):
        await anext(manager.stream(7, ask=ask))
    with pytest.raises(NoUsableKeyError):
        await anext(manager.stream("m1", True, ask=ask))
    assert ask.keys == []


async def test_nothing_comes_of_an_empty_answer():
    """An answer without a chunk ends well, and is counted."""

    async def ask(key, model):
        for chunk in ():
            yield chunk

    manager = await opened()
    assert await read(manager, ask) == []
    assert (await manager.get_usage_stats("k1", "m1"))["rpm"] == 1


@pytest.mark.parametrize("told, seconds", [({"retry-after": "7"}, 7.0), ({"retry-after": "soon"}, None), ({}, None)])
async def test_a_refusal_says_when_to_come_back(told, seconds):
    """The status and the seconds of a refusal are told, where they can be read."""
    with respx.mock:
        respx.post(URL).mock(return_value=httpx.Response(429, headers=told))
        async with httpx.AsyncClient() as client:
            with pytest.raises(UpstreamError) as caught:
                await anext(HttpxProvider(client, URL)("k1", "m1"))
    assert (caught.value.status, caught.value.retry_after) == (429, seconds)


async def test_httpx_is_asked_with_the_key():
    """Text comes as it is sent, for the key as bearer; a lost connection has no status."""
    with respx.mock:
        route = respx.post(URL).mock(side_effect=[httpx.Response(200, text="hello"), httpx.ConnectError("gone")])
        async with httpx.AsyncClient() as client:
            ask = HttpxProvider(client, URL)
            assert [text async for text in ask("k1", "m1")] == ["hello"]
            assert route.calls[0].request.headers["authorization"] == "Bearer k1"
            with pytest.raises(UpstreamError) as caught:
                await anext(ask("k1", "m1"))
    assert caught.value.status is None
