"""What counts in a window, what does not, and what is left open."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keyconform.model.state import Tri
from pytest_keyconform.model.windows import DAY, EPOCH, in_day, in_minute, marked, pausing
from pytest_keyconform.spec.policies import Policies

NO, MAYBE, YES = Tri
PACIFIC = "America/Los_Angeles"
HOUR = 3600.0
MIDNIGHT = 20 * HOUR  # in Los Angeles, after the noon in UTC at which an execution begins


@pytest.mark.parametrize(
    "spent, now, counts",
    [
        (0, 0, YES),
        (0, 50, YES),
        (10, 50, YES),
        (0, 50.5, MAYBE),
        (0, 60, MAYBE),
        (0, 60.9, MAYBE),
        (0, 61, NO),
        (59, 61, MAYBE),
        (59, 119, MAYBE),
        (59, 120, NO),
        (60, 110, YES),
        (119, 121, MAYBE),
        (0, 7200, NO),
    ],
)
def test_a_minute(spent, now, counts):
    """Within 50 s of an aligned start everything counts together; after 61 s nothing does; between, who knows."""
    assert in_minute(spent, now) is counts


@given(st.floats(0, 1e6), st.floats(0, 200))
def test_a_minute_fits_every_kind_of_window(spent, age):
    """Whatever is certain holds for fixed windows and for rolling ones."""
    now = spent + age
    truth = in_minute(spent, now)
    fixed, rolling = spent // 60 == now // 60, now - spent < 60
    assert truth is MAYBE or (truth is YES) == fixed == rolling


@pytest.mark.parametrize(
    "spent, now, zone, counts",
    [
        (0, 0, PACIFIC, YES),
        (0, MIDNIGHT - 2, PACIFIC, YES),
        (0, MIDNIGHT - 0.5, PACIFIC, MAYBE),
        (0, MIDNIGHT + 0.5, PACIFIC, MAYBE),
        (0, MIDNIGHT + 2, PACIFIC, NO),
        (MIDNIGHT + 2, MIDNIGHT + 5, PACIFIC, YES),
        (0, 12 * HOUR - 2, "UTC", YES),
        (0, 12 * HOUR + 2, "UTC", NO),
        (0, DAY - 2, "rolling", YES),
        (0, DAY, "rolling", MAYBE),
        (0, DAY + 2, "rolling", NO),
        (0, 3 * DAY, PACIFIC, NO),
    ],
)
def test_a_day(spent, now, zone, counts):
    """A day ends at the midnight of its zone, give or take a second; a rolling one after its 24 hours."""
    assert in_day(spent, now, zone) is counts


@pytest.mark.parametrize("month, day, hours", [(3, 8, 23), (11, 1, 25), (3, 2, 24)])
def test_a_day_may_have_23_or_25_hours(month, day, hours):
    """On the days when clocks are changed the day is as long as it is there."""
    start = (dt.datetime(2026, month, day, 8 if month == 3 else 7, tzinfo=dt.UTC) - EPOCH).total_seconds() + 2
    assert in_day(start, start + hours * HOUR - 5, PACIFIC) is YES
    assert in_day(start, start + hours * HOUR + 5, PACIFIC) is NO


@pytest.mark.parametrize(
    "recovery, count, age, lasts",
    [
        (None, 1, 1e9, YES),
        (30, 1, 29, YES),
        (30, 1, 30, MAYBE),
        (30, 1, 31, MAYBE),
        (30, 1, 31.5, NO),
        ((10, 60), 1, 9, YES),
        ((10, 60), 1, 12, NO),
        ((10, 60), 2, 9, YES),
        ((10, 60), 2, 30, MAYBE),
        ((10, 60), 2, 60, MAYBE),
        ((10, 60), 2, 62, NO),
        ((10, 60), 9, 62, NO),
    ],
)
def test_a_pause(recovery, count, age, lasts):
    """A pause is as long as its step; from the second one on it may be of any step."""
    assert pausing(100.0, recovery, count, 100.0 + age) is lasts


@pytest.mark.parametrize(
    "recovery, now, lasts",
    [
        ("minute", 40, YES),
        ("minute", 55, MAYBE),
        ("minute", 61, NO),
        ("day", 61, YES),
        ("day", MIDNIGHT + 5, NO),
        (None, 10 * DAY, YES),
        (300.0, 299, YES),
        (300.0, 302, NO),
        ((5.0, 300.0), 7, NO),
    ],
)
def test_a_mark_lasts_as_declared(recovery, now, lasts):
    """A 429 mark is over with the minute, the day, its seconds, or by hand alone."""
    assert marked(0.0, 1, now, Policies(quota_recovery=recovery)) is lasts


def test_a_pause_is_over_to_the_microsecond():
    """A pause that has lasted to the microsecond may be over, whatever the difference of two floats comes to."""
    assert 9.000015 - 4.000015 < 5.0
    assert pausing(4.000015, 5.0, 1, 9.000015) is MAYBE
