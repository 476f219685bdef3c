"""Two sound managers whose counts last, over SQLite: one with plain methods for any thread, one with coroutines."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import contextmanager
from datetime import datetime

from managers.poor import DAY_ZONE, NOTHING
from pytest_keyconform import Policies

ADD = """
INSERT INTO used VALUES (:pool, :key, :model, :minute, :day, 1, :tokens, 1)
ON CONFLICT (pool, key, model) DO UPDATE SET
  rpm = 1 + CASE WHEN minute = :minute THEN rpm ELSE 0 END,
  tpm = :tokens + CASE WHEN minute = :minute THEN tpm ELSE 0 END,
  rpd = 1 + CASE WHEN day = :day THEN rpd ELSE 0 END,
  minute = :minute, day = :day
"""
READ = "SELECT minute, day, rpm, tpm, rpd FROM used WHERE pool = :pool AND key = :key AND model = :model"
TABLE = """
CREATE TABLE IF NOT EXISTS used (
  pool TEXT, key TEXT, model TEXT, minute INTEGER, day TEXT, rpm INTEGER, tpm INTEGER, rpd INTEGER,
  PRIMARY KEY (pool, key, model)
)
"""


class Closed(Exception):
    """The manager was closed."""


class StoreFailed(Exception):
    """The database could not do what was asked of it."""


class Rows:
    """A connection whose errors are of this module."""

    def __init__(self, path, timeout):
        with self._told():
            self._connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
        self.close = self._connection.close

    @contextmanager
    def _told(self):
        try:
            yield
        except sqlite3.Error as error:
            raise StoreFailed(str(error)) from error

    def execute(self, statement, given=()):
        with self._told():
            return self._connection.execute(statement, given)

    def executemany(self, statement, rows):
        with self._told():
            return self._connection.executemany(statement, rows)


class _Gone:
    """Stands for the connection once it is closed."""

    def close(self):
        """Do nothing: closing twice is harmless."""

    def execute(self, *_):
        raise Closed


class SqliteManager:
    """Counts in a table, one statement a report; any thread may call, one at a time uses the connection."""

    policies = Policies(durability="write-through", model_match="exact")
    waits = 5.0  # seconds for a lock of another process

    def __init__(self, pool):
        self._pool = pool
        self._lock = threading.RLock()
        self._places = {}
        self._rows = Rows(pool.storage / "keys.db", self.waits)
        try:
            self._rows.execute("PRAGMA journal_mode = WAL")
            self._rows.execute(TABLE)
        except StoreFailed:
            self._rows.close()
            raise

    def close(self):
        with self._lock:
            self._rows.close()
            self._rows = _Gone()

    def _keys(self, vertex):
        return list(dict.fromkeys(self._pool.vertex_api_keys if vertex else self._pool.api_keys))

    def _cell(self, vertex, key, model, tokens=0):
        moment = datetime.fromtimestamp(time.time(), DAY_ZONE)
        cell = {"pool": "vertex" if vertex else "regular", "key": key, "model": model or self._pool.default_model}
        return {**cell, "tokens": tokens, "minute": int(time.time() // 60), "day": moment.date().isoformat()}

    def _used(self, cell):
        minute, day, rpm, tpm, rpd = self._rows.execute(READ, cell).fetchone() or (0, "", 0, 0, 0)
        now = minute == cell["minute"]
        return {"rpm": rpm * now, "tpm": tpm * now, "rpd": rpd * (day == cell["day"])}

    def _add(self, cell):
        self._rows.execute(ADD, cell)

    def _room(self, cell):
        limits, used = self._pool.limits.get(cell["model"]), self._used(cell)
        each = ((used[name], getattr(limits, name, None)) for name in used)
        return all(limit is None or count < limit for count, limit in each)

    def get_key(self, model_name=None, is_vertex_key=False):
        with self._lock:
            keys = self._keys(is_vertex_key)
            start = self._places.get(is_vertex_key, 0)
            for key in keys[start:] + keys[:start]:
                if self._room(self._cell(is_vertex_key, key, model_name)):
                    self._places[is_vertex_key] = (keys.index(key) + 1) % len(keys)
                    return key
            return NOTHING

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        if not isinstance(tokens_used, int) or tokens_used < 0:
            return False
        with self._lock:
            if key_value not in self._keys(is_vertex_key):
                return False
            self._add(self._cell(is_vertex_key, key_value, model_name, tokens_used))
            return True

    def get_usage_stats(self, api_key, model_name):
        with self._lock:
            return self._used(self._cell(False, api_key, model_name)) if api_key in self._keys(False) else None

    @contextmanager
    def _transaction(self, kind="IMMEDIATE"):
        self._rows.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self._rows.execute("ROLLBACK")
            raise
        self._rows.execute("COMMIT")


class AsyncSqliteManager(SqliteManager):
    """The same with coroutines, each of which is one short call of the database."""

    async def shutdown(self):
        SqliteManager.close(self)

    close = None

    async def get_key(self, model_name=None, is_vertex_key=False):
        return SqliteManager.get_key(self, model_name, is_vertex_key)

    async def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        return SqliteManager.update_usage(self, model_name, key_value, is_vertex_key, tokens_used)

    async def get_usage_stats(self, api_key, model_name):
        return SqliteManager.get_usage_stats(self, api_key, model_name)
