"""Two reports compared."""

import pytest

from pytest_keyconform.comparison import compare, same_violation
from pytest_keyconform.report import InvariantReport, Report, counts_of


def one(status, **more):
    """Make what came of an invariant."""
    fields = {"id": "ACQ01", "family": "ACQ", "title": "a promise", "level": "must", "status": status, **more}
    return InvariantReport(**fields)


def report(*invariants, **more):
    """Make a report of these."""
    fields = {"target": "app:make", "profile": "ci", "seed": 0, "verdict": "conforms", "policies": {}, **more}
    return Report(**fields, operations=(), counts=counts_of(invariants), invariants=invariants)


@pytest.mark.parametrize(
    "then, now, worse",
    [
        (one("conforms"), one("violated", signature="s"), "conformed, and is violated now: s"),
        (one("conforms"), one("inconclusive", reason="r"), "conformed, and is inconclusive now: r"),
        (
            one("conforms"),
            one("not-applicable", lacking=("usage",)),
            "conformed, and does not apply any more: lacks usage",
        ),
        (
            one("violated", signature="s"),
            one("not-applicable", reason="r"),
            "was violated (s), and does not apply any more: r",
        ),
        (
            one("violated", signature="s"),
            one("violated", signature="t"),
            "was violated (s), and is violated in a new way now: t",
        ),
        (
            one("waived", signature="s"),
            one("violated", signature="t"),
            "was waived (s), and is violated in a new way now: t",
        ),
        (
            one("inconclusive"),
            one("violated", signature="t"),
            "was inconclusive, and is violated in a new way now: t",
        ),
        (
            one("not-applicable"),
            one("violated", signature="t"),
            "did not apply, and is violated in a new way now: t",
        ),
        (
            one("conforms", engines=("tasks", "threads")),
            one("conforms", engines=("tasks",)),
            "is no longer judged on threads",
        ),
        (one("conforms", exhausted=True), one("conforms"), "is no longer judged in every order there is"),
        (one("conforms"), one("violated", level="should"), "conformed, and is violated now"),
    ],
)
def test_what_got_worse(then, now, worse):
    """Each way in which an invariant gets worse is found and named."""
    found = compare(report(then), report(now))
    assert [str(change) for change in found.worse] == [f"ACQ01 {worse}"]
    assert found.better == ()


@pytest.mark.parametrize(
    "then, now, better",
    [
        (one("violated", signature="s"), one("conforms"), "was violated (s), and conforms now"),
        (one("waived"), one("conforms"), "was waived, and conforms now"),
        (one("inconclusive"), one("conforms"), "was inconclusive, and conforms now"),
        (one("not-applicable"), one("conforms"), "did not apply, and conforms now"),
        (one("conforms"), one("conforms", engines=("threads",)), "is judged on threads too"),
        (one("conforms"), one("conforms", exhausted=True), "is judged in every order there is"),
    ],
)
def test_what_got_better(then, now, better):
    """Each way in which an invariant gets better is named, and is not worse."""
    found = compare(report(then), report(now))
    assert [str(change) for change in found.better] == [f"ACQ01 {better}"]
    assert found.worse == ()


@pytest.mark.parametrize(
    "then, now",
    [
        (one("conforms", seconds=1.0), one("conforms", seconds=2.0)),
        (one("violated", signature="s"), one("violated", signature="s", known=True)),
        (one("inconclusive", reason="a"), one("inconclusive", reason="b")),
        (one("not-applicable"), one("not-applicable")),
        (one("not-applicable"), one("inconclusive")),
        (one("violated", signature="s", engines=("tasks",)), one("violated", signature="s", engines=("threads",))),
        (one("conforms"), one("violated", pinned=True)),
        (one("conforms"), one("conforms", id="ACQ02")),
    ],
)
def test_what_is_as_it_was(then, now):
    """Times, known violations, engines of what stopped at its violation, invariants after the pinned version."""
    found = compare(report(then), report(now))
    assert (found.worse, found.better) == ((), ())


@pytest.mark.parametrize(
    "then, now, note",
    [
        (report(target="a"), report(target="b"), "compared with another target: a then, b now"),
        (report(spec="0.9"), report(), "compared with another spec: 0.9 then, 1.0 now"),
        (report(seed=1), report(), "compared with another seed: 1 then, 0 now"),
        (report(error="no module"), report(one("conforms")), "the earlier run judged nothing: no module"),
        (
            report(one("conforms"), one("conforms", id="ACQ03")),
            report(one("conforms"), one("conforms", id="ACQ02")),
            "first judged now: ACQ02",
        ),
        (
            report(one("conforms")),
            report(one("waived", waiver="for now")),
            "ACQ01 conformed, and is waived now: for now",
        ),
        (
            report(one("violated", signature="s")),
            report(one("inconclusive", reason="r")),
            "ACQ01 was violated (s), and is inconclusive now: r",
        ),
    ],
)
def test_notes(then, now, note):
    """What cannot be compared, or was accepted, is a note."""
    found = compare(then, now)
    assert found.notes[0] == note
    assert found.worse == ()


def test_another_profile_exhausts_otherwise():
    """What a smaller budget does not exhaust is not worse; that an engine is lost is, with any budget."""
    then = report(one("conforms", exhausted=True, engines=("tasks",)))
    found = compare(then, report(one("conforms"), profile="smoke"))
    assert [str(change) for change in found.worse] == ["ACQ01 is no longer judged on tasks"]
    assert found.notes == ("compared with another profile: ci then, smoke now",)


def test_a_target_that_cannot_be_judged_any_more():
    """A target that could be judged and cannot be any more is worse."""
    found = compare(report(one("conforms")), report(error="no module"))
    assert found.lines() == ["worse: app:make could be judged, and cannot be any more: no module"]


def test_a_violation_without_a_signature_is_never_the_same():
    """What has no signature cannot be told from another violation."""
    assert not same_violation(one("violated"), one("violated"))
