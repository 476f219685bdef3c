"""The source of limits: asked at each opening, cached where there is a storage, never in the way of a start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import ssl
from typing import TYPE_CHECKING, Final

import httpx

from .limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .limits import LimitsLike

logger = logging.getLogger("keyconform_reference")

TIER: Final = "Free Tier"
CACHE: Final = "limits.json"
SECONDS: Final = 4.0  # for all of a request: below the five that an opening may take
_FIELDS: Final = {"rpm": "RPM", "tpm": "TPM", "rpd": "RPD"}
_UNITS: Final = {"K": 1_000, "M": 1_000_000}
_FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError)  # a time-out is an OSError


class LimitsSource:
    """The page at ``url`` that publishes limits (000-24, 001-7).

    ``storage`` is the folder of the cache: the last good page, replaced in one step; None: it is kept in memory.
    ``seconds`` bound one request, connecting included. Nothing here blocks the event loop.
    """

    def __init__(self, url: str, *, storage: Path | None = None, seconds: float = SECONDS) -> None:
        self._url = url
        self._cache = None if storage is None else storage / CACHE
        self._seconds = seconds
        self._last: str | None = None

    async def limits(self, defaults: Mapping[str, LimitsLike]) -> dict[str, LimitsLike]:
        """Return the published limits over the default ones; where there are none the cached ones, with a warning."""
        try:
            page = await self._fetched()
            published = read(page)
        except _FAILURES as failure:
            logger.warning("the source of limits is of no use: %s: %s", type(failure).__name__, failure)
            published = await self._cached()
        else:
            await self._keep(page)
        return {**defaults, **published}

    async def _fetched(self) -> str:
        # Loading the certificates takes long, and is of use for https alone.
        secure = self._url.startswith("https:")
        context = await asyncio.to_thread(ssl.create_default_context) if secure else ssl.SSLContext()
        async with asyncio.timeout(self._seconds):
            async with httpx.AsyncClient(timeout=self._seconds, verify=context, follow_redirects=True) as client:
                answer = await client.get(self._url)
            return answer.raise_for_status().text

    async def _cached(self) -> dict[str, Limits]:
        try:
            page = self._last
            if page is None and self._cache is not None:
                page = await asyncio.to_thread(self._cache.read_text, encoding="utf-8")
            return {} if page is None else read(page)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as failure:
            logger.warning("the cached limits are of no use: %s: %s", type(failure).__name__, failure)
            return {}

    async def _keep(self, page: str) -> None:
        self._last = page
        if self._cache is None:
            return
        try:
            await asyncio.to_thread(_replace, self._cache, page)
        except OSError as failure:
            logger.warning("the limits cannot be cached: %s: %s", type(failure).__name__, failure)


def read(page: str) -> dict[str, Limits]:
    """Read a page; a row that cannot be read is left out, with a warning. Raises ``ValueError`` where none is left."""
    table = json.loads(page)
    tier = table.get(TIER) if isinstance(table, dict) else None
    if not isinstance(tier, dict):
        message = f"expected an object with the tier {TIER!r}"
        raise ValueError(message)  # noqa: TRY004 - whatever a page has in its place is a bad page
    found: dict[str, Limits] = {}
    for model, row in tier.items():
        try:
            found[model] = _row(model, row)
        except (OverflowError, ValueError) as failure:
            logger.warning("the limits of %r are left out: %s", model, failure)
    if not found:
        message = f"the tier {TIER!r} has no row that can be read"
        raise ValueError(message)
    return found


def number(written: object) -> int | None:
    """Read a limit as the page writes it: 15, "1,500", "250K", "1M"; None is unlimited. Raises ``ValueError``."""
    if written is None:
        return None
    if isinstance(written, bool) or not isinstance(written, int | float | str):
        message = f"{written!r} is no number"
        raise ValueError(message)  # noqa: TRY004 - likewise
    text = str(written).replace(",", "").strip().upper()
    unit = _UNITS.get(text[-1:], 1)
    value = int(float(text.removesuffix("K").removesuffix("M")) * unit)
    if value < 0:
        message = f"{written!r} is below zero"
        raise ValueError(message)
    return value


def _row(model: str, row: object) -> Limits:
    if not model.strip() or not isinstance(row, dict):
        message = "expected the name of a model, and an object of numbers"
        raise ValueError(message)
    return Limits(**{field: number(row.get(name)) for field, name in _FIELDS.items()})


def _replace(path: Path, page: str) -> None:
    """Put a file in the place of another one in one step, so that nobody ever reads half of it (004-9)."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
