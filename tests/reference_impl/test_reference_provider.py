"""The provider: one instance for a service."""

import asyncio

import pytest

import keyconform_reference
from keyconform_reference import (
    ConfigurationError,
    KeyManager,
    Limits,
    NotOpenError,
    Options,
    ProviderEmptyError,
    get_key_manager_instance,
    reset_key_manager_instance,
)

A, B, C, V = (f"provider-key-{name * 4}" for name in "abcv")


def run(function):
    """Run a scenario on a loop of its own: what belonged to an earlier loop is forgotten."""
    asyncio.run(function())


def test_without_keys_there_is_nothing_to_provide():
    """Before the first instance, and after a reset, asking without keys is a typed error."""

    async def scenario():
        with pytest.raises(ProviderEmptyError):
            await get_key_manager_instance()
        await get_key_manager_instance([A])
        await reset_key_manager_instance()
        with pytest.raises(ProviderEmptyError):
            await get_key_manager_instance()

    run(scenario)


def test_everyone_gets_the_one_open_instance():
    """Many first calls build one, and calls without keys answer it."""

    async def scenario():
        found = await asyncio.gather(*(get_key_manager_instance([A], [V]) for _ in range(8)))
        found.append(await get_key_manager_instance())
        assert len({id(manager) for manager in found}) == 1
        assert isinstance(found[0], KeyManager)
        assert await found[0].health()

    run(scenario)


def test_an_instance_that_could_not_be_opened_reaches_nobody():
    """After a failed opening there is no instance, and a later one works."""

    async def scenario():
        with pytest.raises(ConfigurationError):
            await get_key_manager_instance([], [], options=Options(empty_pools="refuse"))
        with pytest.raises(ProviderEmptyError):
            await get_key_manager_instance()
        assert await (await get_key_manager_instance([A])).get_key() == A

    run(scenario)


def test_other_keys_reload_the_instance():
    """Asked with other lists the instance serves these; a list that is not given stays; bad ones change nothing."""

    async def scenario():
        manager = await get_key_manager_instance([A, B], [V])
        await manager.handle_api_failure(B, "m", 3)
        assert await get_key_manager_instance([B, C]) is manager
        assert (await manager.get_keys_by_status())["valid_keys"] == {B: 1, C: 0}
        assert await manager.get_next_vertex_key() == V
        with pytest.raises(ConfigurationError):
            await get_key_manager_instance([""])
        assert (await manager.get_keys_by_status())["valid_keys"] == {B: 1, C: 0}

    run(scenario)


@pytest.mark.parametrize("reload, strikes", [("preserve", 1), ("reset", 0)])
def test_surviving_keys_follow_the_options_over_a_reset(reload, strikes):
    """After a reset and new lists, survivors are what ``reload`` says, and an old reference reaches the live pool."""

    async def scenario():
        old = await get_key_manager_instance([A, B], [], options=Options(reload=reload), limits={"m": Limits(rpm=9)})
        await old.handle_api_failure(B, "m", 3)
        await reset_key_manager_instance()
        await reset_key_manager_instance()
        with pytest.raises(NotOpenError):
            await old.get_key()
        with pytest.raises(ConfigurationError):
            await get_key_manager_instance([""], [])
        with pytest.raises(NotOpenError):
            await old.get_key()
        new = await get_key_manager_instance([B, C], [])
        assert (await new.get_keys_by_status())["valid_keys"] == {B: strikes, C: 0}
        assert (await new.get_usage_stats(B, "m"))["max_rpm"] == 9
        assert await old.get_key() in (B, C)

    run(scenario)


def test_new_settings_build_a_new_instance_after_a_reset():
    """Other settings than before take nothing over."""

    async def scenario():
        old = await get_key_manager_instance([A], [])
        await old.handle_api_failure(A, "m", 3)
        await reset_key_manager_instance()
        new = await get_key_manager_instance([A], [], max_failures=1)
        assert new is not old
        assert await new.get_fail_count(A) == 0

    run(scenario)


def test_a_closed_instance_is_opened_again():
    """Nobody is handed a closed instance."""

    async def scenario():
        manager = await get_key_manager_instance([A])
        await manager.shutdown()
        assert await (await get_key_manager_instance()).get_key() == A

    run(scenario)


def test_a_closed_loop_takes_its_instance_along():
    """On a new loop there is no instance of an earlier one."""
    run(lambda: get_key_manager_instance([A]))

    async def scenario():
        with pytest.raises(ProviderEmptyError):
            await get_key_manager_instance()

    run(scenario)


def test_the_public_names_are_sorted_and_there():
    """The package exports what it lists, in order, and does not know the plugin."""
    names = keyconform_reference.__all__
    assert names == sorted(names)
    assert all(hasattr(keyconform_reference, name) for name in names)
