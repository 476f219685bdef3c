"""Canary keys: made for labels, and turned back into labels wherever they show up."""

from __future__ import annotations

import collections
import enum
import string
import types
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from pytest_keyconform.adapters.keys import Keyring, WeighedKey, canary
from pytest_keyconform.operation import Opaque
from pytest_keyconform.spec.pool import Limits
from pytest_keyconform.workload import Given
from pytest_keyconform.workload import Limits as GivenLimits


@pytest.fixture
def ring():
    ring = Keyring()
    ring.pool_of(Given())
    return ring


def test_canaries_look_like_keys_and_are_the_same_in_every_run():
    """A canary has 39 characters that a header takes, tells its label apart, and never changes."""
    labels = [f"{kind}-{number}" for kind in ("key", "vertex", "new") for number in range(1, 50)]
    keys = [canary(label) for label in labels]
    assert len(set(keys)) == len(labels)
    assert {len(key) for key in keys} == {39}
    assert all(key.startswith("kc-") and set(key[3:]) <= set(string.ascii_letters + string.digits) for key in keys)
    assert len({key[:11] for key in keys}) == len(labels)
    assert canary("key-1") == "kc-y1Xz9SSI6yxirmlkYDRv2lxfYmlLX0h2Gid1"


def test_a_pool_has_the_canaries_of_the_labels_given():
    """A pool carries the fields of what is given, with canaries in the place of labels."""
    given = Given(
        regular=("key-1", "key-1", "odd"),
        vertex=("key-1",),
        limits=(("m1", GivenLimits(rpm=2)),),
        default_model="m7",
        max_failures=1,
        max_retries=9,
        paid_key="paid-1",
    )
    pool = Keyring().pool_of(given, storage=Path("here"), limits_source="http://127.0.0.1:1/")
    assert pool.api_keys == (canary("key-1"), canary("key-1"), canary("odd"))
    assert pool.vertex_api_keys == (canary("key-1"),)
    assert pool.limits == {"m1": Limits(rpm=2)}
    assert (pool.default_model, pool.max_failures, pool.max_retries) == ("m7", 1, 9)
    assert (pool.paid_key, pool.storage) == (canary("paid-1"), Path("here"))


def test_reveal_turns_labels_into_canaries_at_any_depth(ring):
    """Labels become canaries in lists and dicts too; what is no label stays, and tuples become fresh lists."""
    assert ring.reveal("key-1") == canary("key-1")
    assert ring.reveal(("key-1", ("stranger-4", 7))) == [canary("key-1"), [canary("stranger-4"), 7]]
    assert ring.reveal({"key-1": "m1", "x": None}) == {canary("key-1"): "m1", "x": None}
    assert ring.reveal("m1") == "m1"
    assert ring.reveal("") == ""


def test_a_label_that_a_workload_gives_is_a_label_whatever_it_looks_like():
    """A scenario's own names for keys are revealed and concealed as the usual ones are."""
    ring = Keyring()
    ring.pool_of(Given(regular=("k1",)))
    assert ring.conceal({"key": ring.reveal("k1")}) == {"key": "k1"}
    assert ring.reveal("k2") == "k2"


def test_conceal_turns_canaries_into_labels_at_any_depth(ring):
    """Answers hold labels only: in values, in keys of dicts, and within longer strings."""
    key, other = canary("key-1"), canary("vertex-1")
    answer = {"valid_keys": {key: 0, other: 2}, "rows": [{"api_key": key}, (1, None)], 7: f"Bearer {key}"}
    assert ring.conceal(answer) == {
        "valid_keys": {"key-1": 0, "vertex-1": 2},
        "rows": ({"api_key": "key-1"}, (1, None)),
        7: "Bearer key-1",
    }
    assert list(ring.conceal({"b": 1, "a": 2})) == ["b", "a"]


def test_conceal_keeps_what_is_plain_and_makes_it_exactly_that(ring):
    """None, bools and numbers stay; subclasses of str, int, float and dict become the plain type."""

    class Text(str):
        __slots__ = ()

        def __str__(self):
            return "another"

    class Number(enum.IntEnum):
        ONE = 1

    for value in (None, True, False, 0, 2.5, "m1"):
        assert ring.conceal(value) is value or ring.conceal(value) == value
    assert type(ring.conceal(Text(canary("key-1")))) is str
    assert ring.conceal(Text(canary("key-1"))) == "key-1"
    assert type(ring.conceal(Number.ONE)) is int
    assert ring.conceal(collections.OrderedDict(a=1)) == {"a": 1}
    assert type(ring.conceal([True])[0]) is bool


class _Model(BaseModel):
    key: str


@pytest.mark.parametrize(
    "value, name",
    [
        ({canary("key-1")}, "set"),
        (frozenset(), "frozenset"),
        (SecretStr(canary("key-1")), "SecretStr"),
        (_Model(key=canary("key-1")), "_Model"),
        (types.MappingProxyType({}), "mappingproxy"),
        (canary("key-1").encode(), "bytes"),
        (object(), "object"),
    ],
)
def test_what_is_not_plain_shows_its_type_alone(ring, value, name):
    """An answer that is not plain is shown by its type, never by its contents."""
    assert ring.conceal(value) == Opaque(name)
    assert ring.conceal([value]) == (Opaque(name),)


def test_a_coroutine_is_closed_so_that_it_warns_of_nothing(ring):
    """A coroutine in an answer is reported, and closed: the harness leaves no warning of its own."""

    async def forgotten():
        return 1

    coroutine = forgotten()
    assert ring.conceal({"a": coroutine}) == {"a": Opaque("coroutine")}
    assert coroutine.cr_frame is None


def test_an_answer_that_holds_itself_comes_to_an_end(ring):
    """A cycle is cut instead of followed for ever."""
    cycle: list = []
    cycle.append(cycle)
    assert "nested too deep" in str(ring.conceal(cycle))


def test_an_unknown_key_is_cut_where_a_key_was_expected(ring):
    """A string that is none of our keys is never shown whole where a key was asked for; a sentinel is."""
    assert ring.conceal("sk-live-0123456789", key=True) == "sk-l…"
    assert ring.conceal("abcdef", key=True) == "ab…"
    assert ring.conceal("sk-live-0123456789") == "sk-live-0123456789"
    assert ring.conceal("", key=True) == ""
    assert ring.conceal(canary("key-2"), key=True) == "key-2"


def test_redact_leaves_no_whole_key_in_any_text(ring):
    """A label stands wherever a key stood, in whatever casing."""
    text = f"no {canary('key-1')} for x-{canary('vertex-2').upper()}-y"
    assert ring.redact(text) == "no key-1 for x-vertex-2-y"
    assert Keyring().redact("nothing to hide") == "nothing to hide"


def test_a_ring_made_of_a_pool_names_its_keys_by_number(ring):
    """Without labels, keys are told apart by their place in the pool."""
    pool = ring.pool_of(Given(regular=("b", "b", "a"), vertex=("c",), paid_key="d"))
    text = " ".join((*pool.api_keys, *pool.vertex_api_keys, pool.paid_key))
    assert Keyring.of(pool).redact(text) == "key-1 key-1 key-2 vertex-1 paid-1"


def test_a_weighed_key_tells_of_looks_in_c():
    """Searching a list, hashing and sorting look at keys; else such a key is as any other."""
    ring = Keyring(weighed=True)
    keys = ring.pool_of(Given(regular=tuple(f"key-{number}" for number in range(1, 11)))).api_keys
    assert {type(key) for key in keys} == {WeighedKey}
    assert keys == tuple(map(canary, (f"key-{number}" for number in range(1, 11))))
    for looking, least in (
        (lambda: "none" in list(keys), 10),
        (lambda: list(keys).index(keys[9]), 9),
        (lambda: set(keys), 10),
        (lambda: sorted(keys), 9),
        (lambda: max(keys), 9),
        (lambda: keys[0] != keys[1], 1),
    ):
        before = WeighedKey.looks
        looking()
        assert WeighedKey.looks - before >= least
    assert ring.conceal(keys[0], key=True) == "key-1"
    assert ring.redact(f"at {keys[0]}") == "at key-1"
