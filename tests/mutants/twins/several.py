"""Sound twins of which several serve one storage, and hear of what the others changed in their own ways."""

from __future__ import annotations

import asyncio
import threading

from managers.several import Several, SeveralCached


class ToldByATask(SeveralCached):
    """A task of each instance reads what the others changed, every five seconds."""

    policies = Several.policies.model_copy(update={"staleness": 8.0})
    lasts = float("inf")
    close = None

    def __init__(self, pool):
        super().__init__(pool)
        self._worker = None

    async def init(self):
        self._rows.execute("SELECT 1")
        self._worker = self._worker or asyncio.create_task(self._read_again())

    async def shutdown(self):
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
        Several.close(self)

    async def _read_again(self):
        while True:
            await asyncio.sleep(5)
            self._forget()

    async def get_key(self, model_name=None, is_vertex_key=False):
        return Several.get_key(self, model_name, is_vertex_key)

    def _other_than(self, failed, model, vertex):
        found = Several.get_key(self, model, vertex)
        return Several.get_key(self, model, vertex) if found == failed else found

    async def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        return Several.update_usage(self, model_name, key_value, is_vertex_key, tokens_used)


class ToldByAThread(SeveralCached):
    """A thread of each instance notices that the database was changed by another one."""

    policies = Several.policies.model_copy(update={"staleness": 35.0})
    lasts = float("inf")

    def __init__(self, pool):
        super().__init__(pool)
        self._over, self._version = threading.Event(), None
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def close(self):
        self._over.set()
        self._watcher.join()
        super().close()

    def _watch(self):
        while not self._over.wait(30):
            with self._lock:
                version = self._rows.execute("PRAGMA data_version").fetchone()
                if version != self._version:
                    self._version = version
                    self._forget()
