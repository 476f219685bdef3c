"""The report: folding results, and travelling as JSON."""

import json

import pytest

from pytest_keyconform.execution import Execution, Moment
from pytest_keyconform.history import History
from pytest_keyconform.operation import Answered, Claims, Form, Invocation, Operation, Phase, Raised
from pytest_keyconform.report import (
    CounterexampleReport,
    InvariantReport,
    counts_of,
    place_of,
    switches_in,
    verdict_of,
)
from pytest_keyconform.schedule import Schedule
from pytest_keyconform.verdict import Counterexample, Violation
from pytest_keyconform.workload import Given, Workload


def result(status, level="must", **more):
    """Make what came of an invariant."""
    return InvariantReport(id="ACQ01", family="ACQ", title="t", level=level, status=status, **more)


@pytest.mark.parametrize(
    "results, level, partial, verdict",
    [
        ([result("conforms")], "must", False, "conforms"),
        ([result("conforms")], "must", True, "partial"),
        ([result("conforms"), result("inconclusive")], "must", True, "inconclusive"),
        ([result("inconclusive"), result("violated")], "must", True, "violates"),
        ([result("conforms"), result("violated", "should")], "must", False, "conforms"),
        ([result("conforms"), result("violated", "should")], "should", False, "violates"),
        ([result("violated", known=True)], "must", False, "conforms"),
        ([result("waived")], "must", False, "conforms"),
        ([result("not-applicable")], "must", False, "inconclusive"),
        ([], "must", True, "inconclusive"),
    ],
)
def test_the_verdict(results, level, partial, verdict):
    """Violates > inconclusive > partial > conforms, over what gates; what judged nothing is inconclusive."""
    assert verdict_of(results, level, partial=partial) == verdict


def test_counts_name_every_status():
    """Each status is counted, also those that did not occur."""
    assert counts_of([result("conforms"), result("conforms"), result("violated")]) == {
        "conforms": 2,
        "violated": 1,
        "inconclusive": 0,
        "not-applicable": 0,
        "waived": 0,
    }


@pytest.mark.parametrize("clients, switches", [("", 0), ("0110", 0), ("112211", 1), ("1212", 2), ("1122", 0)])
def test_switches(clients, switches):
    """A switch is a change of turn that clients one after the other would not have had."""
    assert switches_in(Moment(int(client), "call", "") for client in clients) == switches


def test_a_counterexample_is_told_and_travels():
    """A counterexample becomes plain values that come back from JSON as they were."""
    operation = Operation(
        invocation=Invocation("acquire", (("model", "m1"),)),
        response=Answered("key-1"),
        called=0,
        returned=1,
        at=0.0,
        until=0.5,
        client=1,
        phase=Phase.PARALLEL,
    )
    execution = Execution(
        workload=Workload(name="two", given=Given()),
        schedule=Schedule(deviations=((3, 1),)),
        history=History(given=Given(), operations=(operation,)),
        moments=(Moment(1, "call", "acquire(model=m1)"),),
    )
    told = CounterexampleReport.of(
        Counterexample(
            violation=Violation(observed="o", expected="e", signature="s", operation=operation),
            execution=execution,
            token="ACQ01:t1:two/-/r3-1",
            engine="tasks",
            found_after=4,
        )
    )
    assert told.operations[0].call == "acquire(model=m1)"
    assert (told.operations[0].answer, told.schedule, told.found_after) == ("key-1", "r3-1", 4)
    whole = result("violated", counterexample=told, lacking=("usage",))
    assert InvariantReport.from_json(json.loads(json.dumps(whole.to_json()))) == whole


def counterexample(*, response=None, moments=(), name="acquire"):
    """Make a counterexample of one operation."""
    operation = Operation(
        invocation=Invocation(name), response=response or Answered("key-1"), called=0, returned=1, at=0.0, until=0.5
    )
    execution = Execution(
        workload=Workload(name="two", given=Given()),
        schedule=Schedule(),
        history=History(given=Given(), operations=(operation,)),
        moments=moments,
    )
    violation = Violation(observed="o", expected="e", signature="s", operation=operation)
    return Counterexample(violation=violation, execution=execution, token="t", engine="tasks", found_after=1)


@pytest.mark.parametrize(
    "found, where",
    [
        (counterexample(response=Raised("KeyError", "", typed=False, where="keys.py:9")), "keys.py:9"),
        (counterexample(moments=(Moment(1, "suspend", "await", "keys.py:7"), Moment(1, "return", ""))), "keys.py:7"),
        (counterexample(moments=(Moment(0, "suspend", "await", "keys.py:7"),)), "keys.py:3"),
        (counterexample(response=Raised("KeyError", "", typed=False)), "keys.py:3"),
        (counterexample(name="census"), ""),
    ],
)
def test_where_a_counterexample_points(found, where):
    """It is where the backend raised, else where it gave its turn away, else where the operation is defined."""
    claims = Claims(operations={"acquire": (Form(name="get_key", where="keys.py:3"),)})
    assert place_of(found, claims) == where
