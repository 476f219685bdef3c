"""Waiting for a key under ``exhaustion="blocks"``."""

import asyncio
import time

import pytest

from keyconform_reference import KeyManager, Limits, NotOpenError, Options
from keyconform_reference.stores import MemoryStore

BLOCKS = Options(exhaustion="blocks", tenure="lease", deadline=30)


async def manager_of(*keys, options=BLOCKS, **settings):
    """An open manager."""
    manager = KeyManager(keys, options=options, default_model="m1", **settings)
    await manager.init()
    return manager


async def waiting(*calls):
    """Start the calls and let each of them come to its wait."""
    tasks = [asyncio.create_task(call) for call in calls]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


def test_a_waiter_is_answered_when_the_key_comes_free():
    """A released key goes to who waits for it, at once."""

    async def scenario():
        manager = await manager_of("only-key")
        lease = await manager.acquire_lease()
        (waiter,) = await waiting(manager.acquire_lease())
        assert not waiter.done()
        assert await manager.release(lease)
        began = time.monotonic()
        second = await waiter
        assert time.monotonic() - began < 1
        assert second.key == "only-key"
        assert not await manager.release(lease)

    asyncio.run(scenario())


def test_first_come_is_first_served():
    """Waiters are served in the order they came, and nobody who comes later gets in between."""

    async def scenario():
        manager = await manager_of("only-key")
        lease = await manager.acquire_lease()
        waiters = await waiting(*(manager.acquire_lease() for _ in range(3)))
        for waiter in waiters:
            await manager.release(lease)
            (late,) = await waiting(manager.acquire_lease())
            lease = await waiter
            assert not late.done()
            late.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_cancelled_waiter_leaves_the_key_to_the_next(moment):
    """Cancelled before the key came free, or in the instant after, a waiter loses no key."""

    async def scenario():
        manager = await manager_of("only-key")
        lease = await manager.acquire_lease()
        first, second = await waiting(manager.acquire_lease(), manager.acquire_lease())
        if moment == "before":
            first.cancel()
            await manager.release(lease)
        else:
            await manager.release(lease)
            first.cancel()
        assert (await second).key == "only-key"
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not len(manager._desk._line)

    asyncio.run(scenario())


def test_a_cancelled_wait_is_not_counted():
    """A key that was given to a cancelled waiter has spent nothing."""
    options = Options(exhaustion="blocks", tenure="lease", counted_on="acquire")

    async def scenario():
        manager = await manager_of("only-key", options=options, limits={"m1": Limits(rpm=9)})
        lease = await manager.acquire_lease()
        (waiter,) = await waiting(manager.acquire_lease())
        await manager.release(lease)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert (await manager.get_usage_stats("only-key", "m1"))["rpm"] == 1
        assert await manager.get_key() == "only-key"

    asyncio.run(scenario())


def test_a_wait_ends_at_the_deadline():
    """With nothing to come, the sentinel is answered at the deadline."""

    async def scenario():
        manager = await manager_of("only-key", options=Options(exhaustion="blocks", deadline=0.05))
        await manager.handle_api_failure("only-key", "m1", 3, status_code=401)
        began = time.monotonic()
        assert await manager.get_key() == ""
        assert 0.04 <= time.monotonic() - began < 3

    asyncio.run(scenario())


def test_a_waiter_is_answered_when_a_wait_of_the_key_ends():
    """A key that comes back by itself is served at that time, not at the deadline; a drawn one too."""

    async def scenario():
        manager = await manager_of("only-key", options=Options(exhaustion="blocks", deadline=60))
        for acquire in (manager.get_key, manager.get_random_valid_key):
            await manager.handle_api_failure("only-key", "m1", 3, status_code=429, retry_after=0.05)
            assert await asyncio.wait_for(acquire(), 10) == "only-key"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "repair", ["reset_key_failure_count", "reactivate_key", "reset_failure_counts", "reinitialize"]
)
def test_a_repair_serves_those_who_wait(repair):
    """Whatever brings a key back, waiters hear of it."""

    async def scenario():
        manager = await manager_of("only-key", options=Options(exhaustion="blocks", deadline=60, reload="reset"))
        await manager.handle_api_failure("only-key", "m1", 3, status_code=401)
        (waiter,) = await waiting(manager.get_key())
        arguments = {"reinitialize": (["only-key"], []), "reset_failure_counts": ()}
        await getattr(manager, repair)(*arguments.get(repair, ("only-key",)))
        assert await asyncio.wait_for(waiter, 10) == "only-key"

    asyncio.run(scenario())


def test_a_store_that_suspends_loses_no_key_to_a_waiter_that_left():
    """A key that is fetched for a waiter while that one goes away is put back for the next."""

    class Suspending(MemoryStore):
        async def take(self, *ask, **choice):
            lease = await super().take(*ask, **choice)
            await asyncio.sleep(0)
            return lease

    async def scenario():
        manager = await manager_of("only-key", store=Suspending)
        lease = await manager.acquire_lease()
        (waiter,) = await waiting(manager.acquire_lease())
        release = asyncio.create_task(manager.release(lease))
        await asyncio.sleep(0)
        waiter.cancel()
        assert await release
        with pytest.raises(asyncio.CancelledError):
            await waiter
        assert (await manager.acquire_lease()).key == "only-key"

    asyncio.run(scenario())


def test_an_empty_pool_is_answered_at_once():
    """Nobody waits for a pool without keys."""

    async def scenario():
        manager = await manager_of()
        assert await asyncio.wait_for(manager.get_key(), 1) == ""
        assert await asyncio.wait_for(manager.get_random_valid_key(), 1) == ""

    asyncio.run(scenario())


def test_closing_ends_every_wait():
    """Who waits when the manager is closed gets a typed error."""

    async def scenario():
        manager = await manager_of("only-key")
        await manager.acquire_lease()
        waiters = await waiting(manager.get_key(), manager.get_key())
        await manager.shutdown()
        for waiter in waiters:
            with pytest.raises(NotOpenError):
                await waiter

    asyncio.run(scenario())
