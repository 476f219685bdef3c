"""A sound twin with operations that few managers have."""

from __future__ import annotations

import re

from managers.poor import NOTHING, PoorManager

from pytest_keyconform import Adapter


class UnknownKey(Exception):
    """A key of no pool."""


class ChecksAndHides(Adapter):
    """Checks keys in bulk, and tells which settings are secrets."""

    words = frozenset({"key", "token", "secret", "password", "apikey"})

    def __init__(self, pool):
        super().__init__(pool)
        self._books = PoorManager(pool)

    async def acquire(self, model, pool):
        return await self._books.get_key(model, pool == "vertex")

    async def fail(self, lease, model, pool, retries, status) -> str:
        return await self._books.handle_api_failure(lease.key, model, retries, pool == "vertex", status) or NOTHING

    async def bulk(self, keys):
        return {key: await self._checked(key) for key in keys}

    async def _checked(self, key):
        return None if self._books._card(False, key) or self._books._card(True, key) else UnknownKey()

    def is_secret(self, name):
        parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name.replace("-", "_"))
        return not self.words.isdisjoint(part.lower() for part in parts)
