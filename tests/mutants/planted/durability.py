"""Planted bugs of the family DUR."""

from __future__ import annotations

import fcntl
import json
from contextlib import contextmanager, nullcontext

from managers.filed import FileManager
from managers.stored import ADD, READ, AsyncSqliteManager, SqliteManager

from planted.registry import planted

WRITE = "INSERT OR REPLACE INTO used VALUES (:pool, :key, :model, :minute, :day, :rpm, :tpm, :rpd)"


class KeptInMemory(SqliteManager):
    """Counts are written for every third report, and what is left over is forgotten when it is closed."""

    def __init__(self, pool):
        super().__init__(pool)
        self._waiting = []

    def _add(self, cell):
        self._waiting.append(cell)
        if len(self._waiting) == 3:
            for each in self._waiting:
                super()._add(each)
            self._waiting.clear()

    def _used(self, cell):
        used = super()._used(cell)
        same = [each for each in self._waiting if each["key"] == cell["key"] and each["model"] == cell["model"]]
        counts = {"rpm": len(same), "tpm": sum(each["tokens"] for each in same), "rpd": len(same)}
        return {name: count + counts[name] for name, count in used.items()}


class LoadedOnTop(AsyncSqliteManager):
    """What is loaded at the start is added to the rows once more."""

    def __init__(self, pool):
        super().__init__(pool)
        self._rows.execute("UPDATE used SET rpm = rpm * 2, tpm = tpm * 2, rpd = rpd * 2")


class CommittedWhenClosed(SqliteManager):
    """All reports are one transaction, which closing commits."""

    policies = SqliteManager.policies.model_copy(update={"shared": False})

    def __init__(self, pool):
        super().__init__(pool)
        self._rows.execute("BEGIN")

    def close(self):
        self._rows.execute("COMMIT")
        super().close()


class CountedInTwoSteps(AsyncSqliteManager):
    """The requests are committed before the tokens are added."""

    def _add(self, cell):
        self._rows.execute(ADD, {**cell, "tokens": 0})
        self._rows.execute("UPDATE used SET tpm = tpm + :tokens WHERE key = :key AND model = :model", cell)


class ReadThenWritten(SqliteManager):
    """A row is read, added to, and written back."""

    def _add(self, cell):
        used = self._used(cell)
        more = {"rpm": used["rpm"] + 1, "tpm": used["tpm"] + cell["tokens"], "rpd": used["rpd"] + 1}
        self._rows.execute(WRITE, {**cell, **more})


class OwnCopy(AsyncSqliteManager):
    """Counts are loaded once; after that each process goes by its own."""

    def __init__(self, pool):
        super().__init__(pool)
        self._copy = {}

    def _used(self, cell):
        name = cell["pool"], cell["key"], cell["model"]
        if name not in self._copy:
            self._copy[name] = super()._used(cell)
        return self._copy[name]

    def _add(self, cell):
        used = self._used(cell)
        super()._add(cell)
        used.update(rpm=used["rpm"] + 1, tpm=used["tpm"] + cell["tokens"], rpd=used["rpd"] + 1)


class NeverWaits(SqliteManager):
    """A lock that another process holds is an error at once."""

    waits = 0.0

    def _add(self, cell):
        with self._transaction():
            self._rows.execute(READ, cell).fetchall()
            super()._add(cell)


class UpgradesItsLock(AsyncSqliteManager):
    """A transaction begins by reading, and asks for the write lock when two may hold the read lock."""

    def __init__(self, pool):
        super().__init__(pool)
        self._rows.execute("PRAGMA journal_mode = DELETE")

    def _add(self, cell):
        with self._transaction("DEFERRED"):
            self._rows.execute(READ, cell).fetchall()
            super()._add(cell)


class KeptByTheClass(FileManager):
    """Counts are kept by the class, so that they last as long as the process."""

    counts = {}

    def _read(self):
        return self.counts.setdefault(str(self._path), {})

    def _write(self, counts):
        self.counts[str(self._path)] = counts


class WritesOver(FileManager):
    """The file is written over instead of replaced."""

    def _write(self, counts):
        with self._path.open("w") as file:
            json.dump(counts, file)


class LocksNothing(FileManager):
    """Two processes may read the same counts, and the one that writes last wins."""

    def _alone(self):
        return nullcontext()


class TakesTheLockOrElse(FileManager):
    """A lock that another process holds is an error."""

    @contextmanager
    def _alone(self):
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


MUTANTS = (
    planted("DUR01", KeptByTheClass),
    planted("DUR02", WritesOver),
    planted("DUR03", LocksNothing),
    planted("DUR04", TakesTheLockOrElse),
    planted("DUR01", KeptInMemory),
    planted("DUR01", LoadedOnTop),
    planted("DUR02", CommittedWhenClosed),
    planted("DUR02", CountedInTwoSteps),
    planted("DUR03", ReadThenWritten),
    planted("DUR03", OwnCopy),
    planted("DUR04", NeverWaits),
    planted("DUR04", UpgradesItsLock),
)
