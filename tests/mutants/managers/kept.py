"""`RichManager` over a store that is a file, replaced with each command that changes it."""

from __future__ import annotations

import hashlib
import os
import pickle

from managers.records import MemoryStore
from managers.rich import RichManager
from pytest_keyconform import Policies


class TornState(Exception):
    """The file is not whole."""


class FileStore(MemoryStore):
    """Rows in a file, behind a digest of them."""

    def __init__(self, path):
        super().__init__()
        self._path = path
        self._rows = self.load()

    def load(self):
        try:
            kept = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        if hashlib.sha256(kept[32:]).digest() != kept[:32]:
            raise TornState
        return pickle.loads(kept[32:])  # noqa: S301 - its own

    def save(self):
        kept = pickle.dumps(self._rows)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(hashlib.sha256(kept).digest() + kept)
        fresh.replace(self._path)

    async def put(self, row, *name):
        await super().put(row, *name)
        self.save()

    async def drop(self, *beginning):
        await super().drop(*beginning)
        self.save()


class KeptManager(RichManager):
    """Everything lasts: counts, strikes, bans, marks."""

    policies = Policies(durability="write-through", shared=False)
    store = FileStore

    def __init__(self, pool):
        super().__init__(pool)
        self._store = self.store(pool.storage / "rows")
