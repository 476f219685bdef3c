"""What a status and a model's name stand for."""

from __future__ import annotations

import pytest

from pytest_keyconform.model.names import entry, matched
from pytest_keyconform.model.outcome import OUTCOMES, outcome_of
from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.workload import Given, Limits


@pytest.mark.parametrize(
    "status,expected",
    [
        *[(429, "quota"), (401, "auth"), (403, "auth")],
        *[(status, "request") for status in (400, 404, 413, 422)],
        *[(status, "transient") for status in (408, 500, 502, 503, None)],
    ],
)
def test_the_class_of_a_status(status, expected):
    """A status is of one of four classes."""
    assert outcome_of(status) == expected
    assert expected in OUTCOMES


@pytest.mark.parametrize(
    "name,match,expected",
    [
        ("m", "prefix", "m"),
        ("m-lite", "prefix", "m-lite"),
        ("m-lite-001", "prefix", "m-lite"),
        ("m-pro", "prefix", "m"),
        ("m@001", "prefix", "m"),
        ("m:free", "prefix", "m"),
        ("mx", "prefix", None),
        ("m-lite", "exact", "m-lite"),
        ("m-lite-001", "exact", None),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_entry_of_a_model(name, match, expected, turned):
    """A name leads to its own entry, else to the longest that ends at a mark, whatever the order of the table."""
    limits = (("m", Limits(rpm=1)), ("m-lite", Limits(rpm=2)))
    pool = Given(limits=limits[::-1] if turned else limits, default_model="m")
    policies = Policies(model_match=match)
    assert matched(name, pool, policies) == expected
    assert entry(name, pool, policies) == (expected or name)
    assert entry(None, pool, policies) == entry("", pool, policies) == "m"
