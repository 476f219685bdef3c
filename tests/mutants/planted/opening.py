"""Planted bugs of LIFE01 and LIFE02: openings that fail, and what they say and leave."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

from managers.kept import KeptManager
from managers.rich import RichManager
from managers.stored import TABLE, AsyncSqliteManager, Rows, SqliteManager, StoreFailed

from planted.registry import planted


class AnswersFalse(KeptManager):
    """A store that cannot be read is answered by False."""

    def __init__(self, pool):
        RichManager.__init__(self, pool)
        self._path = pool.storage / "rows"

    async def init(self):
        try:
            self._path.parent.stat()
            self._store = self.store(self._path)
            self._store.save()
        except OSError:
            return False
        return await super().init()


class TableIsMissing(SqliteManager):
    """That the table could not be made is passed over."""

    def __init__(self, pool):
        try:
            super().__init__(pool)
        except StoreFailed:
            self._rows = Rows(pool.storage / "keys.db", self.waits)


class LibrarysError(AsyncSqliteManager):
    """What the database raises comes out as it is."""

    def __init__(self, pool):
        with sqlite3.connect(pool.storage / "keys.db") as rows:
            rows.execute(TABLE)
        rows.close()
        super().__init__(pool)


class AlreadyOpening(Exception):
    """Another manager is being opened."""


class OpenedOnce(AsyncSqliteManager):
    """That an opening is under way is remembered when it has failed."""

    under_way = set()

    def __init__(self, pool):
        if pool.storage in self.under_way:
            raise AlreadyOpening
        self.under_way.add(pool.storage)
        super().__init__(pool)
        self.under_way.discard(pool.storage)


class WorkerFirst(KeptManager):
    """The worker is started before the store is reached."""

    def __init__(self, pool):
        RichManager.__init__(self, pool)
        self._path, self._worker = pool.storage / "rows", None

    async def init(self):
        self._worker = asyncio.create_task(asyncio.sleep(10**6))
        self._store = self.store(self._path)
        self._store.save()
        await super().init()

    async def shutdown(self):
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        await super().shutdown()


class ThreadFirst(SqliteManager):
    """The thread is started before the store is reached."""

    def __init__(self, pool):
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._over.wait, daemon=True)
        self._thread.start()
        super().__init__(pool)

    def close(self):
        self._over.set()
        self._thread.join()
        super().close()


class ConnectionIsListed(AsyncSqliteManager):
    """A list of the class holds a connection whose table could not be made."""

    connections = []

    def __init__(self, pool):
        rows = Rows(pool.storage / "keys.db", self.waits)
        self.connections.append(rows)
        rows.execute("PRAGMA user_version")
        rows.execute(TABLE)
        rows.close()
        self.connections.clear()
        super().__init__(pool)


MUTANTS = (
    planted("LIFE01", AnswersFalse),
    planted("LIFE01", TableIsMissing),
    planted("LIFE01", LibrarysError),
    planted("LIFE01", OpenedOnce),
    planted("LIFE02", WorkerFirst),
    planted("LIFE02", ThreadFirst),
    planted("LIFE02", ConnectionIsListed),
)
