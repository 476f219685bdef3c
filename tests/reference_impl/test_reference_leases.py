"""Leases: one holder at a time."""

import asyncio

import pytest
from freezegun import freeze_time

from keyconform_reference import KeyManager, Limits, Options

A, B = "lease-key-aaaa", "lease-key-bbbb"


async def manager_of(*keys, **options):
    """An open manager with leases."""
    manager = KeyManager(
        keys, limits={"m1": Limits(rpm=5)}, default_model="m1", options=Options(tenure="lease", **options)
    )
    await manager.init()
    return manager


def test_a_key_has_one_holder():
    """A held key is served for no model until it is released."""

    async def run():
        manager = await manager_of(A, B)
        first, second = await manager.acquire_lease(), await manager.acquire_lease("other")
        assert {first.key, second.key} == {A, B}
        assert await manager.acquire_lease() is None
        assert await manager.get_key("other") == await manager.get_random_valid_key() == ""
        assert await manager.release(second)
        assert (await manager.acquire_lease()).key == second.key

    asyncio.run(run())


def test_a_second_release_frees_nothing():
    """Releasing twice, or a lease that another holder has now, is answered False."""

    async def run():
        manager = await manager_of(A)
        first = await manager.acquire_lease()
        assert await manager.release(first)
        assert not await manager.release(first)
        second = await manager.acquire_lease()
        assert not await manager.release(first)
        assert await manager.get_key() == ""
        assert await manager.release(second)

    asyncio.run(run())


def test_a_lease_ends_at_its_ttl_and_not_before():
    """An abandoned lease is free again after its time, and its late release frees nothing."""

    async def run(clock):
        manager = await manager_of(A, lease_ttl=30)
        lost = await manager.acquire_lease()
        clock.tick(29.9)
        assert await manager.acquire_lease() is None
        clock.tick(0.1)
        found = await manager.acquire_lease()
        assert found.expires_at == lost.expires_at + 30
        assert not await manager.release(lost)
        assert await manager.acquire_lease() is None

    with freeze_time("2026-03-01 12:00:00") as clock:
        asyncio.run(run(clock))


def test_a_report_gives_the_lease_back_where_it_should():
    """Under ``on-report`` a report frees the key, but not that of a holder who came later; else it frees nothing."""

    async def run():
        manager = await manager_of(A, release="on-report", lease_ttl=30)
        lost = await manager.acquire_lease()
        await manager.update_usage("m1", A)
        assert await manager.get_key() == A
        assert await manager.handle_api_failure(A, "m1", 3, status_code=400) == ""
        held = await manager.acquire_lease()
        assert await manager.update_usage("m1", A, lease=lost)
        assert await manager.acquire_lease() is None
        assert await manager.update_usage("m1", A, lease=held)
        assert await manager.handle_api_failure(A, "m1", 0, status_code=400) == A
        explicit = await manager_of(A)
        await explicit.acquire_lease()
        await explicit.update_usage("m1", A)
        assert await explicit.get_key() == ""

    with freeze_time("2026-03-01 12:00:00"):
        asyncio.run(run())


def test_a_bare_key_is_released_by_its_name():
    """Keys that were handed out as text are held too, and given back by name once."""

    async def run():
        manager = await manager_of(A)
        assert await manager.get_key() == A
        assert await manager.get_key() == ""
        assert await manager.release(A)
        assert not await manager.release(A)
        lease = await manager.acquire_lease()
        assert not await manager.release(A)
        assert await manager.release(lease)

    asyncio.run(run())


@pytest.mark.parametrize("fault", [None, ValueError, asyncio.CancelledError])
def test_a_block_gives_its_key_back(fault):
    """``async with manager.lease()`` releases, however the block ends."""

    async def run():
        manager = await manager_of(A)
        try:
            async with manager.lease("m1") as key:
                assert key == A
                async with manager.lease("m1") as none:
                    assert none == ""
                if fault is not None:
                    raise fault
        except (ValueError, asyncio.CancelledError):
            assert fault is not None
        assert await manager.get_key() == A

    asyncio.run(run())


def test_a_block_survives_the_closing_of_the_manager():
    """A lease that ends after ``shutdown`` ends quietly."""

    async def run():
        manager = await manager_of(A)
        async with manager.lease():
            await manager.shutdown()

    asyncio.run(run())


def test_a_release_gives_back_what_was_reserved():
    """A lease that is released without a report has used no quota."""

    async def run():
        manager = await manager_of(A)
        for _ in range(12):
            assert await manager.release(await manager.acquire_lease())
        for _ in range(5):
            lease = await manager.acquire_lease()
            assert await manager.update_usage("m1", A)
            assert await manager.release(lease)
        assert await manager.acquire_lease() is None

    with freeze_time("2026-03-01 12:00:00"):
        asyncio.run(run())


@pytest.mark.parametrize("reload", ["preserve", "reset"])
def test_a_reload_leaves_leases_alone(reload):
    """A surviving key stays held over a reload; the lease of a removed key ends quietly."""

    async def run():
        manager = await manager_of(A, B, reload=reload)
        first, second = await manager.acquire_lease(), await manager.acquire_lease()
        await manager.reinitialize([A, A], [])
        assert await manager.acquire_lease() is None
        assert not await manager.release(second)
        assert await manager.release(first)
        assert (await manager.acquire_lease()).key == A

    asyncio.run(run())


def test_a_fallback_breaks_no_lease():
    """Under ``fallback`` a held key is not handed to a second holder."""

    async def run():
        manager = await manager_of(A, B, exhaustion="fallback")
        await manager.handle_api_failure(B, "m1", 3, status_code=401)
        assert (await manager.acquire_lease()).key == A
        assert (await manager.acquire_lease()).key == B
        assert await manager.acquire_lease() is None

    asyncio.run(run())
