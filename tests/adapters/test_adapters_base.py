"""The `Adapter` that authors subclass, and the values its operations answer."""

from __future__ import annotations

import functools

import pytest

from pytest_keyconform.adapters.base import OPERATIONS, Adapter, Lease, Usage, nearest
from pytest_keyconform.errors import AdapterError
from pytest_keyconform.spec.pool import Pool


def test_a_lease_never_prints_its_key_or_its_handle():
    """A lease prints neither its key nor its handle, which may hold the key too."""
    lease = Lease("kc-secret", handle={"token": "kc-secret"})
    assert "secret" not in f"{lease!r} {lease}"


def test_a_lease_is_frozen_and_compares_by_its_parts():
    """Two leases of the same key and handle are equal, and none can be changed."""
    assert Lease("a", 1) == Lease("a", 1) != Lease("a", 2)
    with pytest.raises(AttributeError):
        Lease("a").key = "b"  # type: ignore[misc]


def test_usage_counts_nothing_it_is_not_given():
    """A counter that a backend does not keep is None."""
    assert Usage(rpm=3) == Usage(rpm=3, tpm=None, rpd=None)


def test_an_adapter_keeps_the_pool_it_is_made_with():
    """The pool an adapter is made with is at hand in its operations."""
    pool = Pool(api_keys=("a",))
    assert Adapter(pool).pool is pool


def test_the_base_claims_no_operation():
    """An operation that is not written is not there, so that it cannot be claimed by inheritance."""
    assert [name for name in OPERATIONS if hasattr(Adapter, name)] == []


def test_a_misspelt_operation_is_refused_with_the_nearest_name():
    """A public method that is no operation is refused where its class is made, with the right name."""
    with pytest.raises(AdapterError, match=r"\.relaese is no operation.*did you mean 'release'\?"):

        class Mine(Adapter):
            def relaese(self, lease):
                return lease


def test_an_extra_public_method_is_refused():
    """A public helper is refused, and told to begin with an underscore."""
    with pytest.raises(AdapterError, match=r"zzz is no operation of an Adapter; a helper's name begins"):

        class Mine(Adapter):
            @functools.cache  # noqa: B019 - a method in another coat
            def zzz(self):
                return None


def test_a_misspelt_parameter_is_refused_with_the_nearest_name():
    """A parameter that the operation does not have is refused, also one with a default."""
    with pytest.raises(AdapterError, match=r"'modle' is no parameter of acquire, did you mean 'model'\?"):

        class Mine(Adapter):
            def acquire(self, modle=None):
                return modle


def test_a_parameter_is_checked_in_static_and_class_methods_too():
    """The parameters of a classmethod are checked without its class, those of a staticmethod all."""
    with pytest.raises(AdapterError, match="'lese' is no parameter of release"):

        class Static(Adapter):
            @staticmethod
            def release(lese):
                return lese

    class Fine(Adapter):
        @classmethod
        def state(cls):
            return {}

    assert Fine.state() == {}


def test_helpers_data_and_lifecycle_are_left_alone():
    """Private helpers, plain data, properties, nested classes, and parameters kept to oneself are no operations."""

    class Mine(Adapter):
        policies = {"exhaustion": "fallback"}  # noqa: RUF012 - what an author writes

        class Inner:
            pass

        @property
        def backend(self):
            return None

        def _helper(self):
            return None

        async def acquire(self, model, pool="regular", _clock=None):
            return (model, pool)

        async def record(self, lease, **rest):
            return (lease, rest)

        def fail(self, *rest):
            return rest

    assert issubclass(Mine, Adapter)


def test_a_subclass_of_a_subclass_is_checked_as_well():
    """What an adapter inherits was checked where it was written; what it adds is checked here."""

    class First(Adapter):
        def acquire(self):
            return ""

    with pytest.raises(AdapterError, match="did you mean 'usage'"):

        class Second(First):
            def usages(self):
                return None


@pytest.mark.parametrize("name, hint", [("acquired", ", did you mean 'acquire'?"), ("qqqqq", "")])
def test_nearest_hints_only_at_similar_names(name, hint):
    """A hint is given where a name is similar, and none otherwise."""
    assert nearest(name, OPERATIONS) == hint


def test_what_a_partial_method_binds_is_none_of_its_parameters():
    """A helper of the author's that is bound to an argument of its own is an operation all the same."""

    class Bound(Adapter):
        def _served(self, strict, model, sort):
            return f"{strict} {model} {sort}"

        acquire = functools.partialmethod(_served, True, sort="oldest")

    assert Bound(Pool()).acquire(model="m1") == "True m1 oldest"
