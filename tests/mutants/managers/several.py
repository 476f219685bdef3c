"""Sound managers of which several serve one storage: counts, strikes and bans are rows, or stand in a file."""

from __future__ import annotations

import json
import time

from managers.filed import FileManager
from managers.poor import NOTHING
from managers.stored import SqliteManager, StoreFailed

AUTH, REQUEST, QUOTA = (401, 403), (400, 404, 413, 422), 429
TABLES = (
    "CREATE TABLE IF NOT EXISTS pools (only INTEGER PRIMARY KEY, asked TEXT, current TEXT)",
    "CREATE TABLE IF NOT EXISTS health (pool TEXT, key TEXT, strikes INTEGER, barred INTEGER, PRIMARY KEY (pool, key))",
    "CREATE TABLE IF NOT EXISTS marks (pool TEXT, key TEXT, model TEXT, minute INT, PRIMARY KEY (pool, key, model))",
)
STRIKE = """
INSERT INTO health VALUES (:pool, :key, :strike, :bar)
ON CONFLICT (pool, key) DO UPDATE SET strikes = strikes + :strike, barred = barred + :bar
"""
POOLS = """
INSERT INTO pools VALUES (1, :pools, :pools)
ON CONFLICT (only) DO UPDATE SET asked = :pools, current = :pools WHERE asked <> :pools
"""


class Several(SqliteManager):
    """What the others changed is read at each call. ``_seen`` answers the pools and who is out, as far as is known."""

    policies = SqliteManager.policies.model_copy(update={"staleness": 1.0})

    def __init__(self, pool):
        super().__init__(pool)
        try:
            for table in TABLES:
                self._rows.execute(table)
            self._rows.execute(POOLS, {"pools": json.dumps([list(pool.api_keys), list(pool.vertex_api_keys)])})
        except StoreFailed:
            self._rows.close()
            raise

    def _seen(self):
        return self._read_all()

    def _forget(self):
        """Be told that this instance changed something."""

    def _read_all(self):
        (current,) = self._rows.execute("SELECT current FROM pools").fetchone()
        rows = self._rows.execute("SELECT pool, key, strikes, barred FROM health").fetchall()
        return json.loads(current), {(pool, key): (strikes, barred) for pool, key, strikes, barred in rows}

    def _keys(self, vertex):
        return list(dict.fromkeys(self._seen()[0][bool(vertex)]))

    def _cell(self, vertex, key, model, tokens=0):
        if not isinstance(model, str | None):
            message = "a model is named by a str"
            raise TypeError(message)
        return super()._cell(vertex, key, model, tokens)

    def _health(self, vertex, key):
        return self._seen()[1].get(("vertex" if vertex else "regular", key), (0, 0))

    def _valid(self, vertex, key):
        strikes, barred = self._health(vertex, key)
        return not barred and strikes < self._pool.max_failures

    def _room(self, cell):
        marked = self._rows.execute(
            "SELECT 1 FROM marks WHERE (pool, key, model, minute) = (:pool, :key, :model, :minute)", cell
        ).fetchone()
        return not marked and self._valid(cell["pool"] == "vertex", cell["key"]) and super()._room(cell)

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        with self._lock:
            if api_key in self._keys(is_vertex_key):
                self._blame(self._cell(is_vertex_key, api_key, model_name), status_code)
                self._forget()
            return (
                NOTHING if retries >= self._pool.max_retries else self._other_than(api_key, model_name, is_vertex_key)
            )

    def _other_than(self, failed, model, vertex):
        found = self.get_key(model, vertex)
        return self.get_key(model, vertex) if found == failed else found

    def _blame(self, cell, status):
        if status == QUOTA:
            self._rows.execute("INSERT OR REPLACE INTO marks VALUES (:pool, :key, :model, :minute)", cell)
        elif status not in REQUEST:
            barred = status in AUTH
            self._rows.execute(STRIKE, {**cell, "strike": int(not barred), "bar": int(barred)})

    def is_key_valid(self, key):
        with self._lock:
            return key in self._keys(False) and self._valid(False, key)

    def get_keys_by_status(self):
        with self._lock:
            pools, health = self._seen()
            groups = {"valid_keys": {}, "invalid_keys": {}}
            for key in dict.fromkeys(pools[0]):
                strikes, barred = health.get(("regular", key), (0, 0))
                valid = not barred and strikes < self._pool.max_failures
                groups["valid_keys" if valid else "invalid_keys"][key] = strikes
            return groups

    def reset_key_failure_count(self, key):
        with self._lock:
            known = key in self._keys(False)
            if known:
                for table in ("health", "marks"):
                    self._rows.execute(f"DELETE FROM {table} WHERE pool = 'regular' AND key = ?", (key,))  # noqa: S608
                self._forget()
            return known

    def reinitialize(self, api_keys, vertex_api_keys):
        pools = [list(api_keys), list(vertex_api_keys)]
        if not all(isinstance(key, str) for keys in pools for key in keys):
            message = "keys are str"
            raise TypeError(message)
        with self._lock:
            kept = {"regular": json.dumps(pools[0]), "vertex": json.dumps(pools[1])}
            with self._transaction():
                self._rows.execute("UPDATE pools SET current = ?", (json.dumps(pools),))
                for pool, keys in kept.items():
                    for table in ("health", "marks", "used"):
                        gone = f"DELETE FROM {table} WHERE pool = ? AND key NOT IN (SELECT value FROM json_each(?))"  # noqa: S608
                        self._rows.execute(gone, (pool, keys))
            self._forget()


class SeveralCached(Several):
    """What the others changed is read again once the copy is two seconds old."""

    policies = Several.policies.model_copy(update={"staleness": 2.0})
    lasts = 2.0

    def __init__(self, pool):
        self._copy, self._until = None, 0.0
        super().__init__(pool)

    def _seen(self):
        if self._copy is None or time.monotonic() >= self._until:
            self._copy, self._until = self._read_all(), time.monotonic() + self.lasts
        return self._copy

    def _forget(self):
        self._copy = None


class SeveralOnAFile(FileManager):
    """Who is out stands in the file too, which is read at each call."""

    policies = FileManager.policies.model_copy(update={"staleness": 0.2})

    def __init__(self, api_keys, storage, default_model="m1", max_failures=3, max_retries=3):
        super().__init__(api_keys, storage, default_model)
        self._strikes, self._retries = max_failures, max_retries

    def _out(self):
        with self._alone():
            return self._read().get("out", {})

    def _valid(self, key, out):
        return out.get(key, 0) < self._strikes

    def get_key(self, model_name=None):
        out = self._out()
        turns = [FileManager.get_key(self) for _ in self._keys]
        served = next((key for key in turns if self._valid(key, out)), NOTHING)
        if served != NOTHING:
            self._turn -= len(turns) - 1 - turns.index(served)
        return served

    def handle_api_failure(self, api_key, model_name, retries, status_code=None):
        if api_key in self._keys and status_code not in REQUEST:
            with self._alone():
                counts = self._read()
                out = counts.setdefault("out", {})
                worth = self._strikes if status_code in (*AUTH, QUOTA) else 1
                out[api_key] = out.get(api_key, 0) + worth
                self._write(counts)
        if retries >= self._retries:
            return NOTHING
        found = self.get_key()
        return self.get_key() if found == api_key else found

    def is_key_valid(self, key):
        return key in self._keys and self._valid(key, self._out())

    def reset_key_failure_count(self, key):
        with self._alone():
            counts = self._read()
            counts.get("out", {}).pop(key, None)
            self._write(counts)
        return key in self._keys
