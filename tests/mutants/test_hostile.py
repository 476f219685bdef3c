"""A manager that misbehaves yields a clear result, never a hang or a broken report."""

import hostile
import pytest
from judging import judged, started, target_of

from pytest_keyconform.errors import UsageError

SELECTED = ("ACQ01", "ACQ10", "EXH01", "FAIL01", "FMT01", "FMT06", "FMT08", "LIVE01")
TIMEOUT = 1.0
STATUSES = {"conforms", "violated", "inconclusive", "not-applicable"}


def reports_on(factory):
    """The reports on a hostile manager, and the report of the run."""
    conformance = started(target_of(factory), select=SELECTED, profile="smoke", timeout=TIMEOUT)
    reports = judged(conformance)
    return reports, conformance.report(reports.values())


@pytest.mark.parametrize("factory", hostile.OPENED, ids=lambda factory: factory.__name__)
def test_a_hostile_manager_yields_a_clear_result(factory):
    """Each invariant gets a status, a violation its counterexample, what is undecided its reason."""
    reports, whole = reports_on(factory)
    assert {report.status for report in reports.values()} <= STATUSES
    assert all(report.counterexample for report in reports.values() if report.status == "violated")
    assert all(report.reason for report in reports.values() if report.status == "inconclusive")
    assert len(whole.invariants) == len(SELECTED)


@pytest.mark.parametrize("factory", hostile.UNOPENED, ids=lambda factory: factory.__name__)
def test_what_cannot_be_opened_is_refused(factory):
    """A target that never opens is refused with a message that names it."""
    with pytest.raises(UsageError, match=factory.__name__):
        started(target_of(factory), select=SELECTED, profile="smoke", timeout=TIMEOUT)


@pytest.mark.parametrize(
    "factory, id",
    [
        (hostile.HangsForever, "LIVE01"),
        (hostile.IgnoresCancellation, "LIVE01"),
        (hostile.Exits, "EXH01"),
        (hostile.RaisesBase, "EXH01"),
        (hostile.RaisesCancelled, "EXH01"),
        (hostile.AnswersSecrets, "ACQ10"),
        (hostile.AnswersGenerators, "ACQ10"),
        (hostile.AnswersTheUnprintable, "FMT08"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_misbehaviour_that_breaks_a_promise_is_a_violation(factory, id):
    """What a promise forbids is called a violation of it, not a trouble of the harness."""
    conformance = started(target_of(factory), select=(id,), profile="smoke", timeout=TIMEOUT)
    assert conformance.judge(id).status == "violated"


@pytest.mark.parametrize("factory", [hostile.Spins, hostile.SpinsInACoroutine], ids=lambda one: one.__name__)
def test_a_call_that_never_gives_back_the_processor_is_interrupted(factory):
    """An acquire that spins is interrupted at the time-out, and what needs it is not called conforming."""
    reports, _ = reports_on(factory)
    assert {reports[name].status for name in ("ACQ01", "ACQ10")} <= {"inconclusive", "violated"}


@pytest.mark.parametrize("factory", [hostile.Prints, hostile.EmptiesItsArguments], ids=lambda one: one.__name__)
def test_bad_manners_alone_are_no_violation(factory):
    """Printing, or changing the lists it was given, breaks none of these promises."""
    reports, _ = reports_on(factory)
    assert not [report for report in reports.values() if report.status == "violated"]
