"""The summary for the terminal and the report as JSON."""

import json
import textwrap
from dataclasses import replace

import pytest
from pydantic import ValidationError

from pytest_keyconform.execution import Moment
from pytest_keyconform.render import json as as_json
from pytest_keyconform.render import terminal
from pytest_keyconform.report import (
    CounterexampleReport,
    InvariantReport,
    OperationReport,
    Report,
    Run,
    counts_of,
    verdict_of,
)

FOUND = CounterexampleReport(
    operations=(
        OperationReport(call="acquire()", answer=None, client=1, phase="parallel", at=0.5, called=0, returned=None),
    ),
    schedule="f2-1~9",
    expected="a key",
    observed="none",
    replay="ACQ02:t1:two/-/f",
    timeline=(Moment(1, "call", "acquire()"),),
)


def invariant(id_, status, level="must", **more):
    """Make what came of an invariant."""
    family = id_.rstrip("0123456789")
    return InvariantReport(
        id=id_, family=family, title=f"promise of {id_}", level=level, status=status, executions=7, **more
    )


def report(*invariants, **more):
    """Make a report of these."""
    fields = {"policies": {}, "operations": ("acquire",), "run": Run(duration=1.25), **more}
    return Report(
        target="app:make",
        profile="ci",
        seed=3,
        verdict=verdict_of(invariants, "must"),
        counts=counts_of(invariants),
        invariants=invariants,
        **fields,
    )


MIXED = report(
    invariant("ACQ01", "conforms"),
    invariant("ACQ02", "violated", counterexample=FOUND, signature="starved"),
    invariant("FMT05", "violated", level="should", counterexample=FOUND),
    invariant("QUO01", "inconclusive", reason="it hangs"),
    invariant("QUO02", "not-applicable", lacking=("usage",)),
    policies={"tenure": "lease", "sentinel": None},
)


def test_the_summary():
    """The summary counts by family, names what is advisory, what is broken and how to run it again, and judges."""
    assert terminal.render(MIXED) == textwrap.dedent(
        """\
        family  conforms  violated  inconclusive  not applicable
        ACQ            1         1             ·               ·
        FMT            ·         1             ·               ·
        QUO            ·         ·             1               1
        total          1         2             1               1
        advisory: FMT05 violated: promise of FMT05
        ACQ02 violated: promise of ACQ02
          pytest --keyconform=app:make --keyconform-replay=ACQ02:t1:two/-/f
        QUO01 inconclusive: promise of QUO01
          it hangs
        policies: sentinel=None, tenure=lease
        app:make: VIOLATES (5 invariants, 35 executions, profile ci, seed 3, spec 1.0, 1.2 s)"""
    )


def test_the_level_moves_a_should_among_what_is_broken():
    """Where SHOULDs gate none is advisory, and each has its replay command, for the target as it was named."""
    text = terminal.render(MIXED, level="should", asked="mine=app:make")
    assert "advisory" not in text
    assert text.count("pytest --keyconform=mine=app:make --keyconform-replay=") == 2


@pytest.mark.parametrize(
    "status, text",
    [("conforms", "conforms, the counterexample no longer shows"), ("violated", "violated")],
)
def test_a_replay_is_told(status, text):
    """What came of a replay is said in a line."""
    found = FOUND if status == "violated" else None
    lines = terminal.render(report(invariant("ACQ02", status, counterexample=found)), replay="ACQ02:t1:x")
    assert f"replay ACQ02:t1:x: ACQ02 {text}" in lines.splitlines()


def test_json_comes_back():
    """What is written as JSON is read back as the same report."""
    assert Report.from_json(json.loads(as_json.render(MIXED))) == MIXED


def test_json_is_sorted_and_ends_with_a_line_break():
    """Keys are sorted, so that two reports can be compared as text."""
    text = as_json.render(MIXED)
    plain = json.loads(text)
    assert list(plain) == sorted(plain)
    assert text.endswith("}\n")
    assert set(plain) == {
        *("schema", "spec", "target", "profile", "seed", "verdict", "counts", "policies", "operations"),
        *("invariants", "error", "coverage", "run"),
    }


def test_json_says_only_what_the_schema_allows():
    """A report that the schema does not allow is not written."""
    with pytest.raises(ValidationError, match="verdict"):
        as_json.render(replace(MIXED, verdict="perhaps"))
