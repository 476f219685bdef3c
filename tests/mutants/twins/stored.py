"""Sound twins whose counts last."""

from __future__ import annotations

import threading

from managers.stored import SqliteManager, StoreFailed


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
