"""Binding a manager by its audited names, and calling it the one way."""

from __future__ import annotations

import asyncio
import types

import pytest

from pytest_keyconform.adapters.base import Lease
from pytest_keyconform.adapters.connection import connect
from pytest_keyconform.errors import TargetError, Unsupported
from pytest_keyconform.operation import Claims
from pytest_keyconform.spec.pool import Pool

POOL = Pool(api_keys=("k1", "k2"), vertex_api_keys=("v1", "k2"))
BOTH = {"regular", "vertex"}


class Old:
    """A v1 manager: every pool has methods of its own."""

    async def get_next_working_key(self, model_name=None):
        return ("working", model_name)

    async def get_next_working_vertex_key(self):
        return ("vertex working",)

    async def get_first_valid_key(self):
        return ("first",)

    async def handle_api_failure(self, api_key, model_name, retries):
        return ("failure", api_key, model_name, retries)

    async def handle_vertex_api_failure(self, api_key, retries):
        return ("vertex failure", api_key, retries)

    async def get_fail_count(self, key):
        return ("count", key)

    async def get_vertex_fail_count(self, key):
        return ("vertex count", key)

    async def reset_key_failure_count(self, key):
        return ("reset", key)

    async def reset_failure_counts(self):
        return ("reset all",)

    async def reset_vertex_failure_counts(self):
        return ("vertex reset all",)

    async def reactivate_key(self, key, model_name=None):
        return ("reactivate", key, model_name)

    async def get_keys_by_status(self):
        return ("status",)

    async def get_vertex_keys_by_status(self):
        return ("vertex status",)


class New:
    """A v2 manager: synchronous, the pool is an argument."""

    def init(self) -> None:
        self.ready = True

    def shutdown(self):
        self.ready = False

    def get_key(self, model_name=None, is_vertex_key=False):
        return ("key", model_name, is_vertex_key)

    def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        return ("failure", api_key, model_name, retries, is_vertex_key, status_code)

    def handle_vertex_api_failure(self, api_key, retries, model_name=None):
        return ("vertex failure", api_key, retries, model_name)

    def update_usage(self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None):
        return ("usage", model_name, key_value, is_vertex_key, tokens_used, error, error_type)

    def get_usage_stats(self, api_key, model_name):
        return {"rpm": 1}

    def reset_key_failure_count(self, key):
        return ("reset", key)

    def reset_vertex_key_failure_count(self, key):
        return ("vertex reset", key)

    def reset_failure_counts(self):
        return ("reset all",)

    def reset_vertex_failure_counts(self):
        return ("vertex reset all",)

    def reinitialize(self, api_keys, vertex_api_keys):
        return ("reload", api_keys, vertex_api_keys)


def ask(manager, name, **arguments):
    """Call one operation of a manager and await it if need be."""

    async def settled():
        answer = connect(manager, POOL).invoke(name, arguments)
        return await answer if asyncio.iscoroutine(answer) else answer

    return asyncio.run(settled())


@pytest.mark.parametrize(
    "manager, name, arguments, answer",
    [
        (Old(), "acquire", {"model": "m1", "pool": "regular"}, ("working", "m1")),
        (Old(), "acquire", {"model": "m1", "pool": "vertex"}, ("vertex working",)),
        (Old(), "acquire", {"model": None, "form": "get_first_valid_key"}, ("first",)),
        (Old(), "fail", {"lease": "k1", "model": "m1", "retries": 1, "status": 500}, ("failure", "k1", "m1", 1)),
        (Old(), "fail", {"lease": "v1", "retries": 0, "pool": "vertex"}, ("vertex failure", "v1", 0)),
        (Old(), "failures", {"key": "v1", "pool": "vertex"}, ("vertex count", "v1")),
        (Old(), "reset", {"key": "k1"}, ("reset", "k1")),
        (Old(), "reset_all", {}, ("vertex reset all",)),
        (Old(), "reset_all", {"form": "reset_failure_counts"}, ("reset all",)),
        (Old(), "reactivate", {"key": "v1"}, ("reactivate", "v1", None)),
        (Old(), "status", {}, ("status",)),
        (Old(), "status", {"pool": "vertex"}, ("vertex status",)),
        (New(), "acquire", {"model": "m1", "pool": "vertex"}, ("key", "m1", True)),
        (New(), "acquire", {"model": "m1"}, ("key", "m1", False)),
        (
            New(),
            "fail",
            {"lease": Lease("v1"), "model": "m", "retries": 1, "pool": "vertex", "status": 401},
            ("failure", "v1", "m", 1, True, 401),
        ),
        (
            New(),
            "fail",
            {"lease": "v1", "model": "m", "retries": 1, "pool": "vertex", "positional": True},
            ("vertex failure", "v1", 1, None),
        ),
        (New(), "record", {"lease": "v1", "model": "m"}, ("usage", "m", "v1", True, 0, False, None)),
        (New(), "record", {"lease": "k2", "model": "m"}, ("usage", "m", "k2", False, 0, False, None)),
        (New(), "reset", {"key": "v1"}, ("vertex reset", "v1")),
        (New(), "reset", {"key": "k2", "pool": "vertex"}, ("vertex reset", "k2")),
        (New(), "reset_all", {}, ("vertex reset all",)),
        (New(), "reload", {"api_keys": ["n"], "vertex_api_keys": []}, ("reload", ["n"], [])),
    ],
)
def test_a_step_reaches_the_audited_method_of_its_pool(manager, name, arguments, answer):
    """Each operation is called by the audited form for the pool that is asked about, or that its key is in."""
    assert ask(manager, name, **arguments) == answer


def test_both_pools_are_reset_where_both_can_be():
    """`reset_all` calls all there is, one after the other."""
    calls = []

    class Manager(New):
        def reset_failure_counts(self):
            calls.append("regular")

        async def reset_vertex_failure_counts(self):
            calls.append("vertex")

    class Turned(Manager):
        async def reset_failure_counts(self):
            calls.append("awaited")

    ask(Manager(), "reset_all")
    ask(Turned(), "reset_all")
    assert calls == ["regular", "vertex", "awaited", "vertex"]


@pytest.mark.parametrize(
    "manager, name, arguments, why",
    [
        (Old(), "record", {"lease": "k1"}, "no record"),
        (Old(), "reset", {"key": "v1"}, "no reset for the vertex pool"),
        (Old(), "acquire", {"form": "get_key"}, "no acquire as get_key for the regular pool"),
        (Old(), "fail", {"lease": "k1", "retries": 0, "status": 429}, "handle_api_failure takes no status"),
        (New(), "fail", {"lease": "k1", "status": 401, "positional": True}, "handle_api_failure takes no status"),
        (New(), "fail", {"lease": "k1", "retry_after": 5}, "handle_api_failure takes no retry_after"),
        (New(), "usage", {"key": "v1", "model": "m"}, "no usage for the vertex pool"),
    ],
)
def test_what_cannot_be_said_is_not_claimed(manager, name, arguments, why):
    """A step whose meaning would get lost on its way is refused instead of being called otherwise."""
    with pytest.raises(Unsupported, match=f"^{why}$"):
        ask(manager, name, **arguments)


def test_claims_name_the_forms_in_the_order_they_are_preferred():
    """The first form of an operation is the one that is used, and each says which pools it reaches."""
    claims = connect(Old(), POOL).claims
    names = [form.name for form in claims.operations["acquire"]]
    assert names == ["get_next_working_key", "get_next_working_vertex_key", "get_first_valid_key"]
    assert [form.name for form in claims.forms("fail", "vertex")] == ["handle_vertex_api_failure"]
    assert claims.forms("reactivate")[0].pools == BOTH
    assert claims.forms("reset", "vertex") == ()
    assert claims.takes("acquire", "model")
    assert not claims.takes("acquire", "model", pool="vertex")
    assert claims.operations["reset_all"][0].pools == BOTH
    assert claims.is_async
    assert not connect(New(), POOL).claims.is_async


def test_claims_say_what_the_factory_was_given():
    """What a factory cannot be given is known to the rules; all is given where nothing is said."""
    assert connect(New(), POOL, given=("api_keys",)).claims.given == {"api_keys"}
    assert connect(New(), POOL).claims.given is None
    assert isinstance(connect(New(), POOL).claims, Claims)


def test_opening_and_closing_are_found_under_their_audited_names():
    """`init` and `shutdown` open and close; `init` that promises None answers nothing to judge."""
    manager = New()
    connection = connect(manager, POOL)
    connection.invoke("open", {})
    assert manager.ready
    connection.invoke("close", {})
    assert not manager.ready
    assert not connection.claims.answers("open")


def test_keys_of_a_reload_are_known_by_their_pool():
    """After a reload, a key that came with it is found in its pool."""
    connection = connect(New(), POOL)
    connection.invoke("reload", {"api_keys": ["n1"], "vertex_api_keys": ["n2"]})
    assert connection.invoke("reset", {"key": "n2"}) == ("vertex reset", "n2")
    assert connection.invoke("reset", {"key": "n1"}) == ("reset", "n1")


def test_the_provider_is_found_in_the_module_of_the_factory():
    """The operations on the one instance are functions of the factory's module."""
    module = types.ModuleType("app.keys")
    module.get_key_manager_instance = lambda api_keys=None, vertex_api_keys=None: ("one", api_keys)
    module.reset_key_manager_instance = lambda: "gone"
    connection = connect(New(), POOL, module=module)
    assert connection.invoke("instance", {"api_keys": ["k1"]}) == ("one", ["k1"])
    assert connection.invoke("instance", {}) == ("one", None)
    assert connection.invoke("reset_instance", {}) == "gone"
    assert "app" in connection.packages


def test_a_lone_get_key_is_no_audited_surface():
    """`get_key` alone is too common a name to guess by: the message says what was found and what is missing."""
    manager = types.SimpleNamespace(get_key=lambda model_name: "k")
    with pytest.raises(
        TargetError, match=r"found get_key, missing a report or status \(update_usage, .*Adapter subclass"
    ):
        connect(manager, POOL)
    with pytest.raises(TargetError, match=r"found none of its methods, missing an acquire .* and a report"):
        connect(object(), POOL)


def test_a_method_that_cannot_be_called_is_no_part_of_the_surface():
    """A method whose signature cannot be served is named with the reason, not silently left out."""

    class Manager(New):
        def get_key(self, model_name, *, tenant):
            return tenant

    with pytest.raises(TargetError, match=r"missing an acquire .*; get_key: its parameter 'tenant' is none"):
        connect(Manager(), POOL)


def test_an_attribute_that_raises_is_not_there():
    """A property that fails while the manager is looked at does not stop the run."""

    class Manager(New):
        @property
        def get_state(self):
            raise RuntimeError

    assert "state" not in connect(Manager(), POOL).claims.operations
