"""A sound manager whose counts are a JSON file: read and replaced under a lock that other processes see."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from contextlib import contextmanager

from managers.poor import NOTHING
from pytest_keyconform import Policies


class Closed(Exception):
    """The manager was closed."""


class FileManager:
    """Counts requests and tokens of a minute; each report replaces the file."""

    policies = Policies(durability="write-through", model_match="exact", selection="round-robin")

    def __init__(self, api_keys, storage, default_model="m1"):
        self._keys, self._turn, self._default = list(dict.fromkeys(api_keys)), 0, default_model
        self._threads = threading.Lock()
        self._path = storage / "counts.json"
        self._lock = os.open(storage / "lock", os.O_CREAT | os.O_RDWR)
        self._read()

    def close(self):
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    @contextmanager
    def _alone(self):
        with self._threads:  # the file lock is of the process
            if self._lock < 0:
                raise Closed
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _read(self):
        try:
            return json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}

    def _write(self, counts):
        fresh = self._path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(counts))
        fresh.replace(self._path)

    def get_key(self, model_name=None):
        if not self._keys:
            return NOTHING
        with self._threads:
            self._turn += 1
            return self._keys[(self._turn - 1) % len(self._keys)]

    def _add(self, name, tokens):
        with self._alone():
            counts = self._read()
            used = counts[name] = self._current(counts.get(name))
            used["rpm"] += 1
            used["tpm"] += tokens
            self._write(counts)

    def update_usage(self, model_name, key_value, tokens_used=0):
        if key_value not in self._keys or not isinstance(tokens_used, int) or tokens_used < 0:
            return False
        self._add(f"{key_value} {model_name or self._default}", tokens_used)
        return True

    def get_usage_stats(self, api_key, model_name):
        with self._alone():
            used = self._current(self._read().get(f"{api_key} {model_name}"))
        return {"rpm": used["rpm"], "tpm": used["tpm"]}

    def _current(self, used):
        """Answer what was used, without what belongs to a minute that has ended."""
        minute = int(time.time() // 60)
        return used if used and used["minute"] == minute else {"minute": minute, "rpm": 0, "tpm": 0}
