"""The page of limits: what each state answers."""

import json

import pytest

from pytest_keyconform.limits_page import PLAIN, TIER, Asked, Published


def test_a_good_page_has_its_rows_under_the_tier():
    """What is published is the page that was given, spelled as it was."""
    status, kind, body = Published().answer()
    assert (status, kind) == (200, "application/json")
    assert json.loads(body) == {TIER: json.loads(PLAIN)}
    assert Published().good
    assert str(Published()) == PLAIN


@pytest.mark.parametrize("state", ["500", "empty", "garbled", "html", "tierless", "null"])
def test_a_bad_page_has_no_rows_under_the_tier(state):
    """No reader finds limits in it, whatever it forgives."""
    published = Published(state=state)
    status, _, body = published.answer()
    assert not published.good
    assert str(published) == state
    try:
        found = json.loads(body)
    except ValueError:
        return
    assert status != 200 or found.get(TIER) is None


def test_a_step_is_told_of_requests_and_warnings():
    """A workload learns what it can wait for; what was found of openings is for the rule."""
    assert Asked(requests=2, warnings=None, blocked="m.py:1").told() == {"requests": 2, "warnings": None}
