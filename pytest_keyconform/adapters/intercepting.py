"""Requests that httpx is about to send: whose key they carry, what for; and how they are kept from the network.

Imported where an operation asks a provider, and by the fixtures: httpx takes half of the time that the harness does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEY_HEADERS: Final = ("x-goog-api-key", "x-api-key", "api-key")
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def body_of(request: httpx.Request) -> dict[str, Any]:
    """Answer the JSON object that a request carries; an empty one where it carries none."""
    try:
        body = json.loads(request.content or b"{}")
    except (ValueError, httpx.RequestNotRead):
        return {}
    return body if isinstance(body, dict) else {}


def key_of(request: httpx.Request) -> str:
    """Answer the key of a request: in ``Authorization``, in a header of `KEY_HEADERS`, or ``key`` in the query."""
    bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
    named = (request.headers.get(name) for name in KEY_HEADERS)
    return str(bearer or next(filter(None, named), None) or request.url.params.get("key", ""))


def model_of(request: httpx.Request, body: dict[str, Any]) -> str:
    """Answer the model of a request: in the path (``/models/NAME``), or ``model`` in its body."""
    _, found, path = request.url.path.partition("/models/")
    return path.partition(":")[0].partition("/")[0] if found else str(body.get("model", ""))


def texts_of(request: httpx.Request) -> tuple[str, ...]:
    """Answer every place of a request that may hold a key, the usual ones first."""
    content = request.content.decode(errors="replace")
    return key_of(request), *request.headers.values(), str(request.url), content


def is_local(request: httpx.Request) -> bool:
    """Tell whether a request goes to this machine."""
    return request.url.host in LOOPBACK


class Provider(Protocol):
    """What answers the requests that are kept from the network; None lets one pass."""

    def meet(self, request: httpx.Request) -> httpx.Response | None:
        """Answer a synchronous client."""

    async def meet_async(self, request: httpx.Request) -> httpx.Response | None:
        """Answer an asynchronous client."""


class Interception:
    """While entered, what any client of httpx sends over its own transports is answered by a provider.

    May be entered several times over: it ends as it is left for the last time. A transport of the backend's own that
    never reaches one of httpx' (a ``MockTransport``) is not seen.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._entered = 0
        self._before: tuple[Callable[..., httpx.Response], Callable[..., Awaitable[httpx.Response]]] | None = None

    def __enter__(self) -> Self:
        self._entered += 1
        if self._entered == 1:
            self._begin()
        return self

    def __exit__(self, *error: object) -> None:
        self._entered -= 1
        if self._entered == 0 and self._before is not None:
            httpx.HTTPTransport.handle_request = self._before[0]  # type: ignore[method-assign] # as it was
            httpx.AsyncHTTPTransport.handle_async_request = self._before[1]  # type: ignore[assignment, method-assign]

    def _begin(self) -> None:
        """Take the place of both transports' methods: of the class, so that clients made before are met too."""
        synchronous, asynchronous = httpx.HTTPTransport.handle_request, httpx.AsyncHTTPTransport.handle_async_request
        self._before = synchronous, asynchronous
        provider = self._provider

        def handle_request(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            request.read()
            return provider.meet(request) or synchronous(transport, request)

        async def handle_async_request(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
            await request.aread()
            return await provider.meet_async(request) or await asynchronous(transport, request)

        httpx.HTTPTransport.handle_request = handle_request  # type: ignore[assignment, method-assign] # on purpose
        httpx.AsyncHTTPTransport.handle_async_request = handle_async_request  # type: ignore[assignment, method-assign]
