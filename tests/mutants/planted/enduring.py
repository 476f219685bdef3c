"""Planted bugs of DUR06 to DUR08: what becomes of counts where the store fails, or the process dies."""

from __future__ import annotations

import sqlite3

from managers.filed import FileManager
from managers.stored import AsyncSqliteManager, SqliteManager, StoreFailed

from planted.registry import planted


class SaysTrueAllTheSame(SqliteManager):
    """A report that could not be stored is answered True."""

    def _add(self, cell):
        try:
            super()._add(cell)
        except StoreFailed:
            self.failures = getattr(self, "failures", 0) + 1


class BatchIsDropped(AsyncSqliteManager):
    """Two reports are written together, and dropped together where that fails."""

    def __init__(self, pool):
        super().__init__(pool)
        self._waiting = []

    async def shutdown(self):
        self._flush()
        await super().shutdown()

    def _flush(self):
        batch, self._waiting = self._waiting, []
        try:
            for each in batch:
                super()._add(each)
        except StoreFailed:
            return

    def _add(self, cell):
        self._waiting.append(cell)
        if len(self._waiting) > 1:
            self._flush()

    def _used(self, cell):
        self._flush()
        return super()._used(cell)


class LetsTheErrorOut(SqliteManager):
    """What the database raises comes out of a report as it is."""

    def _add(self, cell):
        try:
            super()._add(cell)
        except StoreFailed as failed:
            raise sqlite3.OperationalError(str(failed)) from None


class ReplacedInVain(FileManager):
    """That the file could not be replaced is passed over."""

    def _write(self, counts):
        try:
            super()._write(counts)
        except OSError:
            return


MUTANTS = (
    planted("DUR07", SaysTrueAllTheSame),
    planted("DUR07", BatchIsDropped),
    planted("DUR07", LetsTheErrorOut),
    planted("DUR07", ReplacedInVain),
)
