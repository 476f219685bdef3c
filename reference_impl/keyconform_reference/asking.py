"""A provider that streams text over HTTP, asked by httpx; this module alone imports it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import httpx

from .errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class HttpxProvider:
    """Calls ``POST url`` with the model as JSON and the key as bearer: ``manager.stream(model, ask=provider)``.

    ``client`` is the caller's to close.
    """

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def __call__(self, key: str, model: str) -> AsyncGenerator[str, None]:
        """Yield the text as it comes; raises ``UpstreamError`` for a refusal and for a lost connection."""
        headers = {"authorization": f"Bearer {key}"}
        try:
            async with self._client.stream("POST", self._url, json={"model": model}, headers=headers) as response:
                if response.is_error:
                    raise UpstreamError(response.status_code, retry_after=_seconds(response))
                async for text in response.aiter_text():
                    yield text
        except httpx.TransportError as error:
            raise UpstreamError from error


def _seconds(response: httpx.Response) -> float | None:
    with contextlib.suppress(ValueError):
        return float(response.headers.get("retry-after", ""))
    return None
