"""From a history to a judgement: a violation, nothing, or the reason why it could not be judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_keyconform.catalogue.acquire import UnusableNotServed
from pytest_keyconform.catalogue.available import AnswersWhileUsable
from pytest_keyconform.catalogue.notation import EVERYTHING, read
from pytest_keyconform.engine.explore import Unjudged
from pytest_keyconform.history import Ending, History
from pytest_keyconform.judging import judge_of
from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.verdict import Violation

if TYPE_CHECKING:
    from pytest_keyconform.catalogue.invariant import Invariant


def judged(text: str, kind: type[Invariant] = UnusableNotServed) -> Violation | Unjudged | None:
    """Judge a history in the notation."""
    history, policies = read(text)
    return judge_of(kind(policies, EVERYTHING))(history)


def test_a_breach_is_a_violation() -> None:
    """What breaks the promise is a violation, with what was observed."""
    found = judged('acquire(model=m1) -> ""', AnswersWhileUsable)
    assert isinstance(found, Violation)
    assert "acquire" in found.observed


def test_a_sound_history_is_neither() -> None:
    """A history that keeps the promise raises no objection."""
    assert judged("acquire(model=m1) -> key-1") is None


@pytest.mark.parametrize(
    "text,why",
    [
        ("usage(key=key-1) -> raises KeyError", "usage"),
        ("fail(lease=key-1, model=m1, status=500) -> pending", "never answered"),
    ],
)
def test_what_hinders_the_judging_is_said(text: str, why: str) -> None:
    """An error of another operation and a call that never ends leave the promise unjudged, with the reason."""
    found = judged(text)
    assert isinstance(found, Unjudged)
    assert why in found.why
    assert not found.mild


def test_a_step_left_out_is_a_mild_reason() -> None:
    """A step that had nothing to act on says less, not nothing."""
    found = judged("acquire(model=m1) -> key-1\nrecord(lease=key-1) -> skipped")
    assert isinstance(found, Unjudged)
    assert found.mild


def test_who_was_closed_may_refuse() -> None:
    """What a manager that was closed refuses by an error of its own says nothing against it; an accident does."""
    refused = judged("close() -> None\nusage(key=key-1) -> raises typed Closed")
    assert isinstance(refused, Unjudged)
    assert refused.mild
    accident = judged("close() -> None\nusage(key=key-1) -> raises KeyError")
    assert isinstance(accident, Unjudged)
    assert not accident.mild


def test_a_rule_that_crashes_judges_nothing() -> None:
    """A broken examiner neither passes nor fails the candidate."""

    class Broken(UnusableNotServed.__mro__[1]):  # type: ignore[name-defined,misc] # the base class of all rules
        """A rule that crashes.

        Why: x. How it breaks: x. Fix: x.
        """

        id = "ACQ99"
        audits = ("x",)
        CONFORMING = ("x",)
        VIOLATING = ("x",)

        def workloads(self):  # type: ignore[no-untyped-def] # never asked
            yield from ()

        def violations(self, history: History):  # type: ignore[no-untyped-def] # it only crashes
            raise ZeroDivisionError(history)

    found = judge_of(Broken(Policies(), EVERYTHING))(read("acquire() -> key-1")[0])
    assert isinstance(found, Unjudged)
    assert "ACQ99" in found.why
    assert "ZeroDivisionError" in found.why


def test_a_livelock_is_no_pass() -> None:
    """An execution that never came to its end is not judged as if it had."""
    history, policies = read("acquire(model=m1) -> key-1")
    found = judge_of(UnusableNotServed(policies, EVERYTHING))(replace(history, ending=Ending.LIVELOCK))
    assert isinstance(found, Unjudged)
