"""Sound twins whose counts last."""

from __future__ import annotations

import contextlib
import threading

from managers.stored import TABLE, Closed, Rows, SqliteManager, StoreFailed

WHOSE = ("pool", "key", "model", "minute", "day")


class WritesBehind(SqliteManager):
    """Reports are written by a timer, within the two seconds that are declared."""

    policies = SqliteManager.policies.model_copy(update={"durability": 2.0, "shared": False})

    def __init__(self, pool):
        super().__init__(pool)
        self._waiting, self._timer = [], None

    def close(self):
        self._flush()
        super().close()

    def _flush(self):
        with self._lock:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            while self._waiting:
                super()._add(self._waiting[0])
                del self._waiting[0]

    def _write(self):
        with self._lock:
            self._timer = None
            try:
                self._flush()
            except StoreFailed:
                self._begin()

    def _begin(self):
        self._timer = threading.Timer(1, self._write)
        self._timer.daemon = True
        self._timer.start()

    def _add(self, cell):
        self._waiting.append(cell)
        if self._timer is None:
            self._begin()

    def _used(self, cell):
        self._flush()
        return super()._used(cell)


class InOneTransaction(SqliteManager):
    """Reports read and write under the write lock, which is taken first."""

    def _add(self, cell):
        with self._transaction():
            self._used(cell)
            super()._add(cell)


class _Once:
    """A transaction on a connection of its own: what stands in the place of a lock."""

    begin = "BEGIN IMMEDIATE"

    def __init__(self, path, waits):
        self._path, self._waits = path, waits
        self._mine = threading.local()
        self.closed = False

    @property
    def rows(self):
        return self._mine.rows

    def __enter__(self):
        if self.closed:
            raise Closed
        rows = Rows(self._path, self._waits)
        try:
            rows.execute(self.begin)
        except BaseException:
            rows.close()
            raise
        self._mine.rows = rows

    def __exit__(self, kind, error, trace):
        rows = self._mine.rows
        del self._mine.rows
        try:
            rows.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            rows.close()


class ConnectsForEachCall(SqliteManager):
    """Each call opens a connection and takes the database's write lock; threads share nothing else."""

    once = _Once

    def __init__(self, pool):
        self._pool, self._places = pool, {}
        self._lock = self.once(pool.storage / "keys.db", self.waits)
        with contextlib.closing(Rows(pool.storage / "keys.db", self.waits)) as rows:
            rows.execute("PRAGMA journal_mode = WAL")
            rows.execute(TABLE)

    @property
    def _rows(self):
        return self._lock.rows

    def close(self):
        self._lock.closed = True


class ServesMeanwhile(SqliteManager):
    """While the database is down, what is known of it and what came since are gone by; that is written later."""

    def __init__(self, pool):
        self._known, self._waiting = {}, []
        super().__init__(pool)

    def close(self):
        with self._lock:
            self._catch_up()
        super().close()

    def _catch_up(self):
        with contextlib.suppress(StoreFailed):
            while self._waiting:
                cell = self._waiting[0]
                super()._add(cell)
                del self._waiting[0]
                known = self._known.setdefault(tuple(cell[part] for part in WHOSE), {"rpm": 0, "tpm": 0, "rpd": 0})
                known.update(rpm=known["rpm"] + 1, tpm=known["tpm"] + cell["tokens"], rpd=known["rpd"] + 1)

    def _add(self, cell):
        self._waiting.append(cell)
        self._catch_up()

    def _used(self, cell):
        self._catch_up()
        name = cell["pool"], cell["key"], cell["model"], cell["minute"], cell["day"]
        with contextlib.suppress(StoreFailed):
            self._known[name] = super()._used(cell)
        used = self._known.get(name, {"rpm": 0, "tpm": 0, "rpd": 0})
        same = [one for one in self._waiting if tuple(one[part] for part in WHOSE) == name]
        more = {"rpm": len(same), "tpm": sum(one["tokens"] for one in same), "rpd": len(same)}
        return {count: used[count] + more[count] for count in used}
