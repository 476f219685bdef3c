"""Time, and backends that turn out to need more than a controlled loop."""

import pytest

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.spec.settings import Settings, TargetSetting

SOURCE = '''
import asyncio
import sqlite3
import threading

from pytest_keyconform import Policies


class ByTheStore:
    """Windows are those of the store's clock, which nobody here can move."""

    policies = Policies(durability="write-through")

    def __init__(self, pool):
        self._pool = pool
        self._rows = sqlite3.connect(pool.storage / "db", isolation_level=None, check_same_thread=False)
        self._rows.execute("CREATE TABLE IF NOT EXISTS used (key, minute, tokens)")

    def close(self):
        self._rows.close()

    def get_key(self, model_name=None):
        limits = self._pool.limits.get(model_name or "m1")
        most = 99 if limits is None or limits.rpm is None else limits.rpm
        return next((key for key in self._pool.api_keys if self._used(key) < most), "")

    def _used(self, key):
        now = "strftime('%Y%m%d%H%M', 'now')"
        return self._rows.execute(f"SELECT count(*) FROM used WHERE key = ? AND minute = {now}", (key,)).fetchone()[0]

    def update_usage(self, model_name, key_value, tokens_used=0):
        if key_value not in self._pool.api_keys:
            return False
        self._rows.execute("INSERT INTO used VALUES (?, strftime('%Y%m%d%H%M', 'now'), ?)", (key_value, tokens_used))
        return True


class NeverEnds:
    """Windows never end: nobody ever asks a clock."""

    def __init__(self, pool):
        self._pool, self._counts = pool, {}

    def get_key(self, model_name=None):
        limits = self._pool.limits.get(model_name or "m1")
        free = [key for key in self._pool.api_keys if limits is None or self._counts.get(key, 0) < (limits.rpm or 99)]
        return free[0] if free else ""

    def update_usage(self, model_name, key_value, tokens_used=0):
        self._counts[key_value] = self._counts.get(key_value, 0) + 1
        return True


class UsesAThreadNowAndThen:
    """Acquires alone; a report waits for a thread."""

    def __init__(self, pool):
        self._keys, self._turn = list(pool.api_keys), 0

    async def get_key(self, model_name=None):
        self._turn += 1
        return self._keys[self._turn % len(self._keys)] if self._keys else ""

    async def update_usage(self, model_name, key_value, tokens_used=0):
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        threading.Thread(target=lambda: loop.call_soon_threadsafe(done.set_result, True)).start()
        return await done and key_value in self._keys
'''


@pytest.fixture
def judge(tmp_path):
    """A function that judges one of those managers by one invariant."""
    (tmp_path / "clock_managers.py").write_text(SOURCE, encoding="utf-8")

    def judging(name, *ids):
        setting = TargetSetting(name=name, target=f"clock_managers:{name}", asked=name)
        conformance = Conformance(Settings(targets=(setting,), search=(tmp_path,)), setting)
        conformance.start()
        return [conformance.judge(id) for id in ids]

    return judging


def test_a_clock_that_cannot_be_moved_is_inconclusive(judge):
    """A backend that goes by its store's clock is neither accused nor passed, and the report says why."""
    (report,) = judge("ByTheStore", "TIME01")
    assert report.status == "inconclusive"
    assert report.reason.startswith("its clock cannot be moved")


def test_windows_that_never_end_are_a_violation(judge):
    """A backend in memory that asks no clock has no other: it is accused."""
    (report,) = judge("NeverEnds", "TIME01")
    assert report.status == "violated"


def test_a_backend_that_needs_a_real_loop_later_gets_one(judge):
    """It opens and serves on the controlled loop; from the first call on that needs a thread it has a real one."""
    recorded, served = judge("UsesAThreadNowAndThen", "QUO05", "ACQ01")
    assert recorded.engines == served.engines == ("delayed-tasks",)
    assert served.status == "conforms"
