"""Planted bugs of DUR06 to DUR08: what becomes of counts where the store fails, or the process dies."""

from __future__ import annotations

import sqlite3
import time

from managers.filed import FileManager
from managers.poor import NOTHING
from managers.stored import READ, AsyncSqliteManager, SqliteManager, StoreFailed
from twins.stored import ServesMeanwhile

from planted.registry import planted


class _EndsAreSetLater:
    """What is counted is of no minute, and so of every one, until the second command says of which."""

    def _add(self, cell):
        super()._add({**cell, "minute": -1})
        self._rows.execute("UPDATE used SET minute = :minute WHERE (pool, key, model) = (:pool, :key, :model)", cell)

    def _used(self, cell):
        same = {name: cell[name] for name in ("pool", "key", "model")}
        row = self._rows.execute(READ, same).fetchone()
        return super()._used({**cell, "minute": -1} if row and row[0] == -1 else cell)


class EndsAreSetLater(_EndsAreSetLater, SqliteManager):
    """A count is stored before the minute that it belongs to."""


class MinuteByATrigger(_EndsAreSetLater, AsyncSqliteManager):
    """The minute of a row that is over is taken away before the row is counted on, and set afterwards."""

    def _add(self, cell):
        self._rows.execute("UPDATE used SET minute = -1 WHERE minute <> -1 AND minute < :minute", cell)
        super()._add(cell)


class FileWithoutAMinute(FileManager):
    """The counts are written before the minute that they belong to."""

    def _add(self, name, tokens):
        super()._add(name, tokens)
        with self._alone():
            counts = self._read()
            counts[name]["minute"] = int(time.time() // 60)
            self._write(counts)

    def _current(self, used):
        if used and used["minute"] is None:
            return used
        used = super()._current(used)
        return used if used["rpm"] else {**used, "minute": None}


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


class NothingIsServed(SqliteManager):
    """Without its database it answers no key."""

    def get_key(self, model_name=None, is_vertex_key=False):
        try:
            return super().get_key(model_name, is_vertex_key)
        except StoreFailed:
            return NOTHING


class UncountedMeanwhile(ServesMeanwhile):
    """While the database is down every key has room."""

    def _room(self, cell):
        try:
            SqliteManager._used(self, cell)
        except StoreFailed:
            return True
        return super()._room(cell)


class AsksTheStore(AsyncSqliteManager):
    """Each acquire asks the database, and its caller hears that it is down."""


class ReplacedInVain(FileManager):
    """That the file could not be replaced is passed over."""

    def _write(self, counts):
        try:
            super()._write(counts)
        except OSError:
            return


MUTANTS = (
    planted("DUR06", EndsAreSetLater),
    planted("DUR06", MinuteByATrigger),
    planted("DUR06", FileWithoutAMinute),
    planted("DUR07", SaysTrueAllTheSame),
    planted("DUR07", BatchIsDropped),
    planted("DUR07", LetsTheErrorOut),
    planted("DUR07", ReplacedInVain),
    planted("DUR08", NothingIsServed),
    planted("DUR08", UncountedMeanwhile),
    planted("DUR08", AsksTheStore),
)
