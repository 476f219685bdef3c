"""Planted bugs of the family SRC."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import urllib.request

import httpx
from managers.sourced import AsyncSourcedManager, SourcedManager, client_of

from planted.registry import planted
from pytest_keyconform.spec.pool import Limits


class FailsWithTheSource(SourcedManager):
    """The error of the request, or of the parser, is let through."""

    def fall_back(self, problem):
        raise problem


class SaysNothing(AsyncSourcedManager):
    """Nobody is told that the source failed."""

    def warn(self, problem):
        pass


class OpensWithoutLimits(AsyncSourcedManager):
    """Where the source fails the table stays empty."""

    def fall_back(self, problem):
        super().fall_back(problem)
        if not self._kept.exists():
            self._pool = self._pool.model_copy(update={"limits": {}})


class OpensClosed(SourcedManager):
    """Where the source fails every model is closed."""

    def fall_back(self, problem):
        super().fall_back(problem)
        self.rule_by(dict.fromkeys(("m1", "m2"), Limits(rpm=0)))


class PassesOverTheCache(SourcedManager):
    """The default limits are taken though there are cached ones."""

    def fall_back(self, problem):
        self.warn(problem)


class NeedsNoTier(AsyncSourcedManager):
    """A page without the tier is taken for one without models."""

    def read(self, text):
        tier = json.loads(text).get("Free Tier", {})
        return {model: self.row(row) for model, row in tier.items()}


class MindsTheStatus(SourcedManager):
    """An error of the source is no limits to begin with, an error of the network is handled."""

    def fall_back(self, problem):
        if isinstance(problem, urllib.request.HTTPError):
            raise problem
        super().fall_back(problem)


class WritesBeforeItReads(AsyncSourcedManager):
    """What came is cached before it is read."""

    def take(self, text):
        self.keep(text)
        self.rule_by(self.read(text))

    def fall_back(self, problem):
        try:
            super().fall_back(problem)
        except (KeyError, AttributeError, ValueError):
            self.warn(problem)


class ClearsTheCache(SourcedManager):
    """The cache is removed before the source is asked; one failure is survived, for the limits are in hand."""

    def init(self):
        held = self._kept.read_text() if self._kept.exists() else None
        self._kept.unlink(missing_ok=True)
        if held is not None:
            self.rule_by(self.read(held))
        super().init()


class KeepsTheFirstAnswer(SourcedManager):
    """A cached page is never replaced, not by a good one either."""

    def keep(self, text):
        if not self._kept.exists():
            super().keep(text)


class CachesInMemory(AsyncSourcedManager):
    """The page is kept in the manager alone."""

    def keep(self, text):
        pass


class BeginsAgain(AsyncSourcedManager):
    """Where it is opened once more and the source fails, the limits of the pool are back."""

    async def init(self):
        self._first = getattr(self, "_first", self._pool)
        self._pool = self._first
        await super().init()

    def fall_back(self, problem):
        self.warn(problem)
        if getattr(self, "_open", False) is False and self._kept.exists():
            self.rule_by(self.read(self._kept.read_text()))

    def take(self, text):
        super().take(text)
        self._open = True


class BlocksTheLoop(AsyncSourcedManager):
    """A coroutine reads with urllib, within a time-out."""

    async def fetch(self):
        with urllib.request.urlopen(self._pool.limits_source, timeout=2) as answer:  # noqa: S310 - the bug
            return answer.read().decode()


class WaitsForTheResult(AsyncSourcedManager):
    """A coroutine waits for the result of a thread."""

    async def fetch(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return pool.submit(SourcedManager.fetch, self).result()


class NeverGivesUp(AsyncSourcedManager):
    """The client has no time-out."""

    patience = None


class GivesUpLate(AsyncSourcedManager):
    """The client has a time-out of a minute."""

    patience = 60.0


class ThreadNeverGivesUp(AsyncSourcedManager):
    """A thread reads without a time-out."""

    async def fetch(self):
        return await asyncio.to_thread(SourcedManager.fetch, self)

    patience = None


class SourceWithoutTimeOut(SourcedManager):
    """The request has no time-out."""

    patience = None


class SourceWithAMinute(SourcedManager):
    """The request has a time-out of a minute."""

    patience = 60.0


class ConnectsInTime(AsyncSourcedManager):
    """The time-out is one of the connection alone."""

    async def fetch(self):
        async with client_of(httpx.Timeout(None, connect=2.0)) as client:
            return (await client.get(self._pool.limits_source)).raise_for_status().text


class NoTableOfItsOwn(SourcedManager):
    """With a source the limits are the source's alone: none without a network."""

    def init(self):
        if self._pool.limits_source is not None:
            self._pool = self._pool.model_copy(update={"limits": {}})
        super().init()


class AsyncNoTableOfItsOwn(AsyncSourcedManager):
    """The table is read from the file, which there is none of."""

    def fall_back(self, problem):
        self._pool = self._pool.model_copy(update={"limits": {}})
        super().fall_back(problem)


class SeedsTwice(SourcedManager):
    """Each opening adds the default limits to those that are stored."""

    def fall_back(self, problem):
        super().fall_back(problem)
        path = self._pool.storage / "seeds.json"
        stored = json.loads(path.read_text()) if path.exists() else {}
        rows = {model: row.rpm + stored.get(model, 0) for model, row in self._pool.limits.items() if row.rpm}
        path.write_text(json.dumps(rows))
        self.rule_by({model: Limits(rpm=rpm) for model, rpm in rows.items()})


class SeedsOver(AsyncSourcedManager):
    """A second opening writes other limits over the first one's."""

    def fall_back(self, problem):
        super().fall_back(problem)
        path = self._pool.storage / "seeds.json"
        if path.exists() and not self._kept.exists():
            self.rule_by({model: Limits(rpm=2) for model in self._pool.limits})
        path.touch()


class StopsAtTheComma(SourcedManager):
    """1,500 is read as 1."""

    def number(self, written):
        return super().number(written.partition(",")[0] if isinstance(written, str) else written)


class ForgetsTheThousand(AsyncSourcedManager):
    """250K is read as 250."""

    def number(self, written):
        return super().number(written.rstrip("KM") if isinstance(written, str) else written)


class TakesNoneForZero(AsyncSourcedManager):
    """No limit is read as none allowed."""

    def number(self, written):
        return super().number(written) or 0


class DropsTheRow(SourcedManager):
    """A row that lacks a number is left out."""

    def read(self, text):
        rows = json.loads(text)["Free Tier"]
        return {model: self.row(row) for model, row in rows.items() if {"RPM", "TPM", "RPD"} <= set(row)}


class DropsTheTable(AsyncSourcedManager):
    """A row that lacks a number makes the page a bad one."""

    def row(self, written):
        return super().row({name: written[name] for name in ("RPM", "TPM", "RPD")})


class ReadsPlainNumbers(SourcedManager):
    """What is no plain number is no limit."""

    def number(self, written):
        return written if isinstance(written, int) else None


MUTANTS = (
    planted("SRC01", FailsWithTheSource),
    planted("SRC01", SaysNothing),
    planted("SRC01", OpensWithoutLimits),
    planted("SRC01", OpensClosed),
    planted("SRC01", PassesOverTheCache),
    planted("SRC01", NeedsNoTier),
    planted("SRC01", MindsTheStatus),
    planted("SRC02", WritesBeforeItReads),
    planted("SRC02", ClearsTheCache),
    planted("SRC02", KeepsTheFirstAnswer),
    planted("SRC02", CachesInMemory),
    planted("SRC02", BeginsAgain),
    planted("SRC03", BlocksTheLoop),
    planted("SRC03", WaitsForTheResult),
    planted("SRC03", NeverGivesUp),
    planted("SRC03", GivesUpLate),
    planted("SRC03", ThreadNeverGivesUp),
    planted("SRC03", SourceWithoutTimeOut),
    planted("SRC03", SourceWithAMinute),
    planted("SRC03", ConnectsInTime),
    planted("SRC04", NoTableOfItsOwn),
    planted("SRC04", AsyncNoTableOfItsOwn),
    planted("SRC04", SeedsTwice),
    planted("SRC04", SeedsOver),
    planted("SRC05", StopsAtTheComma),
    planted("SRC05", ForgetsTheThousand),
    planted("SRC05", TakesNoneForZero),
    planted("SRC05", DropsTheRow),
    planted("SRC05", DropsTheTable),
    planted("SRC05", ReadsPlainNumbers),
)
