"""Calling the provider through the manager: one key after the other, each failure charged to its key."""

import asyncio

import pytest

from keyconform_reference import KeyManager, Limits, NoUsableKeyError, Options, UpstreamError

A, B, C = "call-key-aaaa", "call-key-bbbb", "call-key-cccc"


class Upstream:
    """Answers each call with the next of ``ends``: an error to raise, or None for ok; keeps the keys it was given."""

    def __init__(self, *ends):
        self.ends = list(ends)
        self.keys = []

    async def __call__(self, key):
        self.keys.append(key)
        end = self.ends.pop(0) if self.ends else None
        await asyncio.sleep(0)
        if end is not None:
            raise end
        return f"ok {key}"


async def manager_of(*keys, **options):
    """An open manager."""
    manager = KeyManager(keys, limits={"m1": Limits(rpm=5)}, default_model="m1", options=Options(**options))
    await manager.init()
    return manager


def test_the_first_key_that_works_answers():
    """A limited key is left for the next one, marked, and the call counts on both."""

    async def run():
        manager, upstream = await manager_of(A, B, C), Upstream(UpstreamError(429))
        assert await manager.call(upstream) == f"ok {B}"
        assert upstream.keys == [A, B]
        assert [(await manager.get_usage_stats(key, "m1"))["rpm"] for key in (A, B, C)] == [1, 1, 0]
        assert (await manager.get_state())["models"]["m1"]["regular_keys"]["exhausted"][0]["rpm"] == 1

    asyncio.run(run())


def test_no_key_is_tried_twice():
    """Where every key fails the last error comes out, and each key was asked once."""

    async def run():
        manager, upstream = await manager_of(A, B), Upstream(*(UpstreamError(status) for status in (500, 503, 500)))
        with pytest.raises(UpstreamError, match="503"):
            await manager.call(upstream)
        assert upstream.keys == [A, B]
        assert [await manager.get_fail_count(key) for key in (A, B)] == [1, 1]

    asyncio.run(run())


def test_a_call_stops_at_max_retries():
    """No more than ``max_retries`` other keys are tried."""

    async def run():
        manager = KeyManager([A, B, C], max_retries=1)
        await manager.init()
        upstream = Upstream(UpstreamError(500), UpstreamError(500))
        with pytest.raises(UpstreamError):
            await manager.call(upstream)
        assert upstream.keys == [A, B]

    asyncio.run(run())


@pytest.mark.parametrize("tenure", ["rotation", "lease"])
def test_an_error_of_the_callers_own_hurts_no_key(tenure):
    """What is no ``UpstreamError`` comes out at once; the key is valid and free."""

    async def run():
        manager, upstream = await manager_of(A, tenure=tenure), Upstream(*(ZeroDivisionError() for _ in range(4)))
        for _ in range(4):
            with pytest.raises(ZeroDivisionError):
                await manager.call(upstream)
        assert (await manager.is_key_valid(A), await manager.get_fail_count(A)) == (True, 0)
        assert await manager.call(upstream) == f"ok {A}"

    asyncio.run(run())


def test_without_a_key_nothing_is_called():
    """Where no key is usable the provider is not asked."""

    async def run():
        manager, upstream = await manager_of(), Upstream()
        with pytest.raises(NoUsableKeyError):
            await manager.call(upstream)
        assert upstream.keys == []

    asyncio.run(run())


def test_a_call_that_hangs_ends_by_the_deadline():
    """A provider that never answers is given up, and its lease is over."""

    async def run():
        manager = await manager_of(A, tenure="lease", deadline=0.01)

        async def hang(_key):
            await asyncio.get_running_loop().create_future()

        with pytest.raises(TimeoutError):
            await manager.call(hang)
        assert await manager.get_key() == A

    asyncio.run(run())


def test_many_keys_are_restored_at_once():
    """Each key is restored, and each that is in no pool has its error, under its own name."""

    async def run():
        manager = await manager_of(A, B)
        for key in (A, B):
            await manager.handle_api_failure(key, "m1", 0, status_code=401)
        told = await manager.restore_keys([A, C, B])
        assert {key: type(error).__name__ for key, error in told.items()} == {
            A: "NoneType",
            C: "UnknownKeyError",
            B: "NoneType",
        }
        assert C not in str(told[C])
        assert await manager.is_key_valid(A)
        assert await manager.is_key_valid(B)

    asyncio.run(run())
