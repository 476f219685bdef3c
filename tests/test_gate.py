"""The gate: a report and a level in, an exit status and the reasons out."""

import pytest

from pytest_keyconform.gate import decide
from pytest_keyconform.report import InvariantReport, Report, counts_of, verdict_of


def report(*statuses, level="must", **more):
    """Make a report of invariants with these statuses."""
    invariants = tuple(
        InvariantReport(
            id=f"ACQ{number:02}", family="ACQ", title="a promise", level=level, status=status, lacking=("usage",)
        )
        for number, status in enumerate(statuses, start=1)
    )
    return Report(
        target="app:make",
        profile="ci",
        seed=0,
        verdict=verdict_of(invariants, "must"),
        counts=counts_of(invariants),
        policies={},
        operations=(),
        invariants=invariants,
        **more,
    )


@pytest.mark.parametrize(
    "statuses, own, gating, status",
    [
        (["conforms", "conforms"], "must", "must", 0),
        (["conforms", "not-applicable"], "must", "must", 0),
        (["conforms", "violated"], "must", "must", 1),
        (["conforms", "inconclusive"], "must", "must", 1),
        (["conforms", "waived"], "must", "must", 0),
        (["violated"], "should", "must", 0),
        (["inconclusive"], "should", "must", 0),
        (["violated"], "should", "should", 1),
        (["not-applicable"], "must", "must", 4),
        ([], "must", "must", 0),
    ],
)
def test_the_exit_status(statuses, own, gating, status):
    """What gates and is violated or inconclusive is 1, a run that judged nothing is 4, anything else passes."""
    decision = decide(report(*statuses, level=own), gating)
    assert (decision.exit, bool(decision.reasons)) == (status, status != 0)


def test_an_error_is_unusable():
    """A target that could not be judged is 4, and the reason is its error."""
    decision = decide(report(error="no such module"), "must")
    assert (decision.exit, decision.reasons) == (4, ("no such module",))


def test_nothing_judged_says_what_is_lacking():
    """A run that judged nothing names the operations that would have been needed."""
    (reason,) = decide(report("not-applicable", "not-applicable"), "must").reasons
    assert reason.startswith("app:make: none of the 2 invariants could be judged: it lacks usage. ")
