"""The gate: a report and a policy in, an exit status and the reasons out."""

import dataclasses
import datetime as dt

import pytest

from pytest_keyconform.gate import Policy, decide, ruled
from pytest_keyconform.report import InvariantReport, Report, counts_of, verdict_of
from pytest_keyconform.spec.waivers import Waiver

TODAY = dt.date(2026, 3, 1)


def invariant(status, id="ACQ01", level="must", **more):
    """Make what came of an invariant."""
    return InvariantReport(id=id, family="ACQ", title="a promise", level=level, status=status, **more)


def report(*statuses, level="must", **more):
    """Make a report of invariants with these statuses."""
    return whole(
        *(
            invariant(status, id=f"ACQ{number:02}", level=level, lacking=("usage",))
            for number, status in enumerate(statuses, start=1)
        ),
        **more,
    )


def whole(*invariants, **more):
    """Make a report of these results."""
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


def waiver(**more):
    """Make a waiver of ACQ01 that lasts another month."""
    fields = {
        "id": "ACQ01",
        "reason": "accepted for now",
        "owner": "me",
        "added": dt.date(2026, 1, 1),
        "expires": dt.date(2026, 4, 1),
        "where": "w.toml:3",
        **more,
    }
    return Waiver(**fields)


def policy(*waivers, **more):
    """Make a policy."""
    return Policy(today=TODAY, waivers=waivers, **more)


def judged(result, held):
    """Rule on a result and decide on a report of it alone."""
    return decide(whole(ruled(result, target="app:make", policy=held)), held)


@pytest.mark.parametrize(
    "statuses, own, gating, status, finer",
    [
        (["conforms", "conforms"], "must", "must", 0, 0),
        (["conforms", "not-applicable"], "must", "must", 0, 0),
        (["conforms", "violated"], "must", "must", 1, 1),
        (["conforms", "inconclusive"], "must", "must", 1, 2),
        (["violated", "inconclusive"], "must", "must", 1, 1),
        (["conforms", "waived"], "must", "must", 0, 0),
        (["violated"], "should", "must", 0, 0),
        (["inconclusive"], "should", "must", 0, 0),
        (["violated"], "should", "should", 1, 1),
        (["not-applicable"], "must", "must", 4, 4),
        ([], "must", "must", 0, 0),
    ],
)
def test_the_exit_status(statuses, own, gating, status, finer):
    """What gates and is violated or inconclusive is 1, a run that judged nothing is 4, anything else passes."""
    decision = decide(report(*statuses, level=own), policy(level=gating))
    assert (decision.exit, decision.status(), bool(decision.reasons)) == (status, finer, status != 0)


def test_an_error_is_unusable():
    """A target that could not be judged is 4, and the reason is its error."""
    decision = decide(report(error="no such module"), policy())
    assert (decision.exit, decision.lines()) == (4, ["ERROR: no such module"])


def test_nothing_judged_says_what_is_lacking():
    """A run that judged nothing names the operations that would have been needed."""
    (reason,) = decide(report("not-applicable", "not-applicable"), policy()).reasons
    assert str(reason).startswith("app:make: none of the 2 invariants could be judged: it lacks usage. ")


def test_a_manager_of_which_nothing_was_asked_is_told_so():
    """Who has many operations is a key manager: what was selected is what does not fit."""
    operations = ("acquire", "fail", "record", "status")
    (reason,) = decide(dataclasses.replace(report("not-applicable"), operations=operations), policy()).reasons
    assert str(reason).endswith("Select others, which `keyconform list` names")


@pytest.mark.parametrize("status", ["violated", "inconclusive"])
def test_a_waiver_covers(status):
    """A waived deviation passes, and the report says why."""
    result = ruled(invariant(status, signature="s"), target="app:make", policy=policy(waiver()))
    assert (result.status, result.waiver) == ("waived", "accepted for now (me, expires 2026-04-01)")
    assert decide(whole(result), policy(waiver())).exit == 0


@pytest.mark.parametrize(
    "result, more",
    [
        (invariant("violated", signature="s"), {"signature": "other"}),
        (invariant("violated", signature="s"), {"target": "other"}),
        (invariant("violated", signature="s"), {"id": "ACQ02"}),
        (invariant("inconclusive"), {"signature": "s"}),
        (invariant("inconclusive", cut_short=True), {}),
        (invariant("violated", signature="s", cut_short=True), {"signature": "s"}),
    ],
)
def test_what_no_waiver_covers(result, more):
    """Another violation, another target, another invariant, a crash or a time-out: the gate fails as ever."""
    held = policy(waiver(**more))
    assert ruled(result, target="app:make", policy=held) == result
    assert judged(result, held).exit == 1


def test_why_a_waiver_does_not_cover():
    """Where there is a waiver that does not cover, the reason says why."""
    (other,) = judged(invariant("violated", signature="s"), policy(waiver(signature="t"))).reasons
    assert str(other).endswith("the waiver at w.toml:3 covers another violation: 't', not 's'")
    (crash,) = judged(invariant("inconclusive", cut_short=True), policy(waiver())).reasons
    assert str(crash).endswith("the waiver at w.toml:3 does not cover it: a crash or a time-out is never waived")


def test_the_nearest_waiver_is_named():
    """Of two that cover, the one that names the violation is what the report shows."""
    held = policy(waiver(), waiver(signature="s", reason="this very one", target="app:make"))
    assert ruled(invariant("violated", signature="s"), target="app:make", policy=held).waiver.startswith("this very")


@pytest.mark.parametrize("status", ["violated", "conforms", "not-applicable"])
def test_an_expired_waiver_fails(status):
    """A waiver that is expired fails the gate, whatever came of its invariant, and that is waiver trouble alone."""
    held = policy(waiver(expires=dt.date(2026, 2, 28)))
    result = ruled(invariant(status), target="app:make", policy=held)
    decision = decide(whole(result, invariant("conforms", id="ACQ02")), held)
    assert (decision.exit, decision.status()) == (1, 3)
    (line,) = decision.lines()
    assert line.startswith("ERROR: w.toml:3: the waiver of ACQ01 expired on 2026-02-28; mend the deviation and remove ")


def test_a_stale_waiver_fails():
    """A waiver whose invariant conforms fails the gate: it must not lie in wait for the next deviation."""
    decision = judged(invariant("conforms"), policy(waiver()))
    assert (decision.exit, decision.status()) == (1, 3)
    assert decision.lines() == ["ERROR: w.toml:3: the waiver of ACQ01 is stale: ACQ01 conforms; remove it"]


@pytest.mark.parametrize(
    "status, more", [("not-applicable", {}), ("conforms", {"target": "b"}), ("conforms", {"id": "X1"})]
)
def test_what_is_not_stale(status, more):
    """What did not run and conform for this target is not held against its waiver."""
    held = policy(waiver(**more))
    result = ruled(invariant(status), target="app:make", policy=held)
    assert decide(whole(result, invariant("conforms", id="ACQ02")), held).exit == 0


@pytest.mark.parametrize(
    "day, warning",
    [
        (dt.date(2026, 3, 16), []),
        (dt.date(2026, 3, 15), ["WARNING: w.toml:3: the waiver of ACQ01 expires in 14 days (2026-03-15; me)"]),
        (dt.date(2026, 3, 2), ["WARNING: w.toml:3: the waiver of ACQ01 expires tomorrow (2026-03-02; me)"]),
        (TODAY, ["WARNING: w.toml:3: the waiver of ACQ01 expires today (2026-03-01; me)"]),
    ],
)
def test_a_waiver_that_ends_soon(day, warning):
    """From 14 days before its end on a waiver warns, and the gate passes until it is over."""
    decision = judged(invariant("violated"), policy(waiver(expires=day)))
    assert (decision.exit, decision.lines()) == (0, warning)


def test_waivers_of_a_should():
    """A waived SHOULD is waived as well, also where SHOULDs do not gate."""
    result = ruled(invariant("violated", level="should"), target="app:make", policy=policy(waiver()))
    assert dataclasses.replace(result, status="violated", waiver=None) == invariant("violated", level="should")


def test_a_known_violation_passes():
    """A violation that the baseline has too passes as known; another one of the same invariant does not."""
    held = policy(earlier=whole(invariant("violated", signature="s")))
    result = ruled(invariant("violated", signature="s"), target="app:make", policy=held)
    assert (result.known, result.status) == (True, "violated")
    assert decide(whole(result), held).exit == 0
    decision = judged(invariant("violated", signature="t"), held)
    assert decision.lines() == [
        "ERROR: worse than the baseline: ACQ01 was violated (s), and is violated in a new way now: t"
    ]
    assert (decision.exit, decision.status()) == (1, 1)


def test_what_got_worse_fails_although_it_is_advisory():
    """A SHOULD that conformed and does not any more fails the gate, which names what got better as well."""
    held = policy(earlier=whole(invariant("conforms", level="should"), invariant("violated", id="ACQ02")))
    now = whole(invariant("violated", level="should", signature="s"), invariant("conforms", id="ACQ02"))
    decision = decide(now, held)
    assert (decision.exit, decision.status()) == (1, 1)
    assert decision.lines() == [
        "ERROR: worse than the baseline: ACQ01 conformed, and is violated now: s",
        "better: ACQ02 was violated, and conforms now",
    ]


@pytest.mark.parametrize(
    "kind, operations, lacking",
    [
        ("in-process", {"acquire", "record", "usage", "state", "reset_all"}, []),
        ("in-process", {"acquire", "usage", "status", "reset"}, ["record"]),
        ("in-process", {"acquire", "record", "usage"}, ["status or state", "reset, reset_all or reactivate"]),
        ("shared-store", {"acquire", "record", "usage", "status", "reset"}, ["open", "close"]),
        ("service", {"acquire", "record", "usage", "status", "reset", "open", "close"}, ["health", "reload"]),
        (None, {"acquire"}, []),
    ],
)
def test_what_a_kind_must_have(kind, operations, lacking):
    """A backend that lacks an operation of its kind fails the gate, which says which."""
    one = dataclasses.replace(whole(invariant("conforms")), operations=tuple(operations))
    decision = decide(one, policy(require=kind))
    assert decision.exit == decision.status() == (1 if lacking else 0)
    assert decision.lines() == [
        f"ERROR: app:make lacks {names}, which a backend of kind {kind} must have" for names in lacking
    ]


def test_what_is_later_than_the_pinned_catalogue():
    """What the pinned catalogue does not have yet gates at no level."""
    held = policy(later=frozenset({"ACQ01"}), level="should")
    result = ruled(invariant("violated"), target="app:make", policy=held)
    assert (result.pinned, result.gates("should")) == (True, False)
    assert decide(whole(result), held).exit == 0
