"""Sound twins whose counts last."""

from __future__ import annotations

import time

from managers.stored import SqliteManager


class WritesBehind(SqliteManager):
    """Reports are written within the two seconds that are declared, by the next call that comes later."""

    policies = SqliteManager.policies.model_copy(update={"durability": 2.0, "shared": False})

    def __init__(self, pool):
        super().__init__(pool)
        self._waiting, self._since = [], 0.0

    def close(self):
        self._flush()
        super().close()

    def _flush(self):
        for each in self._waiting:
            super()._add(each)
        self._waiting.clear()

    def _add(self, cell):
        if self._waiting and time.monotonic() - self._since > 1:
            self._flush()
        self._since = time.monotonic() if not self._waiting else self._since
        self._waiting.append(cell)

    def _used(self, cell):
        self._flush()
        return super()._used(cell)


class InOneTransaction(SqliteManager):
    """Reports read and write under the write lock, which is taken first."""

    def _add(self, cell):
        with self._transaction():
            self._used(cell)
            super()._add(cell)
