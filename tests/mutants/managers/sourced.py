"""Two sound managers that read limits from a source: over SQLite, one with urllib and one with coroutines and httpx."""

from __future__ import annotations

import json
import logging
import urllib.request

import httpx

from managers.stored import AsyncSqliteManager, SqliteManager
from pytest_keyconform.spec.pool import Limits

UNITS = {"K": 1000, "M": 1_000_000}
PATIENCE = 2.0  # seconds for the source
log = logging.getLogger(__name__)


class Reading:
    """What both share: the table of limits, where it is kept, and what is done where the source fails."""

    def number(self, written):
        if written is None:
            return None
        text = str(written).replace(",", "")
        return int(float(text.rstrip("KM")) * UNITS.get(text[-1], 1))

    def row(self, written):
        return Limits(**{name.lower(): self.number(written.get(name)) for name in ("RPM", "TPM", "RPD")})

    def read(self, text):
        return {model: self.row(row) for model, row in json.loads(text)["Free Tier"].items()}

    def warn(self, problem):
        log.warning("the source of limits failed: %s", type(problem).__name__)

    def keep(self, text):
        fresh = self._kept.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._kept)

    @property
    def _kept(self):
        return self._pool.storage / "limits.json"

    def take(self, text):
        limits = self.read(text)
        self.keep(text)
        self.rule_by(limits)

    def rule_by(self, limits):
        self._pool = self._pool.model_copy(update={"limits": {**self._pool.limits, **limits}})

    def fall_back(self, problem):
        self.warn(problem)
        if self._kept.exists():
            self.rule_by(self.read(self._kept.read_text()))


def client_of(patience):
    """Answer a client for a source on the loopback: without certificates, which take long to load."""
    return httpx.AsyncClient(timeout=patience, verify=False)  # noqa: S501 - it speaks plain HTTP


class SourcedManager(Reading, SqliteManager):
    """Asks with urllib."""

    patience = PATIENCE

    def fetch(self):
        with urllib.request.urlopen(self._pool.limits_source, timeout=self.patience) as answer:  # noqa: S310 - a loopback
            return answer.read().decode()

    def init(self):
        if self._pool.limits_source is None:
            return
        try:
            self.take(self.fetch())
        except Exception as problem:
            self.fall_back(problem)


class AsyncSourcedManager(Reading, AsyncSqliteManager):
    """Asks with httpx."""

    patience = PATIENCE

    async def fetch(self):
        async with client_of(self.patience) as client:
            answer = await client.get(self._pool.limits_source)
            return answer.raise_for_status().text

    async def init(self):
        if self._pool.limits_source is None:
            return
        try:
            self.take(await self.fetch())
        except Exception as problem:
            self.fall_back(problem)
