"""Planted bugs that only threads show: of locks that are missing, too short, taken twice, crosswise, or not for all."""

from __future__ import annotations

import threading

from managers.poor import NOTHING
from managers.threaded import ThreadedManager

from planted.registry import planted


class PlaceWithoutALock(ThreadedManager):
    """The place in the rotation is read and written without a lock."""

    def get_key(self, model_name=None, is_vertex_key=False):
        return self._choose(bool(is_vertex_key), self._model(model_name))


class CheckedThenLocked(ThreadedManager):
    """Who is usable is found out without the lock, which is taken to write the place."""

    def get_key(self, model_name=None, is_vertex_key=False):
        vertex, model = bool(is_vertex_key), self._model(model_name)
        keys = self._keys[vertex]
        start = self._places.get((vertex, model), 0)
        for key in keys[start:] + keys[:start]:
            if self._usable(vertex, key, model):
                with self._lock:
                    self._places[vertex, model] = (keys.index(key) + 1) % len(keys)
                return key
        return NOTHING


class TurnWithoutALock(ThreadedManager):
    """The plain rotation adds to its turn without a lock, and reads it again for the key."""

    def get_next_key(self, is_vertex_key=False):
        return self._next(bool(is_vertex_key))


class SharedGenerator(ThreadedManager):
    """Threads share a generator, which is no more to be entered while one is in it."""

    def __init__(self, pool):
        super().__init__(pool)
        self._rounds = {vertex: self._round(vertex) for vertex in (False, True)}

    def _round(self, vertex):
        while True:
            yield from self._keys[vertex] or [NOTHING]
            self._turns[vertex] += 1

    def get_next_key(self, is_vertex_key=False):
        return next(self._rounds[bool(is_vertex_key)])


class OldBansPutBack(ThreadedManager):
    """A report copies the bans, counts, and puts its copy in the place of what others wrote meanwhile."""

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None):
        with self._lock:
            banned, marked = set(self._banned), dict(self._marked)
        told = super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        with self._lock:
            if not error:
                self._banned, self._marked = banned, marked
        return told


class UsableRemembered(ThreadedManager):
    """The usable keys are gathered under the lock and kept after it: who fails meanwhile is still among them."""

    def __init__(self, pool):
        super().__init__(pool)
        self._kept = {}

    def get_key(self, model_name=None, is_vertex_key=False):
        vertex, model = bool(is_vertex_key), self._model(model_name)
        if not self._kept.get((vertex, model)):
            with self._lock:
                found = [self._choose(vertex, model) for _ in self._keys[vertex]]
            self._kept[vertex, model] = list(dict.fromkeys(found))
        with self._lock:
            kept = self._kept[vertex, model]
            return kept.pop() if kept else self._choose(vertex, model)

    def _blame(self, vertex, key, model, status):
        self._kept.clear()
        super()._blame(vertex, key, model, status)


class AddsWithoutALock(ThreadedManager):
    """Counts are read, added to and written without a lock."""

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        vertex = bool(is_vertex_key)
        if not isinstance(tokens_used, int) or tokens_used < 0 or key_value not in self._strikes[vertex]:
            return False
        self._count(vertex, key_value, self._model(model_name), tokens_used)
        return True


class LockOfItsOwn(ThreadedManager):
    """Each report makes a lock, which nobody else has."""

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        vertex = bool(is_vertex_key)
        if not isinstance(tokens_used, int) or tokens_used < 0 or key_value not in self._strikes[vertex]:
            return False
        with threading.Lock():
            self._count(vertex, key_value, self._model(model_name), tokens_used)
        return True


class StrikesWithoutALock(ThreadedManager):
    """A failure is added to the count without the lock."""

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        vertex, model = bool(is_vertex_key), self._model(model_name)
        if api_key in self._strikes[vertex]:
            self._blame(vertex, api_key, model, status_code)
        with self._lock:
            return NOTHING if retries >= self._pool.max_retries else self._choose(vertex, model, api_key)


class CountsOnACopy(ThreadedManager):
    """A failure reads the strikes of all keys under the lock, and writes them back under it, each time by itself."""

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        vertex, model = bool(is_vertex_key), self._model(model_name)
        with self._lock:
            before = dict(self._strikes[vertex])
        with self._lock:
            if api_key in before:
                self._strikes[vertex] = before
                self._blame(vertex, api_key, model, status_code)
            return NOTHING if retries >= self._pool.max_retries else self._choose(vertex, model, api_key)


class ResetInTwoLocks(ThreadedManager):
    """A reset copies the strikes, gives the lock back, and takes it again to put its copy in their place."""

    def reset_key_failure_count(self, key):
        with self._lock:
            known = [vertex for vertex, strikes in self._strikes.items() if key in strikes]
            before = {vertex: dict(self._strikes[vertex]) for vertex in known}
        with self._lock:
            for vertex in known:
                self._strikes[vertex] = before[vertex]
                self._restore(vertex, key)
        return bool(known)


class BanBesideTheLock(ThreadedManager):
    """A failure counts a strike under the lock and bans the key after it, having looked before."""

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        vertex, model = bool(is_vertex_key), self._model(model_name)
        banned = set(self._banned)
        with self._lock:
            if api_key in self._strikes[vertex] and status_code not in (401, 403):
                self._blame(vertex, api_key, model, status_code)
        if api_key in self._strikes[vertex] and status_code in (401, 403):
            self._banned = banned | {(vertex, api_key)}
        with self._lock:
            return NOTHING if retries >= self._pool.max_retries else self._choose(vertex, model, api_key)


class GroupsOfTwoMoments(ThreadedManager):
    """The lock is given back between the valid keys and the others."""

    def _of(self, vertex, valid):
        with self._lock:
            return {key: n for key, n in self._strikes[vertex].items() if self._valid(vertex, key) is valid}

    def get_keys_by_status(self):
        return {"valid_keys": self._of(False, True), "invalid_keys": self._of(False, False)}

    def get_vertex_keys_by_status(self):
        return {"valid_keys": self._of(True, True), "invalid_keys": self._of(True, False)}


class ReadsWithoutALock(ThreadedManager):
    """Views look at strikes and bans while others write them."""

    def get_all_keys_with_fail_count(self):
        valid = {key: n for key, n in self._strikes[False].items() if self._valid(False, key)}
        invalid = {key: n for key, n in self._strikes[False].items() if not self._valid(False, key)}
        return {"valid_keys": valid, "invalid_keys": invalid, "all_keys": valid | invalid}


class TwoLocksCrosswise(ThreadedManager):
    """Reports take the lock of the counts and then that of the keys, failures the other way round."""

    def __init__(self, pool):
        super().__init__(pool)
        self._counts = threading.Lock()

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        with self._counts:
            return super().update_usage(model_name, key_value, is_vertex_key, tokens_used)

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        vertex, model = bool(is_vertex_key), self._model(model_name)
        with self._lock, self._counts:
            if api_key in self._strikes[vertex]:
                self._blame(vertex, api_key, model, status_code)
            return NOTHING if retries >= self._pool.max_retries else self._choose(vertex, model, api_key)


class Gate:
    """Whoever finds it shut waits for it to be opened, even if that was just done."""

    def __init__(self):
        self._busy = threading.Lock()
        self._opened = threading.Event()

    def __enter__(self):
        while not self._busy.acquire(blocking=False):
            self._opened.clear()
            self._opened.wait()

    def __exit__(self, *error):
        self._busy.release()
        self._opened.set()


class WokenTooEarly(ThreadedManager):
    """Between finding it busy and waiting the lock comes free, and the word of that is lost."""

    def _new_lock(self):
        return Gate()


class KeptWhereItRaises(ThreadedManager):
    """The lock is not given back where the pool is found to be exhausted."""

    def get_key(self, model_name=None, is_vertex_key=False):
        self._lock.acquire()
        key = self._choose(bool(is_vertex_key), self._model(model_name))
        if key == NOTHING:
            return key
        self._lock.release()
        return key


class BothOrNeither(ThreadedManager):
    """Who has one of two locks and does not get the other gives its own back and tries again, for ever."""

    def __init__(self, pool):
        super().__init__(pool)
        self._locks = threading.Lock(), threading.Lock()

    def _both(self, first, second):
        while True:
            first.acquire()
            if second.acquire(blocking=False):
                return
            first.release()

    def get_key(self, model_name=None, is_vertex_key=False):
        self._both(*self._locks)
        try:
            return super().get_key(model_name, is_vertex_key)
        finally:
            for lock in self._locks:
                lock.release()

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0):
        self._both(*reversed(self._locks))
        try:
            return super().update_usage(model_name, key_value, is_vertex_key, tokens_used)
        finally:
            for lock in self._locks:
                lock.release()


class TurnsForEver(ThreadedManager):
    """An acquire goes round and round until a key is usable."""

    def get_key(self, model_name=None, is_vertex_key=False):
        while self._keys[bool(is_vertex_key)]:
            key = super().get_key(model_name, is_vertex_key)
            if key != NOTHING:
                return key
        return NOTHING


MUTANTS = (
    planted("ACQ01", PlaceWithoutALock),
    planted("ACQ01", CheckedThenLocked),
    planted("ACQ02", TurnWithoutALock),
    planted("ACQ02", SharedGenerator),
    planted("ACQ05", OldBansPutBack),
    planted("QUO01", AddsWithoutALock),
    planted("QUO01", LockOfItsOwn),
    planted("FAIL03", StrikesWithoutALock),
    planted("FAIL03", CountsOnACopy),
    planted("FAIL13", ResetInTwoLocks),
    planted("FAIL13", BanBesideTheLock),
    planted("FMT05", GroupsOfTwoMoments),
    planted("FMT05", ReadsWithoutALock),
    planted("LIVE01", TwoLocksCrosswise),
    planted("LIVE01", KeptWhereItRaises),
    planted("LIVE02", BothOrNeither),
    planted("LIVE02", TurnsForEver),
)
DEEP = (
    planted("ACQ05", UsableRemembered),
    planted("LIVE01", WokenTooEarly),
)
"""Bugs behind so many switches that the budget of a `ci` run finds them by chance; that of a deep one does."""
