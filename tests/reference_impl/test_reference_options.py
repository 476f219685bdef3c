"""The options and what they refuse."""

import dataclasses

import pytest

from keyconform_reference import ConfigurationError, Options


@pytest.mark.parametrize(
    "wrong",
    [
        {"exhaustion": "panic"},
        {"sentinel": "none"},
        {"deadline": None},
        {"deadline": 0},
        {"deadline": float("inf")},
        {"lease_ttl": -1},
        {"lease_ttl": (1, 2)},
        {"quota_recovery": "hour"},
        {"quota_recovery": ()},
        {"quota_recovery": (5, "6")},
        {"strike_recovery": "minute"},
        {"strike_recovery": True},
        {"auth_recovery": float("nan")},
        {"selection": None},
    ],
    ids=str,
)
def test_a_value_that_means_nothing_is_refused(wrong):
    """A wrong option names itself and what it may be."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Options(**wrong)


@pytest.mark.parametrize(
    "right",
    [{"quota_recovery": value} for value in ("minute", "day", 30, 0.5, (10, 20, 300), None)]
    + [{"strike_recovery": (60, 600)}, {"auth_recovery": 3600}, {"sentinel": None}],
    ids=str,
)
def test_every_meaningful_value_is_taken(right):
    """Windows by name, seconds, steps of seconds and by hand are all recoveries."""
    assert dataclasses.asdict(Options(**right)).items() >= right.items()


def test_options_are_a_value():
    """Options can be compared and not be changed."""
    assert Options() == Options()
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().deadline = 9
