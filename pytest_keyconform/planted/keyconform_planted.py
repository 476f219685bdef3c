"""Key managers that `keyconform selftest` judges: a sound one, and the same one with one bug each.

This file is no part of the package when it runs: it is copied to a folder of its own, and judged like a stranger's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = 60
ZONE = ZoneInfo("America/Los_Angeles")
QUOTA, AUTH, REQUEST = 429, (401, 403), (400, 404, 413, 422)


@dataclass
class Record:
    """One key by model: ``used``: a minute, requests, tokens; ``daily``: a day, requests; ``marked``: a minute."""

    strikes: int = 0
    banned: bool = False
    used: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    daily: dict[str, tuple[str, int]] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)


class Sound:
    """A key manager with a lock for each pool; between reading and writing it waits, as for a store."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        pools = {False: pool.api_keys, True: pool.vertex_api_keys}
        self.books = {vertex: {key: Record() for key in keys} for vertex, keys in pools.items()}
        self.turns = {False: 0, True: 0}
        self.locks = {False: asyncio.Lock(), True: asyncio.Lock()}

    async def get_key(self, model_name: str | None = None, is_vertex_key: bool = False) -> str:
        """Serve the next usable key, or ""."""
        async with self.locks[is_vertex_key]:
            return await self.choose(is_vertex_key, self.entry(model_name))

    async def update_usage(
        self,
        model_name: str | None,
        key_value: str,
        is_vertex_key: bool = False,
        tokens_used: int = 0,
        error: bool = False,
        error_type: str | None = None,
    ) -> bool:
        """Count a call; answer whether the key was known."""
        model = self.entry(model_name)
        async with self.locks[is_vertex_key]:
            record = self.books[is_vertex_key].get(key_value)
            if record is None or type(tokens_used) is not int or tokens_used < 0:
                return False
            await self.count(record, model, tokens_used)
            status = {"429": QUOTA, "permanent": AUTH[0]}.get(error_type or "") if error else None
            if status is not None:
                self.blame(record, model, status)
            elif not error:
                self.praise(record)
        return True

    async def handle_api_failure(
        self,
        api_key: str,
        model_name: str | None,
        retries: int,
        is_vertex_key: bool = False,
        status_code: int | None = None,
    ) -> str:
        """Charge a failure to its key, and serve another one."""
        model = self.entry(model_name)
        async with self.locks[is_vertex_key]:
            record = self.books[is_vertex_key].get(api_key)
            if record is not None:
                await asyncio.sleep(0)
                self.blame(record, model, status_code)
            return "" if retries >= self.pool.max_retries else await self.choose(is_vertex_key, model, besides=api_key)

    async def get_usage_stats(self, api_key: str, model_name: str | None) -> dict[str, int] | None:
        """Answer what a regular key used in this minute."""
        record = self.books[False].get(api_key)
        if record is None:
            return None
        requests, tokens, daily = self.spent(record, self.entry(model_name))
        return {"rpm": requests, "tpm": tokens, "rpd": daily}

    async def get_keys_by_status(self) -> dict[str, dict[str, Any]]:
        """Answer the failures of the regular keys, the valid ones apart."""
        groups: dict[str, dict[str, Any]] = {"valid_keys": {}, "invalid_keys": {}}
        for key, record in self.books[False].items():
            groups["valid_keys" if self.valid(record) else "invalid_keys"][key] = record.strikes
        return groups

    async def is_key_valid(self, key: str) -> bool:
        """Tell whether a regular key is valid."""
        record = self.books[False].get(key)
        return record is not None and self.valid(record)

    async def reset_key_failure_count(self, key: str) -> bool:
        """Restore a key; answer whether it was known."""
        known = [book[key] for book in self.books.values() if key in book]
        for record in known:
            record.strikes, record.banned = 0, False
            record.marked.clear()
        return bool(known)

    # -- what the bugs change

    async def choose(self, vertex: bool, model: str, besides: str = "") -> str:
        """Serve the next usable key, the one to avoid last; the caller holds the pool's lock."""
        keys = list(self.books[vertex])
        turn = self.turns[vertex]
        await asyncio.sleep(0)
        order = [keys[(turn + step) % len(keys)] for step in range(len(keys))]
        usable = [key for key in order if self.usable(self.books[vertex][key], model)]
        chosen = next((key for key in usable if key != besides), "") or next(iter(usable), "")
        if not chosen:
            return self.nothing()
        self.turns[vertex] = keys.index(chosen) + 1
        return chosen

    def nothing(self) -> str:
        """Answer what an acquire answers when nothing is usable."""
        return ""

    async def count(self, record: Record, model: str, tokens: int) -> None:
        """Count one call."""
        requests, before, daily = self.spent(record, model)
        await asyncio.sleep(0)
        record.used[model] = (self.minute(), requests + 1, before + tokens)
        record.daily[model] = (self.day(), daily + 1)

    def blame(self, record: Record, model: str, status: int | None) -> None:
        """Do to a key what the status of its failed call asks for."""
        if status == QUOTA:
            record.marked[model] = self.minute()
        elif status in AUTH:
            record.banned = True
        elif status not in REQUEST:
            record.strikes += 1

    def praise(self, record: Record) -> None:
        """Take note of a success."""

    def minute(self) -> int:
        """Answer the number of this minute."""
        return int(time.time() // MINUTE)

    def day(self) -> str:
        """Answer the date of this day, where the provider's days begin."""
        return datetime.fromtimestamp(time.time(), ZONE).date().isoformat()

    def spent(self, record: Record, model: str) -> tuple[int, int, int]:
        """Answer the requests and tokens of this minute, and the requests of this day."""
        minute, requests, tokens = record.used.get(model, (-1, 0, 0))
        day, daily = record.daily.get(model, ("", 0))
        now = (requests, tokens) if minute == self.minute() else (0, 0)
        return (*now, daily if day == self.day() else 0)

    def entry(self, model: object) -> str:
        """Answer the name that a model is counted under: a configured one, the longest that fits, or its own."""
        if model is not None and not isinstance(model, str):
            message = f"expected the name of a model, found {type(model).__name__}"
            raise TypeError(message)
        name = (model or str(self.pool.default_model)).strip().casefold().removeprefix("models/")
        stems = [known for known in self.pool.limits if name.startswith(known) and name[len(known) :][:1] in "-@:"]
        return name if name in self.pool.limits else max(stems, key=len, default=name)

    def valid(self, record: Record) -> bool:
        """Tell whether a key may be served at all."""
        return not record.banned and record.strikes < int(self.pool.max_failures)

    def usable(self, record: Record, model: str) -> bool:
        """Tell whether a key may be served for a model."""
        limits = self.pool.limits.get(model)
        used = self.spent(record, model)
        full = limits is not None and any(
            limit is not None and self.reached(count, limit)
            for count, limit in zip(used, (limits.rpm, limits.tpm, limits.rpd), strict=True)
        )
        return self.valid(record) and record.marked.get(model) != self.minute() and not full

    def reached(self, count: int, limit: int) -> bool:
        """Tell whether a limit is reached."""
        return count >= limit


class NoLockAtAcquire(Sound):
    """ACQ01: two callers read one place in the rotation."""

    async def get_key(self, model_name: str | None = None, is_vertex_key: bool = False) -> str:
        """Serve the next usable key, holding nothing."""
        return await self.choose(is_vertex_key, self.entry(model_name))


class CountLost(Sound):
    """QUO01: two callers read one count, and both write it back."""

    async def update_usage(self, model_name: str | None, key_value: str, *more: Any, **named: Any) -> bool:
        """Count a call, each under a lock of its own."""
        self.locks = {False: asyncio.Lock(), True: asyncio.Lock()}
        return await super().update_usage(model_name, key_value, *more, **named)


class OneOver(Sound):
    """QUO02: a key at its limit is served once more."""

    def reached(self, count: int, limit: int) -> bool:
        """Tell whether a limit is passed."""
        return count > limit


class RaisesWhenEmpty(Sound):
    """EXH01: with nothing usable, acquire raises what nobody declared."""

    def nothing(self) -> str:
        """Take the first of none."""
        return dict[str, str]()["first"]


class OneStrikeMore(Sound):
    """FAIL02: a key stays valid at its last failure."""

    def valid(self, record: Record) -> bool:
        """Tell whether a key may be served at all."""
        return not record.banned and record.strikes <= int(self.pool.max_failures)


class LateSuccessHeals(Sound):
    """FAIL05: a success that comes late brings back a key that was refused."""

    def praise(self, record: Record) -> None:
        """Forget everything."""
        record.banned = False


class CountsAsText(Sound):
    """FMT01: the counts of the status are texts."""

    async def get_keys_by_status(self) -> dict[str, dict[str, Any]]:
        """Answer the failures as texts."""
        groups = await super().get_keys_by_status()
        return {name: {key: str(count) for key, count in group.items()} for name, group in groups.items()}


class MinuteNeverEnds(Sound):
    """TIME01: what was spent in the first minute is spent for good."""

    def minute(self) -> int:
        """Answer the same minute always."""
        return 0


class LockKept(Sound):
    """LIVE01: a retry that ends leaves its lock held."""

    async def handle_api_failure(
        self, api_key: str, model_name: str | None, retries: int, *more: Any, **named: Any
    ) -> str:
        """Charge a failure, and forget the lock where the key is refused."""
        answer = await super().handle_api_failure(api_key, model_name, retries, *more, **named)
        if named.get("status_code") == QUOTA:
            await self.locks[False].acquire()
        return answer


class LogsKeys(Sound):
    """SEC01: what is served is logged."""

    async def get_key(self, model_name: str | None = None, is_vertex_key: bool = False) -> str:
        """Serve a key, and say which."""
        key = await super().get_key(model_name, is_vertex_key)
        logging.getLogger(__name__).debug("serving %s", key)
        return key


class Narrow:
    """Sound as far as it goes: keys in turn, and a report that says yes; nothing else."""

    def __init__(self, pool: Any) -> None:
        self.keys = list(pool.api_keys)
        self.reports = 0

    async def get_key(self) -> str:
        """Serve the next key, or ""."""
        self.keys = self.keys[1:] + self.keys[:1]
        return str(self.keys[-1]) if self.keys else ""

    async def update_usage(self, key_value: str) -> bool:
        """Take note of a call."""
        self.reports += 1
        return key_value in self.keys
