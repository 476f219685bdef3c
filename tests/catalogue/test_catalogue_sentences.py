"""What a rule says of calls that overlap: which answer no order explains, and what every order gives."""

from __future__ import annotations

import textwrap

import pytest

from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.catalogue.notation import EVERYTHING, read

RULES = {rule.id: rule for rule in CATALOGUE}

TOLD = {
    "QUO01, the example of every page": (
        """
        | record(lease=key-1, model=m1, tokens=5) -> True
        | record(lease=key-1, model=m1, tokens=7) -> True
        usage(key=key-1, model=m1) -> {"rpm": 1, "tpm": 5}
        """,
        """
        after record(key-1, m1, tokens=5), record(key-1, m1, tokens=7), no order lets usage(key-1, m1) answer {rpm: 1, tpm: 5}
        every order of the two records gives {rpm: 2, tpm: 12}
        usage answers a wrong rpm and tpm
        """,  # noqa: E501 - a sentence is one line
    ),
    "QUO01, while one record still runs": (
        """
        record(lease=key-1, tokens=5) -> True
        | record(lease=key-1, tokens=7) -> True
        | usage(key=key-1) -> {"rpm": 3}
        """,
        """
        after record(key-1, tokens=5), with record(key-1, tokens=7) at the same time, no order lets usage(key-1) answer {rpm: 3}
        the orders give {rpm: 2} or {rpm: 1}
        usage answers a wrong rpm
        """,  # noqa: E501 - likewise
    ),
    "FAIL03, a count": (
        """
        | fail(lease=key-1, model=m1, status=500) -> key-2
        | fail(lease=key-1, model=m1, status=500) -> key-3
        failures(key=key-1) -> 1
        """,
        """
        after fail(key-1, m1, status=500), fail(key-1, m1, status=500), no order lets failures(key-1) answer 1
        every order of the two failures gives 2
        failures tells a wrong failure count
        """,
    ),
    "FAIL13, several answers would do": (
        """
        | fail(lease=key-1, status=500) -> key-2
        | reset(key=key-1) -> True
        failures(key=key-1) -> 5
        """,
        """
        after fail(key-1, status=500), reset(key-1), no order lets failures(key-1) answer 5
        the orders of the failure and the reset give 0 or 1
        failures tells a wrong failure count
        """,
    ),
    "FAIL13, each answer alone has an order": (
        """
        given max_failures=1
        | fail(lease=key-1, status=500) -> key-2
        | reset(key=key-1) -> True
        failures(key=key-1) -> 1
        usage(key=key-1) -> {"rpm": 0}
        is_valid(key=key-1) -> True
        """,
        """
        after fail(key-1, status=500), reset(key-1), no order lets failures(key-1) answer 1 and is_valid(key-1) answer True
        every order of the failure and the reset in which failures(key-1) answers 1 gives False
        is_valid tells a key valid that is out
        """,  # noqa: E501 - likewise
    ),
    "FAIL13, a service": (
        """
        given regular=key-1
        | fail(lease=key-1, model=m1, status=429, retries=3) -> ""
        | fail(lease=key-1, model=m2, status=429, retries=3) -> ""
        acquire(model=m1) -> key-1
        """,
        """
        after fail(key-1, m1, status=429, retries=3), fail(key-1, m2, status=429, retries=3), no order lets acquire(m1) answer key-1
        no key: none is usable, in every order of the two failures
        acquire serves an unusable key
        """,  # noqa: E501 - likewise
    ),
    "ACQ11, an error": (
        """
        | record(lease=key-2, tokens=5) -> True
        | fail(lease=key-1, model=m1, status=401) -> key-2
        acquire(model=m1) -> raises typed Exhausted
        """,
        """
        after record(key-2, tokens=5), fail(key-1, m1, status=401), no order lets acquire(m1) raise Exhausted
        a usable key: key-2, key-3, in every order of the record and the failure
        acquire raises while a key is usable
        """,
    ),
    "QUO01, more calls than are named": (
        """
        record(lease=key-1, tokens=1) -> True
        record(lease=key-1, tokens=2) -> True
        record(lease=key-1, tokens=3) -> True
        | record(lease=key-1, tokens=4) -> True
        | record(lease=key-1, tokens=5) -> True
        usage(key=key-1) -> {"tpm": 9}
        """,
        """
        after record(key-1, tokens=1), record(key-1, tokens=2), record(key-1, tokens=3), record(key-1, tokens=4) and 1 more, no order lets usage(key-1) answer {tpm: 9}
        every order of the 5 records gives {tpm: 15}
        usage answers a wrong tpm
        """,  # noqa: E501 - likewise
    ),
    "QUO01, a usage that is not there": (
        """
        | record(lease=key-1, tokens=5) -> True
        | record(lease=key-1, tokens=7) -> True
        usage(key=key-1) -> None
        """,
        """
        after record(key-1, tokens=5), record(key-1, tokens=7), no order lets usage(key-1) answer None
        every order of the two records gives {rpm: 2, tpm: 12, rpd: 2}
        usage answers a wrong rpm and tpm and rpd
        """,
    ),
}

SHORT = {
    "QUO01, one call after the other": (
        """
        record(lease=key-1, tokens=5) -> True
        usage(key=key-1) -> {"rpm": 1, "tpm": 10}
        """,
        """
        usage(key=key-1) answered {rpm: 1, tpm: 10}
        tpm 5: what was recorded
        usage answers a wrong tpm
        """,
    ),
    "QUO01, before anything overlaps": (
        """
        record(lease=key-1, tokens=5) -> True
        usage(key=key-1) -> {"tpm": 10}
        | record(lease=key-2, tokens=5) -> True
        | record(lease=key-2, tokens=7) -> True
        """,
        """
        usage(key=key-1) answered {tpm: 10}
        tpm 5: what was recorded
        usage answers a wrong tpm
        """,
    ),
    "ACQ10, wrong whatever else happens": (
        """
        | fail(lease=key-1, status=500) -> key-2
        | acquire(model=m1) -> 7
        """,
        """
        acquire(model=m1) answered 7
        a plain str
        acquire answers a int
        """,
    ),
}


def lines(name, text):
    """What a rule says of a history: the observed, the expected and the signature."""
    history, policies = read(textwrap.dedent(text))
    (found,) = RULES[name.partition(",")[0]](policies, EVERYTHING).violations(history)
    return [found.observed, found.expected, found.signature]


@pytest.mark.parametrize("name", TOLD)
def test_overlapping_calls_are_told_by_all_their_orders(name):
    """The sentence names the calls, the answers that no order explains, and what the orders give instead."""
    text, told = TOLD[name]
    assert lines(name, text) == textwrap.dedent(told).strip().splitlines()


@pytest.mark.parametrize("name", SHORT)
def test_a_breach_that_no_order_bears_on_is_told_shortly(name):
    """Where calls do not overlap, or their order makes no difference, the short sentence says it all."""
    text, told = SHORT[name]
    assert lines(name, text) == textwrap.dedent(told).strip().splitlines()


@pytest.mark.parametrize("name", TOLD)
def test_a_signature_is_that_of_the_refusal(name):
    """What a baseline knows a breach by does not depend on how it is told."""
    text, _ = TOLD[name]
    *_, signature = lines(name, text)
    assert "order" not in signature
    assert "(" not in signature
