"""Carrying over what v1 has counted."""

import asyncio
import copy
import datetime as dt
import time

import pytest

from keyconform_reference import InvalidInputError, KeyManager, Limits, Options
from keyconform_reference.embedded import store_in
from keyconform_reference.stores import MemoryStore

NOON = dt.datetime(2026, 3, 1, 12, 0, 30, tzinfo=dt.UTC)
A, B = "old-key-aaaa", "old-key-bbbb"


def row(key=A, *, ago=0.0, **more):
    """A row of v1."""
    when = (NOON - dt.timedelta(seconds=ago)).isoformat()
    counted = {"pool": "regular", "key": key, "model": "m1", "rpm": 3, "tpm": 31, "rpd": 7}
    return {**counted, "exhausted": False, "inactive": False, "last_used": when, **more}


@pytest.fixture(params=["memory", "sqlite"])
def opened(request, tmp_path):
    """Open managers on one kind of store; on SQLite each one finds what the last one left."""

    async def open_one(**options):
        store = MemoryStore if request.param == "memory" else store_in(tmp_path)
        manager = KeyManager(
            [A, B], limits={"m1": Limits(rpm=5)}, default_model="m1", options=Options(**options), store=store
        )
        await manager.init()
        return manager

    open_one.lasts = request.param == "sqlite"
    return open_one


class Clock:
    """A wall clock that goes on where a test says so, in every thread."""

    now = NOON.timestamp()

    def tick(self, seconds):
        """Let seconds pass."""
        self.now += seconds


@pytest.fixture
def run(monkeypatch):
    """Run a coroutine on such a clock."""

    def run_it(work):
        clock = Clock()
        monkeypatch.setattr(time, "time", lambda: clock.now)
        asyncio.run(work(clock))

    return run_it


async def used(manager, key=A):
    """Requests, tokens and requests of the day."""
    stats = await manager.get_usage_stats(key, "m1")
    return tuple(stats[name] for name in ("rpm", "tpm", "rpd"))


@pytest.mark.parametrize("minute_window", ["fixed", "rolling", "bucket"])
def test_what_still_counts_is_carried_over(run, opened, minute_window):
    """Counters of this minute and of this day count, and no longer than they would have."""

    async def work(clock):
        manager = await opened(minute_window=minute_window)
        assert await manager.migrate([row(), row(B, ago=7200)]) == 2
        assert await used(manager) == (3, 31, 7)
        assert await used(manager, B) == (0, 0, 7)
        clock.tick(61)
        assert await used(manager) == (0, 0, 7)
        await manager.shutdown()

    run(work)


def test_what_is_over_is_not(run, opened):
    """Of two days ago nothing counts, and an old 429 keeps nothing out; a refused key stays out."""

    async def work(_clock):
        manager = await opened()
        old = 2 * 86_400.0
        await manager.migrate([row(ago=old, exhausted=True), row(B, ago=old, inactive=True)])
        assert await used(manager) == (0, 0, 0)
        assert await manager.is_key_valid(A)
        assert not await manager.is_key_valid(B)
        assert await manager.get_key() == await manager.get_key() == A
        await manager.shutdown()

    run(work)


def test_a_429_of_just_now_keeps_its_key_out(run, opened):
    """A key that v1 had marked is served when its minute is over."""

    async def work(clock):
        manager = await opened()
        await manager.migrate([row(exhausted=True)])
        assert [await manager.get_key() for _ in range(2)] == [B, B]
        clock.tick(31)
        assert {await manager.get_key(), await manager.get_key()} == {A, B}
        await manager.shutdown()

    run(work)


def test_a_row_is_carried_over_once(run, opened):
    """Again, after a report, and by another manager on the same store, it changes nothing."""

    async def work(_clock):
        manager = await opened()
        rows = [row(), row(B)]
        before = copy.deepcopy(rows)
        assert await manager.migrate(rows[:1]) == 1
        await manager.update_usage("m1", A, tokens_used=5)
        assert await manager.migrate(rows) == 1
        assert rows == before
        if opened.lasts:
            await manager.shutdown()
            manager = await opened()
            assert await manager.migrate(rows) == 0
        assert await used(manager) == (4, 36, 8)
        await manager.shutdown()

    run(work)


def test_rows_of_other_keys_are_left_out(run, opened):
    """A key of no pool is neither adopted nor an error."""

    async def work(_clock):
        manager = await opened()
        assert await manager.migrate([row("stranger"), row(A, pool="vertex")]) == 0
        assert await used(manager) == (0, 0, 0)
        await manager.shutdown()

    run(work)


@pytest.mark.parametrize(
    "wrong, told",
    [
        ({"rpm": -1}, "row 1 cannot be carried over: expected a whole number from 0, not -1"),
        ({"pool": "third"}, "row 1 cannot be carried over: 'third' is not a valid Pool"),
        ({"last_used": "2026-03-01T12:00:00"}, "has no offset from UTC"),
        ({"last_used": "noon"}, "row 1 cannot be carried over"),
    ],
)
def test_a_row_that_cannot_be_read(run, opened, wrong, told):
    """It is named by its number, its key is not shown, and no row is carried over."""

    async def work(_clock):
        manager = await opened()
        with pytest.raises(InvalidInputError, match=told) as raised:
            await manager.migrate([row(), row(B, **wrong)])
        assert B not in str(raised.value)
        assert await used(manager) == (0, 0, 0)
        lacking = row()
        del lacking["tpm"]
        with pytest.raises(InvalidInputError, match="row 0 cannot be carried over: it lacks 'tpm'"):
            await manager.migrate([lacking])
        await manager.shutdown()

    run(work)


def test_a_key_that_was_never_used(run, opened):
    """A row without a time counts nothing and tells of no use."""

    async def work(_clock):
        manager = await opened()
        assert await manager.migrate([row(last_used=None)]) == 1
        assert await used(manager) == (0, 0, 0)
        assert (await manager.get_usage_stats(A, "m1"))["last_used"] is None
        await manager.shutdown()

    run(work)
