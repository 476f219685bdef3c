"""What was spent, in each kind of window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyconform_reference import Limits, Options
from keyconform_reference.tallies import BucketTally, FixedTally, RollingTally
from keyconform_reference.windows import Minutes, Windows

KINDS = ["fixed", "rolling", "bucket"]


def tally(kind: str, rpm: int | None = 10, tpm: int | None = 1000):
    """An empty tally of a minute."""
    return Windows(Options(minute_window=kind)).minute_tally(Limits(rpm, tpm))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_spent_at_once_counts_together(kind):
    """At one instant every kind counts exactly."""
    spent = tally(kind)
    for _ in range(7):
        spent.add(120, 1, 11)
    assert spent.used(120) == (7, 77)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_free_after_a_minute(kind):
    """61 seconds later nothing counts, an overshoot of tokens neither."""
    spent = tally(kind)
    spent.add(120, 10, 50_000)
    assert spent.used(181) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_traffic_does_not_extend_a_window(kind):
    """A request every 20 seconds leaves room all the time, also after an overshoot."""
    spent = tally(kind, rpm=4, tpm=100)
    spent.add(120, 1, 500)
    for number in range(1, 16):
        spent.add(120 + 20 * number, 1, 1)
        if number >= 3:
            requests, tokens = spent.used(120 + 20 * number)
            assert requests <= 3
            assert tokens < 100


@pytest.mark.parametrize("kind", KINDS)
def test_the_free_time_is_the_first_free_instant(kind):
    """At the time a tally names there is room, and just before there is none."""
    spent = tally(kind, rpm=3)
    for second in (0, 5, 9):
        spent.add(120 + second, 1, 0)
    full = spent.used(130)[0] >= 3
    when = spent.frees_at(130, 3, None)
    assert not full or spent.used(when - 0.01)[0] >= 3
    assert spent.used(when)[0] < 3


def test_a_bucket_refills_evenly():
    """Six seconds give back one of ten requests a minute."""
    spent = BucketTally(10, None)
    spent.add(0, 10, 0)
    assert [spent.used(second)[0] for second in (0, 5.9, 6, 12, 59.9, 60)] == [10, 10, 9, 8, 1, 0]


def test_a_fixed_window_turns_at_once():
    """What was spent in the last second of a minute is free in the first of the next."""
    spent = FixedTally(Minutes())
    spent.add(179.9, 3, 30)
    assert spent.used(179.99) == (3, 30)
    assert spent.used(180) == (0, 0)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3), st.integers(0, 9)), max_size=60))
def test_a_rolling_window_holds_the_last_minute(spending):
    """A rolling tally is the sum over the last 60 seconds."""
    spent, now, entries = RollingTally(60), 0.0, []
    for pause, requests, tokens in spending:
        now += pause
        spent.add(now, requests, tokens)
        entries.append((now, requests, tokens))
        counted = [entry for entry in entries if entry[0] + 60 > now]
        assert spent.used(now) == (sum(e[1] for e in counted), sum(e[2] for e in counted))


def test_a_rolling_window_is_bounded_and_errs_on_the_safe_side():
    """Beyond a thousand instants entries are merged: never counted too short, and gone a window after the last."""
    spent = RollingTally(60)
    for number in range(10_000):
        spent.add(number / 100, 1, 1)
        assert len(spent._spent) <= 1024
    now = 9_999 / 100
    assert 6_000 <= spent.used(now)[0] <= 6_100
    assert spent.used(now + 60) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_clock_set_back_keeps_what_counts_and_no_longer(kind):
    """After a step of two hours back the usage still counts, and is free a minute later."""
    spent = tally(kind)
    spent.add(7_230, 5, 50)
    spent.shift(7_230, 30)
    assert spent.used(30) == (5, 50)
    assert spent.used(30 + 61) == (0, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cleared_tally_is_empty(kind):
    """Clearing forgets everything."""
    spent = tally(kind)
    spent.add(120, 5, 50)
    spent.clear()
    assert spent.used(120) == (0, 0)
