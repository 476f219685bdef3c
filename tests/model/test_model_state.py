"""Truths and numbers that are left open."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_keyconform.model.state import Bounds, Tri

NO, MAYBE, YES = Tri


@given(st.sampled_from(Tri), st.sampled_from(Tri))
def test_three_valued_truth(first, second):
    """Both is the lesser truth, either the greater, and turning round twice changes nothing."""
    assert (first & second).negated() is first.negated() | second.negated()
    assert first.negated().negated() is first
    assert first & first is first | first is first


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 12))
def test_bounds(low, more, limit, value):
    """Bounds hold what lies between them, and tell whether a limit is surely reached."""
    bounds = Bounds(low, low + more)
    assert (value in bounds) is (low <= value <= low + more)
    reached = {number >= limit for number in range(low, low + more + 1)}
    assert bounds.at_least(limit) is (MAYBE if len(reached) > 1 else YES if reached.pop() else NO)
    assert bounds + Bounds(1, 2) == Bounds(low + 1, low + more + 2)
