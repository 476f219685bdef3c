"""From a factory to an opened manager and back: every kind of factory, and what is said where one fails."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import types

import pytest

from pytest_keyconform.adapters.base import Adapter
from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.resolve import OpeningFailed, resolve
from pytest_keyconform.errors import TargetError
from pytest_keyconform.workload import Given

POOL = Keyring().pool_of(Given())


class Manager:
    """A small audited manager that writes down what happens to it."""

    def __init__(self, api_keys, vertex_api_keys=None, default_model="?"):
        self.given = (api_keys, vertex_api_keys, default_model)
        self.calls = []

    async def init(self):
        self.calls.append("init")
        return True

    async def shutdown(self):
        self.calls.append("shutdown")

    async def get_key(self, model_name=None):
        return self.given[0][0]

    async def get_keys_by_status(self):
        return {}

    def __enter__(self):
        self.calls.append("entered")
        return self

    def __exit__(self, *details):
        self.calls.append("left")


@pytest.fixture
def target(monkeypatch, tmp_path):
    """Answer a function that makes a target of a factory."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def made(factory):
        module = types.ModuleType("app_factory")
        module.make = factory
        monkeypatch.setitem(sys.modules, "app_factory", module)
        return resolve("app_factory:make", roots=[tmp_path])

    return made


def plain(pool):
    return Manager(pool.api_keys)


async def coroutine(pool):
    await asyncio.sleep(0)
    return Manager(pool.api_keys)


@contextlib.contextmanager
def context(pool):
    manager = Manager(pool.api_keys)
    yield manager
    manager.calls.append("context left")


@contextlib.asynccontextmanager
async def async_context(pool):
    manager = Manager(pool.api_keys)
    yield manager
    manager.calls.append("context left")


class Callable:
    def __call__(self, pool):
        return Manager(pool.api_keys)


@pytest.mark.parametrize(
    "factory, calls",
    [
        (Manager, ["init", "shutdown"]),
        (plain, ["init", "shutdown"]),
        (coroutine, ["init", "shutdown"]),
        (functools.partial(plain), ["init", "shutdown"]),
        (Callable(), ["init", "shutdown"]),
        (context, ["init", "shutdown", "context left"]),
        (async_context, ["init", "shutdown", "context left"]),
    ],
)
def test_every_kind_of_factory_makes_an_open_manager(target, factory, calls):
    """A manager is made, entered where its factory is a context manager, opened, and closed again in turn."""

    async def main():
        opened = await target(factory).opened(POOL)
        assert opened.answer is True
        assert opened.connection.manager is opened.manager
        await opened.close()
        return opened.manager.calls

    assert asyncio.run(main()) == calls


def test_fields_are_handed_over_by_name_and_lists_are_fresh(target):
    """A constructor gets the fields it names, its keys as a list of its own."""
    first, second = (asyncio.run(target(Manager).made(POOL)).manager for _ in range(2))
    assert first.given == (list(POOL.api_keys), list(POOL.vertex_api_keys), "m1")
    assert first.given[0] is not second.given[0]
    assert first.calls == []


def test_claims_know_what_a_factory_was_given(target):
    """A factory that takes fields is known to have been given no others."""
    opened = asyncio.run(target(Manager).made(POOL))
    assert opened.connection.claims.given == {"api_keys", "vertex_api_keys", "default_model"}
    assert asyncio.run(target(plain).made(POOL)).connection.claims.given is None


def test_an_adapter_is_a_target_as_it_stands(target):
    """An `Adapter` subclass is made on the pool, and one that is a context manager itself is not entered."""

    class Mine(Adapter):
        def acquire(self):
            return ""

        def __enter__(self):
            raise AssertionError

        def __exit__(self, *details):
            raise AssertionError

    opened = asyncio.run(target(Mine).opened(POOL))
    assert opened.manager.pool is POOL
    assert opened.answer is None
    asyncio.run(opened.close())


def test_a_synchronous_manager_is_opened_without_a_loop(target):
    """Opening and closing suspend only where the backend does."""

    class Plain(Adapter):
        def open(self):
            return None

        def acquire(self):
            return ""

    main = target(Plain).opened(POOL)
    with pytest.raises(StopIteration) as done:
        main.send(None)
    with pytest.raises(StopIteration):
        done.value.value.close().send(None)


def test_what_cannot_be_bound_is_said_with_the_target(target):
    """A factory that makes something else is a bad target, and a context that was entered is left."""
    left = []

    @contextlib.contextmanager
    def empty(pool):
        yield object()
        left.append(pool)

    for factory in (lambda pool: object(), empty):
        with pytest.raises(TargetError, match=r"app_factory:make: builtins.object has not the audited surface"):
            asyncio.run(target(factory).opened(POOL))
    assert left == [POOL]


def fails(error):
    def factory(pool):
        raise error

    return factory


def test_a_factory_that_raises_is_told_in_one_line_without_keys(target):
    """What a factory raises comes out with its cause, its place, and no key."""
    with pytest.raises(OpeningFailed) as caught:
        asyncio.run(target(fails(RuntimeError(f"bad\nkey {POOL.api_keys[1]}"))).opened(POOL))
    text = str(caught.value)
    assert text.startswith("app_factory:make: the factory raised RuntimeError: bad key key-2 at ")
    assert "test_adapters_opening.py:" in text
    assert (caught.value.stage, caught.value.opened) == ("factory", None)
    assert isinstance(caught.value.cause, RuntimeError)


def test_a_factory_that_exits_does_not_end_the_run(target):
    """`sys.exit` in a factory is a failure like another."""
    with pytest.raises(OpeningFailed, match="the factory raised SystemExit: bye"):
        asyncio.run(target(fails(SystemExit("bye"))).opened(POOL))


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError(), TargetError("ours")])
def test_an_interrupt_while_opening_passes_through(target, error):
    """An interrupt, a cancellation and errors of the harness are no failure of the backend."""
    with pytest.raises(type(error)):
        target(fails(error)).opened(POOL).send(None)


def test_a_manager_that_cannot_be_opened_is_handed_out_with_the_failure(target):
    """Where opening raises, the half-open manager is at hand, to look at and to close."""

    class Broken(Manager):
        async def init(self):
            raise OSError("store down")

    with pytest.raises(OpeningFailed, match="the opening raised OSError: store down at") as caught:
        asyncio.run(target(Broken).opened(POOL))
    assert caught.value.stage == "opening"
    asyncio.run(caught.value.opened.close())
    assert caught.value.opened.manager.calls == ["shutdown"]


def test_a_context_is_left_also_where_closing_raises(target):
    """What closing raises comes out once the context of the factory was left."""
    left = []

    class Broken(Manager):
        async def shutdown(self):
            raise OSError

    @contextlib.contextmanager
    def make(pool):
        with contextlib.suppress(ZeroDivisionError):
            try:
                yield Broken(pool.api_keys)
            finally:
                left.append(True)

    async def main():
        opened = await target(make).opened(POOL)
        with pytest.raises(OSError, match=r"^$"):
            await opened.close()

    asyncio.run(main())
    assert left == [True]
