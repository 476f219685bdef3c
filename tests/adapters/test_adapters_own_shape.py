"""Binding an `Adapter`, the face of a backend of any other shape, and calling it the one way."""

from __future__ import annotations

import pytest

from pytest_keyconform.adapters.base import Adapter, Lease
from pytest_keyconform.adapters.connection import connect
from pytest_keyconform.errors import TargetError
from pytest_keyconform.spec.pool import Pool

POOL = Pool(api_keys=("k1", "k2"), vertex_api_keys=("v1", "k2"))
BOTH = {"regular", "vertex"}


class Mine(Adapter):
    def acquire(self, model, pool):
        return Lease(f"{pool}:{model}", handle=7)

    def release(self, lease):
        return lease

    def record(self, lease, tokens=0) -> None:
        return (lease, tokens)

    def usage(self, key, model, pool):
        return (key, model, pool)

    def reset(self, key, **rest):
        return (key, rest)

    def random_key(self):
        return "k1"

    async def status(self):
        return {}


def test_an_adapter_is_called_by_the_names_of_the_design():
    """An adapter gets leases as it answered them, plain keys where it takes a key, and a pool if it needs one."""
    connection = connect(Mine(POOL), POOL)
    lease = Lease("k1", handle=object())
    assert connection.invoke("acquire", {"model": None}) == Lease("regular:None", handle=7)
    assert connection.invoke("release", {"lease": lease}) is lease
    assert connection.invoke("record", {"lease": "k1", "tokens": 5, "model": "m"}) == (Lease("k1"), 5)
    assert connection.invoke("usage", {"key": lease, "model": "m", "pool": "vertex"}) == ("k1", "m", "vertex")
    assert connection.invoke("reset", {"key": "k1"}) == ("k1", {})


def test_an_adapter_claims_what_its_signatures_name():
    """An operation without a pool is about the regular one; one that acts on a key reaches where acquire does."""
    claims = connect(Mine(POOL), POOL).claims
    assert claims.forms("record", "vertex") == ()
    assert claims.forms("status")[0].is_async
    assert claims.forms("random_key", "vertex") == ()
    assert claims.forms("release")[0].pools == BOTH
    assert not claims.answers("record")
    assert claims.takes("acquire", "model", "pool")
    assert not claims.takes("record", "model")
    assert not claims.takes("record", "outcome")
    assert "fail" not in claims.operations


def test_an_adapter_for_one_pool_acts_on_keys_of_that_pool_alone():
    """Where acquire knows no pool, releases and resets are about the regular one."""

    class One(Adapter):
        def acquire(self):
            return ""

        def release(self, lease):
            return lease

    assert connect(One(POOL), POOL).claims.forms("release")[0].pools == {"regular"}


def test_an_adapter_without_operations_is_no_target():
    """An adapter that claims nothing cannot be judged, and says so."""

    class Nothing(Adapter):
        pass

    with pytest.raises(TargetError, match="Nothing is an Adapter without an operation"):
        connect(Nothing(POOL), POOL)
