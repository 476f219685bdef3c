"""Factories: from a pool to a manager."""

import asyncio
import dataclasses
import inspect
import types

from keyconform_reference import Limits, Options, make_manager, make_manager_with

POOL = types.SimpleNamespace(
    api_keys=("factory-key-a", "factory-key-b"),
    vertex_api_keys=("factory-key-v",),
    limits={"m1": types.SimpleNamespace(rpm=1, tpm=None, rpd=None)},
    default_model="m1",
    max_failures=1,
    max_retries=2,
    paid_key="paid",
    storage=None,
    limits_source=None,
)


def test_a_pool_becomes_a_manager():
    """Keys, limits, default model and numbers are those of the pool."""

    async def run():
        manager = make_manager(POOL)
        await manager.init()
        assert await manager.get_key() == "factory-key-a"
        assert await manager.get_next_working_vertex_key() == "factory-key-v"
        assert await manager.get_paid_key() == "paid"
        assert await manager.handle_api_failure("factory-key-a", "m1", 1) == "factory-key-b"
        assert await manager.handle_api_failure("factory-key-b", "m1", 2) == ""
        assert not (await manager.get_keys_by_status())["valid_keys"]

    asyncio.run(run())


def test_each_call_makes_a_fresh_manager():
    """Nothing of one manager reaches the next."""

    async def run():
        first, second = make_manager(POOL), make_manager(POOL)
        await first.init()
        await second.init()
        await first.handle_api_failure("factory-key-a", "m1", 0)
        assert await second.get_fail_count("factory-key-a") == 0

    asyncio.run(run())


def test_a_factory_takes_one_pool_and_tells_its_policies():
    """A factory has the one parameter, and its options as a dict of its own."""
    for factory in (make_manager, make_manager_with(Options())):
        assert list(inspect.signature(factory).parameters) == ["pool"]
    factory = make_manager_with(Options(exhaustion="fallback", quota_recovery=(5, 10)))
    assert factory.policies == dataclasses.asdict(factory.options)
    assert factory.policies["quota_recovery"] == (5, 10)
    factory.policies.clear()
    assert factory.policies["exhaustion"] == "fallback"


def test_the_limits_of_a_pool_need_only_the_three_numbers():
    """Any object with rpm, tpm and rpd is limits."""
    model = make_manager(POOL)._desk.models.resolve("m1")
    assert model.limits == Limits(rpm=1)
