"""Sound twins with operations that few managers have."""

from __future__ import annotations

import asyncio
import datetime as dt
import re

from managers.deck import Meter
from managers.poor import DAY_ZONE, NOTHING, PoorManager

from pytest_keyconform import Adapter


class UnknownKey(Exception):
    """A key of no pool."""


class ChecksAndHides(Adapter):
    """Checks keys in bulk, tells secrets, reads settings in any casing, and advances through its layers."""

    words = frozenset({"key", "token", "secret", "password", "apikey"})

    def __init__(self, pool):
        super().__init__(pool)
        self._books = PoorManager(pool)
        self._settings = {}
        self._layer = 0

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

    def _snake(self, name):
        return "_".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)).lower()

    async def configure(self, settings):
        for name, value in settings.items():
            self._settings[self._snake(name)] = value
        await asyncio.sleep(0)
        return dict(self._settings)

    async def advance_layer(self):
        self._layer = layer = self._layer + 1
        await asyncio.sleep(0)
        return layer


class CarriesOver(Adapter):
    """Takes over the rows of an earlier version, each once."""

    def __init__(self, pool):
        super().__init__(pool)
        self._books = PoorManager(pool)
        self._carried = set()

    async def acquire(self, model, pool):
        return await self._books.get_key(model, pool == "vertex")

    async def record(self, lease, model, pool, tokens, outcome) -> bool:
        key, kind = getattr(lease, "key", None), {"quota": "429", "auth": "permanent"}.get(outcome)
        return await self._books.update_usage(
            model, key, pool == "vertex", tokens, error=outcome != "success", error_type=kind
        )

    async def usage(self, key, model, pool):
        name, card = self._books._name(model), self._books._card(pool == "vertex", key)
        meter = card and self._books._meter(card, name)
        return {"rpm": meter.rpm, "tpm": meter.tpm, "rpd": meter.rpd} if meter else None

    async def is_valid(self, key, pool):
        card = self._books._card(pool == "vertex", key)
        return card is not None and self._books._valid(card)

    async def migrate(self, rows):
        for row in rows:
            await asyncio.sleep(0)
            card, name = self._books._card(row["pool"] == "vertex", row["key"]), self._books._name(row["model"])
            if card is not None and not self._known(row, name):
                self._carry(card, row, name)

    def _known(self, row, name):
        return (row["pool"], row["key"], name) in self._carried

    def _carry(self, card, row, name):
        self._carried.add((row["pool"], row["key"], name))
        when = dt.datetime.fromisoformat(row["last_used"])
        meter = card.meters.get(name) or Meter()
        meter.opened, meter.rpm, meter.tpm = when.timestamp(), row["rpm"], row["tpm"]
        meter.day, meter.rpd, meter.marked = when.astimezone(DAY_ZONE).date(), row["rpd"], row["exhausted"]
        card.meters[name], card.out = meter, card.out or row["inactive"]
