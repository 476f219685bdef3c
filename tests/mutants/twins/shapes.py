"""Sound twins of another build: plain methods, two lists, a database, next to nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from datetime import datetime

from managers.poor import DAY_ZONE, NOTHING

from pytest_keyconform import Policies

MAX_FAILURES = MAX_RETRIES = 3


class VersionOne:
    """The audited first version: two lists, strikes and nothing else, some methods plain and some not.

    ``_lock`` guards the place in the rotation and the strikes.
    """

    policies = Policies(exhaustion="fallback", counted_on="none")

    def __init__(self, api_keys, vertex_api_keys):
        self.api_keys = list(api_keys)
        self.vertex_api_keys = list(vertex_api_keys)
        self._lock = asyncio.Lock()
        self._place = 0
        self._fail_counts = dict.fromkeys(api_keys, 0)
        self._vertex_fail_counts = dict.fromkeys(vertex_api_keys, 0)

    def _step(self, keys):
        key = keys[self._place % len(keys)]
        self._place = (self._place + 1) % len(keys)
        return key

    async def get_next_working_key(self, model_name=None):
        async with self._lock:
            keys = list(self._fail_counts)
            tried = [self._step(keys)] if keys else [NOTHING]
            while len(tried) < len(keys) and self._fail_counts[tried[-1]] >= MAX_FAILURES:
                tried.append(self._step(keys))
            return tried[-1]

    async def handle_api_failure(self, api_key, model_name, retries):
        async with self._lock:
            if api_key in self._fail_counts:
                self._fail_counts[api_key] += 1
        return await self._another(api_key) if retries < MAX_RETRIES else NOTHING

    async def _another(self, failed):
        key = await self.get_next_working_key()
        return await self.get_next_working_key() if key == failed else key

    def get_fail_count(self, key):
        return self._fail_counts.get(key, 0)

    def get_vertex_fail_count(self, key):
        return self._vertex_fail_counts.get(key, 0)

    async def is_key_valid(self, key):
        return key in self._fail_counts and self._fail_counts[key] < MAX_FAILURES

    async def reset_key_failure_count(self, key):
        async with self._lock:
            known = [counts for counts in (self._fail_counts, self._vertex_fail_counts) if key in counts]
            for counts in known:
                counts[key] = 0
            return bool(known)

    async def reset_failure_counts(self):
        async with self._lock:
            self._fail_counts = dict.fromkeys(self._fail_counts, 0)

    async def get_keys_by_status(self):
        valid = {key: count for key, count in self._fail_counts.items() if count < MAX_FAILURES}
        invalid = {key: count for key, count in self._fail_counts.items() if count >= MAX_FAILURES}
        return {"valid_keys": valid, "invalid_keys": invalid}

    async def get_vertex_keys_by_status(self):
        valid = {key: count for key, count in self._vertex_fail_counts.items() if count < MAX_FAILURES}
        invalid = {key: count for key, count in self._vertex_fail_counts.items() if count >= MAX_FAILURES}
        return {"valid_keys": valid, "invalid_keys": invalid}


class ThreadSafe:
    """Plain methods under one lock, to be called from any thread."""

    def __init__(self, pool):
        self._lock = threading.RLock()
        self._pool = pool
        self._strikes = {False: dict.fromkeys(pool.api_keys, 0), True: dict.fromkeys(pool.vertex_api_keys, 0)}
        self._banned = set()
        self._marked = {}
        self._places = {}
        self._windows = {}

    def _model(self, name):
        if name is not None and not isinstance(name, str):
            message = "a model is named by a str"
            raise TypeError(message)
        name = name or self._pool.default_model
        known = [one for one in self._pool.limits if name == one or name.startswith((one + "-", one + "@", one + ":"))]
        return max(known, key=len, default=name)

    def _used(self, vertex, key, model):
        """Answer what is used up in the minute and the day that it is now."""
        now = {"minute": int(time.time() // 60), "day": datetime.fromtimestamp(time.time(), DAY_ZONE).date()}
        used = self._windows.get((vertex, key, model), {})
        minutely = used if used.get("minute") == now["minute"] else {}
        daily = used if used.get("day") == now["day"] else {}
        counts = {name: minutely.get(name, 0) for name in ("rpm", "tpm")}
        return {**now, **counts, "rpd": daily.get("rpd", 0)}

    def _usable(self, vertex, key, model):
        if (vertex, key) in self._banned or self._strikes[vertex][key] >= self._pool.max_failures:
            return False
        used, limits = self._used(vertex, key, model), self._pool.limits.get(model)
        if self._marked.get((vertex, key, model)) == used["minute"]:
            return False
        room = ((used[name], getattr(limits, name, None)) for name in ("rpm", "tpm", "rpd"))
        return all(limit is None or count < limit for count, limit in room)

    def _choose(self, vertex, model, besides=None):
        keys = list(self._strikes[vertex])
        start = self._places.get((vertex, model), 0)
        turned = keys[start:] + keys[:start]
        usable = [key for key in turned if self._usable(vertex, key, model)]
        for key in [one for one in usable if one != besides] + usable:
            self._places[vertex, model] = (keys.index(key) + 1) % len(keys)
            return key
        return NOTHING

    def get_key(self, model_name=None, is_vertex_key=False):
        with self._lock:
            return self._choose(bool(is_vertex_key), self._model(model_name))

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None):
        if not isinstance(tokens_used, int) or tokens_used < 0:
            return False
        with self._lock:
            vertex, model = bool(is_vertex_key), self._model(model_name)
            if key_value not in self._strikes[vertex]:
                return False
            used = self._used(vertex, key_value, model)
            used["rpm"] += 1
            used["tpm"] += tokens_used
            used["rpd"] += 1
            self._windows[vertex, key_value, model] = used
            status = {"429": 429, "permanent": 401}.get(error_type) if error else None
            return status is None or self._blame(vertex, key_value, model, status)

    def _blame(self, vertex, key, model, status):
        if status == 429:
            self._marked[vertex, key, model] = int(time.time() // 60)
        elif status in (401, 403):
            self._banned.add((vertex, key))
        elif status not in (400, 404, 413, 422):
            self._strikes[vertex][key] += 1
        return True

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        with self._lock:
            vertex, model = bool(is_vertex_key), self._model(model_name)
            if api_key in self._strikes[vertex]:
                self._blame(vertex, api_key, model, status_code)
            return NOTHING if retries >= self._pool.max_retries else self._choose(vertex, model, api_key)

    def get_usage_stats(self, api_key, model_name):
        with self._lock:
            if api_key not in self._strikes[False]:
                return None
            used = self._used(False, api_key, self._model(model_name))
            return {name: used[name] for name in ("rpm", "tpm", "rpd")}

    def get_fail_count(self, key):
        with self._lock:
            return self._strikes[False].get(key, 0)

    def get_keys_by_status(self):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        with self._lock:
            for key, count in self._strikes[False].items():
                valid = (False, key) not in self._banned and count < self._pool.max_failures
                groups["valid_keys" if valid else "invalid_keys"][key] = count
        return groups


class OverSqlite:
    """Strikes and places in one database connection, whose calls are synchronous and short."""

    policies = Policies(counted_on="none")

    def __init__(self, pool):
        self._limit, self._retries = pool.max_failures, pool.max_retries
        self._rows = sqlite3.connect(":memory:", isolation_level=None)
        self._rows.execute("CREATE TABLE keys (key TEXT PRIMARY KEY, strikes INTEGER, served INTEGER)")
        rows = [(key, 0, place) for place, key in enumerate(dict.fromkeys(pool.api_keys))]
        self._rows.executemany("INSERT INTO keys VALUES (?, ?, ?)", rows)
        self._served = len(rows)

    async def shutdown(self):
        return None

    async def get_next_working_key(self):
        return self._serve("")

    def _serve(self, besides):
        order = "SELECT key FROM keys WHERE strikes < ? ORDER BY key = ?, served LIMIT 1"
        row = self._rows.execute(order, (self._limit, besides)).fetchone()
        if row is None:
            return NOTHING
        self._served += 1
        self._rows.execute("UPDATE keys SET served = ? WHERE key = ?", (self._served, row[0]))
        return row[0]

    async def handle_api_failure(self, api_key, model_name, retries):
        self._rows.execute("UPDATE keys SET strikes = strikes + 1 WHERE key = ?", (api_key,))
        return NOTHING if retries >= self._retries else self._serve(api_key)

    async def get_fail_count(self, key):
        row = self._rows.execute("SELECT strikes FROM keys WHERE key = ?", (key,)).fetchone()
        return row[0] if row else 0

    async def reset_key_failure_count(self, key):
        return self._rows.execute("UPDATE keys SET strikes = 0 WHERE key = ?", (key,)).rowcount > 0

    async def get_keys_by_status(self):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for key, strikes in self._rows.execute("SELECT key, strikes FROM keys ORDER BY key"):
            groups["valid_keys" if strikes < self._limit else "invalid_keys"][key] = strikes
        return groups


class Narrow:
    """Serves in turn and tells its keys; there is nothing else to it."""

    def __init__(self, api_keys):
        self._keys = list(dict.fromkeys(api_keys))
        self._served = 0

    async def get_next_working_key(self):
        if not self._keys:
            return NOTHING
        self._served += 1
        return self._keys[(self._served - 1) % len(self._keys)]

    async def get_keys_by_status(self):
        return {"valid_keys": dict.fromkeys(self._keys, 0), "invalid_keys": {}}
