"""The stores: what they forget, and what they make of the clock. Each test runs in memory and on SQLite."""

import asyncio
import contextlib
import time
import types
import zoneinfo
from datetime import datetime, timedelta
from unittest import mock

import pytest

from keyconform_reference import KeyManager, Limits, Options
from keyconform_reference.embedded import store_in
from keyconform_reference.stores import MemoryStore

A, B = "store-key-aaaa", "store-key-bbbb"
START = 1_772_366_430.0  # 2026-03-01 12:00:30 UTC


class Clock:
    """A wall clock that can be set, and a steady one that only goes on."""

    def __init__(self):
        self.wall, self.steady = START, 500.0

    def tick(self, seconds):
        self.wall += seconds
        self.steady += seconds

    @contextlib.contextmanager
    def patched(self):
        stand_in = types.SimpleNamespace(time=lambda: self.wall, monotonic=lambda: self.steady)
        with (
            mock.patch("keyconform_reference.stores.memory.time", stand_in),
            mock.patch("keyconform_reference.stores.sql.clock.time", stand_in),
        ):
            yield


class Opening:
    """Opens managers on the store under test, and closes them again."""

    def __init__(self, store):
        self.store = store
        self.managers = []

    async def __call__(self, *keys, limits=None, **options):
        limits = {"m1": Limits(rpm=2, rpd=3)} if limits is None else limits
        options = Options(**options)
        manager = KeyManager(keys, limits=limits, default_model="m1", options=options, store=self.store)
        self.managers.append(manager)
        await manager.init()
        return manager

    def played(self, story):
        """Answer what a coroutine answers; then nothing is open any more."""

        async def run():
            try:
                return await story
            finally:
                for manager in self.managers:
                    await manager.shutdown()

        return asyncio.run(run())


@pytest.fixture(params=["memory", "sqlite"])
def manager_of(request, tmp_path):
    """A function that opens a manager, in memory and on SQLite."""
    return Opening(MemoryStore if request.param == "memory" else store_in(tmp_path))


def in_memory(manager_of):
    return manager_of.store is MemoryStore


async def lanes(manager):
    """How many models something is stored for, in the regular pool."""
    store = manager._desk.store
    if isinstance(store, MemoryStore):
        return len(store._sides["regular"].lanes)
    return await store._step(lambda ledger: ledger.connection.exec_driver_sql(LANES).scalar_one(), writes=False)


LANES = "SELECT count(*) FROM keyconform_lanes WHERE pool = 'regular'"


async def exhaust(manager):
    """Use the minute up, and mark and strike another key out for a while."""
    for _ in range(2):
        await manager.update_usage("m1", A)
    await manager.handle_api_failure(B, "m1", 3, status_code=429)


@pytest.mark.parametrize("kind", ["fixed", "rolling", "bucket"])
@pytest.mark.parametrize("look", [False, True], ids=["unseen", "seen"])
def test_a_clock_set_back_keeps_nothing_out_for_longer(manager_of, kind, look):
    """After a step of two hours back nothing raises, and a minute later the keys are free."""

    async def run():
        manager = await manager_of(A, B, minute_window=kind)
        await exhaust(manager)
        clock.wall -= 7_200
        if look:
            assert await manager.get_key() == ""
            assert (await manager.get_usage_stats(A, "m1"))["rpm"] == 2
        clock.tick(61)
        assert {await manager.get_key() for _ in range(2)} == {A, B}
        assert (await manager.get_usage_stats(A, "m1"))["rpd"] == 2

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


def test_a_steady_clock_that_goes_back_too_keeps_nothing_out(manager_of):
    """Where no clock can tell how long it was, a minute counts as over."""

    async def run():
        manager = await manager_of(A, B)
        await exhaust(manager)
        clock.tick(-7_200)
        assert {await manager.get_key() for _ in range(2)} == {A, B}
        assert (await manager.get_usage_stats(A, "m1"))["rpd"] == 2

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


def test_a_clock_set_back_keeps_waits_as_long_as_they_were(manager_of):
    """A wait of a minute and a half lasts that long by the steady clock, whatever the wall shows."""

    async def run():
        manager = await manager_of(A, strike_recovery=90)
        for _ in range(3):
            await manager.handle_api_failure(A, "m1", 3)
        clock.tick(30)
        clock.wall -= 7_200
        clock.tick(59)
        assert await manager.get_key() == ""
        clock.tick(1)
        assert await manager.get_key() == A

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


def test_the_day_turns_at_each_midnight_of_its_zone(manager_of):
    """Also in the weeks the clocks change, the day's requests are free at midnight and not a second before."""

    async def run():
        zone = zoneinfo.ZoneInfo("America/Los_Angeles")
        manager = await manager_of(A, limits={"m1": Limits(rpd=1)})
        for first in (datetime(2026, 3, 6, tzinfo=zone), datetime(2026, 10, 30, tzinfo=zone)):
            for number in range(4):
                midnight = first + timedelta(days=number)
                clock.wall = midnight.timestamp()
                assert await manager.get_key() == A
                assert await manager.update_usage("m1", A)
                assert await manager.get_key() == ""
                clock.wall = (midnight + timedelta(days=1)).timestamp() - 1
                assert await manager.get_key() == ""

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


def test_each_429_keeps_the_key_out_for_the_next_step(manager_of):
    """Under steps, a 429 at the end of the one before lasts for the next step, the last one again and again."""

    async def run():
        manager = await manager_of(A, limits={}, quota_recovery=(10, 60, 300))
        for step in (10, 60, 300, 300, 300):
            await manager.handle_api_failure(A, "m1", 3, status_code=429)
            clock.tick(step - 1)
            assert await manager.get_key() == ""
            clock.tick(1)
            assert await manager.get_key() == A

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


@pytest.mark.parametrize("sweep", [False, True], ids=["by use", "by maintenance"])
def test_models_of_the_fly_are_forgotten_when_their_windows_have_passed(manager_of, sweep):
    """Ever new models do not pile up, while what still has an effect stays."""

    async def run():
        many = 200 if in_memory(manager_of) else 20
        manager = await manager_of(A, B)
        await manager.handle_api_failure(A, "marked", 3, status_code=429, retry_after=10 * 86_400)
        for number in range(many):
            assert await manager.update_usage(f"once-{number}", A)
            assert await manager.get_key(f"twice-{number}")
        clock.tick(2 * 86_400)
        if sweep:
            await manager.run_maintenance()
        else:
            for number in range(2 * many):
                await manager.get_key(f"new-{number}")
        models = set((await manager.get_state())["models"])
        assert models == {"m1", "marked"}
        assert {await manager.get_key("marked") for _ in range(3)} == {B}
        assert await lanes(manager) <= (2 if sweep else 2 * many + 10)

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


def test_reading_adds_nothing(manager_of):
    """Usage of models nobody used, and of keys nobody knows, leaves the store as it was."""

    async def run():
        manager = await manager_of(A)
        for number in range(50):
            await manager.get_usage_stats(A, f"model-{number}")
            await manager.get_usage_stats(f"key-{number}", "m1")
            await manager.update_usage(f"model-{number}", f"key-{number}")
        assert not await lanes(manager)

    manager_of.played(run())


@pytest.mark.parametrize("selection", ["round-robin", "least-used", "most-left"])
def test_after_a_minute_every_key_is_served_once(manager_of, selection):
    """A round of acquires serves each key once, also when a thousand come back at the same instant."""

    async def run():
        keys = [f"round-key-{number:05}" for number in range(1_000 if in_memory(manager_of) else 20)]
        manager = await manager_of(*keys, limits={"m1": Limits(rpm=1)}, selection=selection)
        for _ in range(3):
            assert sorted([await manager.get_key() for _ in keys]) == keys
            assert await manager.get_key() == ""
            for key in keys:
                assert await manager.update_usage("m1", key)
            clock.tick(60)

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


@pytest.mark.parametrize("selection, used", [("least-used", {A: 4, B: 0}), ("most-left", {A: 4, B: 0})])
def test_the_least_used_key_is_served_first(manager_of, selection, used):
    """Reported keys are served by their usage; what is not reported yet comes last."""

    async def run():
        manager = await manager_of(A, B, limits={"m1": Limits(rpm=99)}, selection=selection)
        for key, count in used.items():
            for _ in range(count):
                await manager.update_usage("m1", key)
        served = []
        for _ in range(4):
            served.append(await manager.get_key())
            await manager.update_usage("m1", served[-1])
        assert served == [B] * 4
        assert {await manager.get_key(), await manager.get_key()} == {A, B}

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


def test_most_left_looks_at_every_limit(manager_of):
    """A key that spent most of its tokens is served after one that spent few, whatever the requests."""

    async def run():
        manager = await manager_of(A, B, limits={"m1": Limits(rpm=10, tpm=100)}, selection="most-left")
        await manager.update_usage("m1", A, tokens_used=90)
        for _ in range(4):
            await manager.update_usage("m1", B)
        assert await manager.get_key() == B

    manager_of.played(run())


def test_quota_of_acquires_is_exact(manager_of):
    """Counted on acquire, parallel acquires get no more than the limit, and refused ones spend nothing."""

    async def run():
        manager = await manager_of(A, limits={"m1": Limits(rpm=5)}, counted_on="acquire")
        for _ in range(2):
            served = await asyncio.gather(*(manager.get_key() for _ in range(9)))
            assert sorted(served) == [""] * 4 + [A] * 5
            assert await manager.update_usage("m1", A, tokens_used=7)
            usage = await manager.get_usage_stats(A, "m1")
            assert (usage["rpm"], usage["tpm"]) == (5, 7)
            clock.tick(60)

    clock = Clock()
    with clock.patched():
        manager_of.played(run())


def test_uncounted_usage_limits_nothing(manager_of):
    """Under ``counted_on="none"`` no limit applies and nothing is counted."""

    async def run():
        manager = await manager_of(A, limits={"m1": Limits(rpm=1, rpd=0)}, counted_on="none")
        for _ in range(5):
            assert await manager.get_key() == A
            assert await manager.update_usage("m1", A, tokens_used=7) is True
        usage = await manager.get_usage_stats(A, "m1")
        assert (usage["rpm"], usage["tpm"]) == (0, 0)

    manager_of.played(run())


def test_time_is_read_when_it_is_needed(manager_of):
    """The clock is that of the ``time`` module at each call."""
    with mock.patch.object(time, "time", return_value=START):

        async def run():
            manager = await manager_of(A)
            await manager.update_usage("m1", A)
            return (await manager.get_usage_stats(A, "m1"))["last_used"]

        assert manager_of.played(run()) == "2026-03-01T12:00:30+00:00"
