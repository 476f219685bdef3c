"""Sound twins for many threads, each keeping them apart in another way."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from contextlib import ExitStack
from types import MappingProxyType

from managers.poor import NOTHING
from managers.threaded import ThreadedManager


class Baton:
    """Whoever has taken it out of the queue may go on."""

    def __init__(self):
        self._queue = queue.Queue()
        self._queue.put("baton")

    def __enter__(self):
        self._queue.get()

    def __exit__(self, *error):
        self._queue.put("baton")


class Monitor:
    """Busy or not, with a condition for those who wait."""

    def __init__(self):
        self._changed = threading.Condition()
        self._busy = False

    def __enter__(self):
        with self._changed:
            while self._busy:
                self._changed.wait()
            self._busy = True

    def __exit__(self, *error):
        with self._changed:
            self._busy = False
            self._changed.notify()


class PassesABaton(ThreadedManager):
    """A queue that holds one thing is the lock."""

    def _new_lock(self):
        return Baton()


class MonitorAndCondition(ThreadedManager):
    """A flag and a condition are the lock."""

    def _new_lock(self):
        return Monitor()


class OneAtATime(ThreadedManager):
    """A semaphore is the lock."""

    def _new_lock(self):
        return threading.Semaphore()


class LockForEachKey(ThreadedManager):
    """Reports lock their key; who looks at many keys locks all of a pool, in their order."""

    def __init__(self, pool):
        super().__init__(pool)
        self._each = {vertex: {key: threading.RLock() for key in keys} for vertex, keys in self._keys.items()}
        self._held = None  # what is taken of all locks, by whoever has them all
        self._lock = self

    def __enter__(self):
        held = ExitStack()
        for vertex in (False, True):
            for lock in self._each[vertex].values():
                held.enter_context(lock)
        self._held = held

    def __exit__(self, *error):
        held, self._held = self._held, None
        held.close()

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        if not isinstance(tokens_used, int) or tokens_used < 0:
            return False
        vertex, model = bool(is_vertex_key), self._model(model_name)
        lock = self._each[vertex].get(key_value)
        if lock is None:
            return False
        with lock:
            self._count(vertex, key_value, model, tokens_used)
            return True

    def get_usage_stats(self, api_key, model_name):
        model, lock = self._model(model_name), self._each[False].get(api_key)
        if lock is None:
            return None
        with lock:
            used = self._used(False, api_key, model)
        return {name: used[name] for name in ("rpm", "tpm", "rpd")}


class CopiedOnWrite(ThreadedManager):
    """Strikes and bans are a mapping that never changes: writers put another in its place, readers take no lock."""

    def __init__(self, pool):
        super().__init__(pool)
        self._standing = MappingProxyType({(vertex, key): 0 for vertex, keys in self._keys.items() for key in keys})

    def _put(self, vertex, key, strikes):
        self._standing = MappingProxyType({**self._standing, (vertex, key): strikes})

    def _strike(self, vertex, key):
        self._put(vertex, key, self._standing[vertex, key] + 1)

    def _ban(self, vertex, key):
        self._put(vertex, key, self._standing[vertex, key] + 1000)

    def _restore(self, vertex, key):
        super()._restore(vertex, key)
        self._put(vertex, key, 0)

    def _valid(self, vertex, key):
        return self._standing[vertex, key] < self._pool.max_failures

    def _told(self, standing, vertex, key):
        return standing.get((vertex, key), 0) % 1000

    def get_fail_count(self, key):
        return self._told(self._standing, False, key)

    def get_vertex_fail_count(self, key):
        return self._told(self._standing, True, key)

    def is_key_valid(self, key):
        return self._standing.get((False, key), 1000) < self._pool.max_failures

    def _grouped(self, vertex):
        standing, groups = self._standing, {"valid_keys": {}, "invalid_keys": {}}
        for key in self._keys[vertex]:
            valid = standing[vertex, key] < self._pool.max_failures
            groups["valid_keys" if valid else "invalid_keys"][key] = self._told(standing, vertex, key)
        return groups

    def get_keys_by_status(self):
        return self._grouped(False)

    def get_vertex_keys_by_status(self):
        return self._grouped(True)

    def get_all_keys_with_fail_count(self):
        groups = self._grouped(False)
        return {**groups, "all_keys": groups["valid_keys"] | groups["invalid_keys"]}


class WorkerThread(ThreadedManager):
    """One thread owns all state; calls are sent to it, and wait for their answers."""

    def __init__(self, pool):
        super().__init__(pool)
        self._calls, self._gate, self._closed = queue.Queue(), threading.Lock(), False
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    def _work(self):
        while (item := self._calls.get()) is not None:
            call, answer = item
            try:
                answer.set_result(call())
            except Exception as error:
                answer.set_exception(error)

    def _ask(self, call, closed):
        answer = Future()
        with self._gate:
            if self._closed:
                return closed
            self._calls.put((call, answer))
        return answer.result()

    def close(self):
        with self._gate:
            self._closed = True
            self._calls.put(None)
        self._worker.join()

    def get_key(self, model_name=None, is_vertex_key=False):
        return self._ask(lambda: ThreadedManager.get_key(self, model_name, is_vertex_key), NOTHING)

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        def call():
            return ThreadedManager.update_usage(self, model_name, key_value, is_vertex_key, tokens_used)

        return self._ask(call, False)
