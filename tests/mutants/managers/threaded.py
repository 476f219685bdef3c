"""`ThreadedManager`: plain methods for any thread, one lock for all there is."""

from __future__ import annotations

import threading
import time
from datetime import datetime

from managers.poor import DAY_ZONE, NOTHING

QUOTA, AUTH, REQUEST = 429, (401, 403), (400, 404, 413, 422)


class ThreadedManager:
    """Strikes, bans, marks and counts of two pools; vertex under True. The lock is taken by public methods alone."""

    def __init__(self, pool):
        self._pool = pool
        self._lock = self._new_lock()
        lists = {False: pool.api_keys, True: pool.vertex_api_keys}
        self._keys = {vertex: list(dict.fromkeys(keys)) for vertex, keys in lists.items()}
        self._strikes = {vertex: dict.fromkeys(keys, 0) for vertex, keys in self._keys.items()}
        self._banned = set()
        self._marked = {}
        self._places = {}
        self._turns = {False: 0, True: 0}
        self._windows = {}

    def _new_lock(self):
        return threading.Lock()

    # -- what the callers of these hold the lock for

    def _model(self, name):
        if name is not None and not isinstance(name, str):
            message = "a model is named by a str"
            raise TypeError(message)
        name = name or self._pool.default_model
        known = [one for one in self._pool.limits if name == one or name.startswith((one + "-", one + "@", one + ":"))]
        return max(known, key=len, default=name)

    def _used(self, vertex, key, model):
        """Answer what is used up in the minute and the day that it is now."""
        now = {"minute": int(time.time() // 60), "day": datetime.fromtimestamp(time.time(), DAY_ZONE).date()}
        used = self._windows.get((vertex, key, model), {})
        minutely = used if used.get("minute") == now["minute"] else {}
        daily = used if used.get("day") == now["day"] else {}
        counts = {name: minutely.get(name, 0) for name in ("rpm", "tpm")}
        return {**now, **counts, "rpd": daily.get("rpd", 0)}

    def _count(self, vertex, key, model, tokens):
        used = self._used(vertex, key, model)
        used.update(rpm=used["rpm"] + 1, tpm=used["tpm"] + tokens, rpd=used["rpd"] + 1)
        self._windows[vertex, key, model] = used

    def _valid(self, vertex, key):
        return (vertex, key) not in self._banned and self._strikes[vertex][key] < self._pool.max_failures

    def _usable(self, vertex, key, model):
        if not self._valid(vertex, key):
            return False
        used, limits = self._used(vertex, key, model), self._pool.limits.get(model)
        if self._marked.get((vertex, key, model)) == used["minute"]:
            return False
        room = ((used[name], getattr(limits, name, None)) for name in ("rpm", "tpm", "rpd"))
        return all(limit is None or count < limit for count, limit in room)

    def _choose(self, vertex, model, besides=None):
        keys = self._keys[vertex]
        start = self._places.get((vertex, model), 0)
        usable = [key for key in keys[start:] + keys[:start] if self._usable(vertex, key, model)]
        for key in [one for one in usable if one != besides] + usable:
            self._places[vertex, model] = (keys.index(key) + 1) % len(keys)
            return key
        return NOTHING

    def _next(self, vertex):
        keys = self._keys[vertex]
        if not keys:
            return NOTHING
        self._turns[vertex] += 1
        return keys[(self._turns[vertex] - 1) % len(keys)]

    def _strike(self, vertex, key):
        self._strikes[vertex][key] += 1

    def _ban(self, vertex, key):
        self._banned.add((vertex, key))

    def _blame(self, vertex, key, model, status):
        if status == QUOTA:
            self._marked[vertex, key, model] = int(time.time() // 60)
        elif status in AUTH:
            self._ban(vertex, key)
        elif status not in REQUEST:
            self._strike(vertex, key)

    def _restore(self, vertex, key):
        self._strikes[vertex][key] = 0
        self._banned.discard((vertex, key))
        self._marked = {cell: minute for cell, minute in self._marked.items() if cell[:2] != (vertex, key)}

    def _groups(self, vertex):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for key, count in self._strikes[vertex].items():
            groups["valid_keys" if self._valid(vertex, key) else "invalid_keys"][key] = count
        return groups

    # -- what is called

    def get_key(self, model_name=None, is_vertex_key=False):
        model = self._model(model_name)
        with self._lock:
            return self._choose(bool(is_vertex_key), model)

    def get_next_key(self, is_vertex_key=False):
        with self._lock:
            return self._next(bool(is_vertex_key))

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None):
        if not isinstance(tokens_used, int) or isinstance(tokens_used, bool) or tokens_used < 0:
            return False
        vertex, model = bool(is_vertex_key), self._model(model_name)
        status = {"429": 429, "permanent": 401}.get(error_type, 400) if error else 400
        with self._lock:
            if key_value not in self._strikes[vertex]:
                return False
            self._count(vertex, key_value, model, tokens_used)
            self._blame(vertex, key_value, model, status)
            return True

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        vertex, model = bool(is_vertex_key), self._model(model_name)
        with self._lock:
            if api_key in self._strikes[vertex]:
                self._blame(vertex, api_key, model, status_code)
            return NOTHING if retries >= self._pool.max_retries else self._choose(vertex, model, api_key)

    def get_usage_stats(self, api_key, model_name):
        model = self._model(model_name)
        with self._lock:
            if api_key not in self._strikes[False]:
                return None
            used = self._used(False, api_key, model)
            return {name: used[name] for name in ("rpm", "tpm", "rpd")}

    def get_fail_count(self, key):
        with self._lock:
            return self._strikes[False].get(key, 0)

    def get_vertex_fail_count(self, key):
        with self._lock:
            return self._strikes[True].get(key, 0)

    def is_key_valid(self, key):
        with self._lock:
            return key in self._strikes[False] and self._valid(False, key)

    def get_keys_by_status(self):
        with self._lock:
            return self._groups(False)

    def get_vertex_keys_by_status(self):
        with self._lock:
            return self._groups(True)

    def get_all_keys_with_fail_count(self):
        with self._lock:
            groups = self._groups(False)
        return {**groups, "all_keys": groups["valid_keys"] | groups["invalid_keys"]}

    def reset_key_failure_count(self, key):
        with self._lock:
            known = [vertex for vertex, strikes in self._strikes.items() if key in strikes]
            for vertex in known:
                self._restore(vertex, key)
            return bool(known)

    def reset_vertex_key_failure_count(self, key):
        with self._lock:
            if key not in self._strikes[True]:
                return False
            self._restore(True, key)
            return True
