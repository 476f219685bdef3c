"""The oracle: what each operation does to what may be served, and what is left open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_keyconform.catalogue.notation import EVERYTHING, read
from pytest_keyconform.model.key_manager import Oracle
from pytest_keyconform.model.state import ANY_NUMBER, Bounds, State, Tri
from pytest_keyconform.operation import Claims, Raised

NO, MAYBE, YES = Tri
KEY, M1, M2 = ("regular", "key-1"), ("regular", "key-1", "m1"), ("regular", "key-1", "m2")
TOLD_LITTLE = Claims(operations=EVERYTHING.operations, given=frozenset({"api_keys"}))
STRIKE = "fail(lease=key-1, model=m1, status=500) -> key-2\n"
AUTH = "fail(lease=key-1, model=m1, status=401) -> key-2\n"
QUOTA = "fail(lease=key-1, model=m1, status=429) -> key-2\n"
SUCCESS = "record(lease=key-1, model=m1, tokens=5) -> True\n"
NOTHING = "tick()\n"


def after(text, claims=EVERYTHING):
    """The oracle and the states that a sequential history may have led to, and the second it ended."""
    history, policies = read(f"{text}\ntick()")
    oracle = Oracle(policies, claims, history.given)
    states: tuple[State, ...] = (oracle.initial(),)
    for operation in history.operations:
        states = tuple(after for state in states for after in oracle.step(state, operation))
    return oracle, states, history.operations[-1].at


def usable(text, cell=M1, claims=EVERYTHING):
    """Whether a key is usable after a history, in each state there may be."""
    oracle, states, now = after(text, claims)
    return {oracle.usable(state, cell, now) for state in states}


@pytest.mark.parametrize(
    "text,first,second",
    [
        (NOTHING, YES, YES),
        (STRIKE, YES, YES),
        (STRIKE * 2, YES, YES),
        (STRIKE * 3, NO, NO),
        (f"given max_failures=1\n{STRIKE}", NO, NO),
        (f"policy failures=immediate\n{STRIKE}", NO, NO),
        (AUTH, NO, NO),
        (AUTH.replace("401", "403"), NO, NO),
        (QUOTA, NO, YES),
        (QUOTA.replace("m1", "m2"), YES, NO),
        (QUOTA.replace("429", "404") * 3, YES, YES),
        (f"policy request_errors=counted\n{QUOTA.replace('429', '404') * 3}", NO, NO),
        (STRIKE.replace("500", "None") * 3, NO, NO),
        ("record(lease=key-1, model=m1, outcome=quota) -> True", NO, YES),
        ("record(lease=key-1, model=m1, outcome=auth) -> True", NO, NO),
        ("record(lease=key-1, model=m1, outcome=transient) -> True\n" * 3, YES, YES),
        ("record(lease=key-1, model=m1, outcome=auth) -> False", YES, YES),
        ("fail(lease=stranger-1, model=m1, status=401) -> key-2", YES, YES),
        ("fail(lease=key-1, pool=vertex, model=m1, status=401) -> vertex-1", YES, YES),
        ("fail(lease=key-1, model=m1, status=401, bad=True) -> key-2", YES, YES),
        ("fail(lease=key-1, model=m1, status=401) -> skipped", YES, YES),
    ],
)
def test_what_a_report_takes_out(text, first, second):
    """A report takes the key out as its class says: for one model, for all, or not at all."""
    assert usable(text) == {first}
    assert usable(text, M2) == {second}


@pytest.mark.parametrize("answer", ["raises RuntimeError", "pending"])
def test_what_is_not_answered_may_have_happened_or_not(answer):
    """A call that raised or never came back leaves both states."""
    assert usable(f"fail(lease=key-1, model=m1, status=401) -> {answer}") == {YES, NO}


@pytest.mark.parametrize(
    "text,first,second",
    [
        (f"{STRIKE * 3}reset(key=key-1) -> True", YES, YES),
        (f"{AUTH}reset(key=key-1) -> True", YES, YES),
        (f"{QUOTA}reset(key=key-1) -> True", YES, YES),
        (f"{AUTH}reset(key=key-2) -> True", NO, NO),
        (f"{AUTH}reset_all()", YES, YES),
        (f"{QUOTA}reactivate(key=key-1) -> True", YES, YES),
        (f"{QUOTA}reactivate(key=key-1, model=m1) -> True", YES, YES),
        (f"{QUOTA}reactivate(key=key-1, model=m2) -> True", NO, YES),
        (f"{AUTH}reactivate(key=key-1, model=m1) -> True", MAYBE, MAYBE),
        (f"{STRIKE * 3}reactivate(key=key-1, model=m1) -> True", MAYBE, MAYBE),
        (f"{QUOTA}reset_usage()", MAYBE, YES),
        (f"{AUTH}reset_usage()", NO, NO),
        (f"{AUTH}{SUCCESS}", NO, NO),
        (f"{STRIKE * 3}{SUCCESS}", NO, NO),
        (f"policy success=clears\n{STRIKE * 2}{SUCCESS}{STRIKE}", YES, YES),
        (f"policy success=clears\n{STRIKE * 3}{SUCCESS}", MAYBE, MAYBE),
        (f"policy success=clears\n{AUTH}{SUCCESS}", NO, NO),
    ],
)
def test_what_brings_a_key_back(text, first, second):
    """A recovery lifts what it says, and where it may lift more or less it is left open."""
    assert usable(text) == {first}
    assert usable(text, M2) == {second}


@pytest.mark.parametrize(
    "text,expected",
    [
        (f"{QUOTA}advance(seconds=40)", NO),
        (f"{QUOTA}advance(seconds=55)", MAYBE),
        (f"{QUOTA}advance(seconds=61)", YES),
        (f"policy quota_recovery=None\n{QUOTA}advance(seconds=99999)", NO),
        (f"policy quota_recovery=30\n{QUOTA}advance(seconds=32)", YES),
        (f"policy quota_recovery=30\n{QUOTA}advance(seconds=29)", NO),
        (f"policy strike_recovery=30\n{STRIKE * 3}advance(seconds=29)", NO),
        (f"policy strike_recovery=30\n{STRIKE * 3}advance(seconds=32)", YES),
        (f"policy auth_recovery=30\n{AUTH}advance(seconds=29)", NO),
        (f"policy auth_recovery=30\n{AUTH}advance(seconds=32)", YES),
        (f"{STRIKE * 3}advance(seconds=99999)", NO),
        (f"{AUTH}advance(seconds=99999)", NO),
    ],
)
def test_what_time_brings_back(text, expected):
    """A pause ends as declared, and with a second's slack."""
    assert usable(text) == {expected}


@pytest.mark.parametrize(
    "text,first,second",
    [
        (f"given m1.rpm=1\n{SUCCESS}", NO, YES),
        (f"given m1.rpm=2\n{SUCCESS}", YES, YES),
        (f"given m1.tpm=5\n{SUCCESS}", NO, YES),
        (f"given m1.tpm=6\n{SUCCESS}", YES, YES),
        (f"given m1.rpd=1\n{SUCCESS}", NO, YES),
        ("given m1.rpm=0", NO, YES),
        (f"given m1.rpm=1\n{SUCCESS}advance(seconds=61)", YES, YES),
        (f"given m1.rpd=1\n{SUCCESS}advance(seconds=61)", NO, YES),
        (f"given m1.rpm=1\n{SUCCESS}advance(seconds=55)", MAYBE, YES),
        (f"given m1.rpm=1\n{SUCCESS}reset_usage()", YES, YES),
        (f"given m1.rpm=1\n{SUCCESS}reset(key=key-1) -> True", MAYBE, YES),
        ("given m1.rpm=1\nacquire(model=m1) -> key-1", MAYBE, YES),
        ("given m1.rpm=2\nacquire(model=m1) -> key-1", YES, YES),
        (f"given m1.rpm=2\nacquire(model=m1) -> key-1\n{SUCCESS}", YES, YES),
        ("policy counted_on=acquire\ngiven m1.rpm=1\nacquire(model=m1) -> key-1", NO, YES),
        (f"policy counted_on=acquire\ngiven m1.rpm=1\n{SUCCESS}", YES, YES),
        (f"policy counted_on=none\ngiven m1.rpm=1\n{SUCCESS}", YES, YES),
        ("given m1.rpm=1\nrecord(lease=key-1, model=m1, outcome=transient) -> True", NO, YES),
        ("policy error_usage=free\ngiven m1.rpm=1\nrecord(lease=key-1, model=m1, outcome=transient) -> True", YES, YES),
        ("given m1.rpm=1\nrecord(lease=key-1, model=m1-lite) -> True", NO, YES),
        ("policy model_match=exact\ngiven m1.rpm=1\nrecord(lease=key-1, model=m1-lite) -> True", YES, YES),
        ("policy unknown_model=fallback-model\ngiven m1.rpm=1\nrecord(lease=key-1, model=new) -> True", NO, YES),
        ("given m1.rpm=1\nrecord(lease=key-1) -> True", NO, YES),
        ("given m1.rpm=1 default_model=m2\nrecord(lease=key-1) -> True", YES, YES),
        ("given m1.rpm=1\nrecord(lease=key-1, model=m1) -> False", YES, YES),
    ],
)
def test_what_quota_leaves(text, first, second):
    """A key at a limit is not usable for that model; what is not reported yet may count or not."""
    assert usable(text) == {first}
    assert usable(text, M2) == {second}


@pytest.mark.parametrize(
    "text,expected",
    [
        ("acquire(model=m1) -> key-1", NO),
        ("acquire(model=m1) -> key-1\nrelease(lease=key-1)", YES),
        ("acquire(model=m1) -> key-1\nrecord(lease=key-1, model=m1) -> True", NO),
        ("policy release=on-report\nacquire(model=m1) -> key-1\nrecord(lease=key-1, model=m1) -> True", YES),
        ("next_key() -> key-1", MAYBE),
        ("fail(lease=key-2, model=m1, status=500) -> key-1", MAYBE),
    ],
)
def test_what_leases_leave(text, expected):
    """Under leases a key that is held is not free, though it is usable."""
    oracle, states, now = after(f"policy tenure=lease\n{text}")
    assert {oracle.free(state, M1, now) for state in states} == {expected}
    assert {oracle.usable(state, M1, now) for state in states} == {YES}


def test_thresholds_that_are_not_told_are_left_open():
    """A backend whose threshold cannot be set may take a key out at the first failure, or never."""
    assert usable(STRIKE, claims=TOLD_LITTLE) == {MAYBE}
    assert usable(AUTH, claims=TOLD_LITTLE) == {NO}


def test_without_models_a_mark_is_for_all():
    """Where acquire knows no model a mark on any model takes the key out."""
    form = replace(EVERYTHING.operations["acquire"][0], parameters=frozenset({"pool"}))
    claims = Claims(operations={**EVERYTHING.operations, "acquire": (form,)})
    assert usable(QUOTA, M2, claims) == {NO}


@pytest.mark.parametrize(
    "text,expected",
    [
        (NOTHING, Bounds(0, 0)),
        (STRIKE * 2, Bounds(2, 2)),
        (AUTH, ANY_NUMBER),
        (STRIKE * 5, Bounds(3, 5)),
        (f"{STRIKE * 2}reset(key=key-1) -> True", Bounds(0, 0)),
        (f"{STRIKE * 2}reactivate(key=key-1, model=m1) -> True", Bounds(0, 2)),
        (f"policy failures=immediate\n{STRIKE}", ANY_NUMBER),
        (f"policy success=clears\n{STRIKE * 2}{SUCCESS}", Bounds(0, 0)),
        (f"{STRIKE * 2}{SUCCESS}", Bounds(2, 2)),
    ],
)
def test_the_count_of_failures(text, expected):
    """Failures are counted one by one; after a 401, and beyond the threshold, the count is free."""
    oracle, (state,), _ = after(text)
    assert oracle.failures(state, KEY) == expected


@pytest.mark.parametrize(
    "text,rpm,tpm,rpd",
    [
        (SUCCESS * 2, Bounds(2, 2), Bounds(10, 10), Bounds(2, 2)),
        (f"{SUCCESS}advance(seconds=61)", Bounds(), Bounds(), Bounds(1, 1)),
        (f"{SUCCESS}advance(seconds=55)", Bounds(0, 1), Bounds(0, 5), Bounds(1, 1)),
        (f"{SUCCESS}reset_usage()", Bounds(), Bounds(), Bounds()),
        (SUCCESS.replace("m1", "m2"), Bounds(), Bounds(), Bounds()),
        (SUCCESS.replace("model", "pool=vertex, model"), Bounds(), Bounds(), Bounds()),
        ("record(lease=key-1, model=m1) -> True", Bounds(1, 1), ANY_NUMBER, Bounds(1, 1)),
        (
            "record(lease=key-1, model=m1, tokens=5, outcome=transient) -> True",
            Bounds(1, 1),
            Bounds(0, 5),
            Bounds(1, 1),
        ),
        (f"policy counted_on=acquire\n{SUCCESS}", Bounds(), Bounds(5, 5), Bounds()),
        (STRIKE, Bounds(), Bounds(), Bounds()),
    ],
)
def test_what_is_used(text, rpm, tpm, rpd):
    """Usage is what was recorded in the window, of that pool, key and model."""
    oracle, (state,), now = after(text)
    assert oracle.used(state, M1, now) == {"rpm": rpm, "tpm": tpm, "rpd": rpd}


def test_equal_states_have_equal_fingerprints():
    """States are told apart by what they hold, whatever the order it came in."""
    one = after(AUTH + AUTH.replace("key-1", "key-3"))[1][0]
    other = after(AUTH.replace("key-1", "key-3") + AUTH)[1][0]
    assert replace(one, reserved={}).fingerprint() == replace(other, reserved={}).fingerprint()
    assert one.fingerprint() != after(AUTH)[1][0].fingerprint()


@pytest.mark.parametrize(
    "text, truth",
    [
        (f"given m1.tpm=8\n{SUCCESS}advance(seconds=61)", YES),
        (f"given m1.tpm=8\n{SUCCESS * 2}advance(seconds=1)", MAYBE),
        (f"given m1.tpm=8\n{SUCCESS * 2}advance(seconds=61)", MAYBE),
        (f"given m1.tpm=8\n{SUCCESS * 2}advance(seconds=90)", YES),
        (f"given m1.rpm=1\n{SUCCESS * 3}advance(seconds=150)", MAYBE),
        (f"given m1.rpd=4\n{SUCCESS * 3}advance(seconds=1)", YES),
    ],
)
def test_a_bucket_that_was_overfilled_drains_longer(text, truth):
    """Reports may fill a bucket beyond its limit: then it is free as many minutes later, and until then it may be."""
    assert usable(f"policy minute_window=bucket\n{text}") == {truth}


def test_what_the_callers_code_met_is_charged_to_the_model_that_was_called():
    """A 429 inside a call for one model marks the key for that model alone."""
    history, policies = read("send(key=key-1, model=m2, pool=regular) -> raises HTTPStatusError")
    oracle = Oracle(policies, EVERYTHING, history.given)
    met = replace(history.operations[-1], response=Raised("HTTPStatusError", "429", typed=False))
    (state,) = oracle.step(oracle.initial(), met)
    assert (oracle.usable(state, M1, met.at), oracle.usable(state, M2, met.at)) == (YES, NO)
