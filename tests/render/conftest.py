"""A report that has one of everything, and the texts that renderings made of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pytest_keyconform.comparison import compare
from pytest_keyconform.execution import Moment
from pytest_keyconform.render.telling import Telling
from pytest_keyconform.report import (
    CounterexampleReport,
    Coverage,
    InvariantReport,
    OperationReport,
    Report,
    Run,
    counts_of,
)

SNAPSHOTS = Path(__file__).with_name("snapshots")
FOUND = CounterexampleReport(
    operations=(
        OperationReport(
            call="open(regular=[key-1, key-2])", answer="None", client=0, phase="setup", at=0.0, called=0, returned=1
        ),
        OperationReport(
            call="acquire(model=m1)", answer="key-1", client=1, phase="parallel", at=0.0, called=2, returned=5
        ),
        OperationReport(
            call="acquire(model=m1)", answer=None, client=2, phase="parallel", at=0.0, called=3, returned=None
        ),
    ),
    schedule="r1-1",
    expected="every order serves 2 different keys",
    observed="2 overlapping acquires were served key-1, key-1",
    replay="ACQ01:t1:two/-/r1-1",
    switches=1,
    found_after=5,
    snippet='from keys import Manager\n\n\ndef main():\n    print(Manager(["<key-1>"]).get_key())\n\n\nmain()\n',
    timeline=(
        Moment(1, "call", "acquire(model=m1)"),
        Moment(1, "suspend", "await asyncio.sleep(0)", "src/my keys.py:12"),
        Moment(2, "call", "acquire(model=m1)"),
        Moment(2, "suspend", "await asyncio.sleep(0)", "/opt/lib/locks.py:7"),
        Moment(1, "return", "key-1"),
    ),
    note="it depends on chance",
    where="src/my keys.py:12",
)


def one(id_, status, level="must", **more):
    """Make what came of an invariant."""
    family = id_.rstrip("0123456789")
    fields = {
        "title": f"the promise of `{id_.lower()}`",
        "audits": ("000-1",),
        "executions": 7,
        "seconds": 0.25,
        **more,
    }
    return InvariantReport(id=id_, family=family, level=level, status=status, engines=("tasks",), **fields)


def report_of(*invariants, **more):
    """Make a report of these."""
    fields = {
        "target": "app:make",
        "verdict": "violates",
        "policies": {"tenure": "lease"},
        "operations": ("acquire", "usage"),
        "run": Run(
            started="2026-03-01T12:00:00+00:00", duration=1.25, python="3.13.1", platform="Linux", plugin="0.1.0"
        ),
        **more,
    }
    return Report(profile="ci", seed=3, counts=counts_of(invariants), invariants=invariants, **fields)


@pytest.fixture
def report():
    """Answer a report that has one of everything."""
    return report_of(
        one("ACQ01", "violated", counterexample=FOUND, signature="one key"),
        one("ACQ02", "conforms", exhausted=True),
        one("EXH01", "inconclusive", reason="it hangs"),
        one("FMT05", "violated", "should", counterexample=FOUND, signature="text"),
        one("QUO01", "violated", known=True, counterexample=FOUND, signature="lost"),
        one("QUO02", "waived", waiver="for now (me, expires 2026-04-01)", counterexample=FOUND, signature="late"),
        one("VTX01", "not-applicable", lacking=("usage",)),
        coverage={"src/keys.py": COVERED},
    )


@pytest.fixture
def broken():
    """Answer the report of a target that could not be opened."""
    return report_of(error="app:make: expected an importable module", verdict="inconclusive", operations=())


@pytest.fixture
def telling(report):
    """Answer a telling with an earlier report, in which one was better and one was worse."""
    then = {"ACQ01": "conforms", "ACQ02": "inconclusive"}
    changed = (dataclasses.replace(result, status=then.get(result.id, result.status)) for result in report.invariants)
    earlier = dataclasses.replace(report, invariants=tuple(changed))
    return Telling(asked="mine=app:make", comparison=compare(earlier, report))


COVERED = Coverage(lines=6, reached=5, branches=2, taken=2, percent=87.5, missing=("7-8", "9 (1 of 2 ways)"))
NASTY = "<script>alert(1)</script>\x1b[31m\n::error::]]>&\"'`</textarea>\ud800\u202e|@team"


@pytest.fixture
def hostile(report):
    """Answer the same report with a hostile text in the place of each that comes from a backend or from a user."""
    found = dataclasses.replace(
        FOUND,
        operations=tuple(dataclasses.replace(item, call=NASTY, answer=NASTY) for item in FOUND.operations),
        timeline=(*(dataclasses.replace(item, text=NASTY, where=f"{NASTY}:3") for item in FOUND.timeline),),
        **dict.fromkeys(("expected", "observed", "note", "replay", "schedule"), NASTY),
        where=f"{NASTY}:3",
    )
    invariants = tuple(
        dataclasses.replace(
            result,
            title=NASTY,
            reason=NASTY,
            lacking=(NASTY,),
            waiver=NASTY if result.status == "waived" else None,
            counterexample=found if result.counterexample else None,
        )
        for result in report.invariants
    )
    names = {
        "target": NASTY,
        "policies": {NASTY: NASTY},
        "operations": (NASTY,),
        "error": NASTY,
        "coverage": {NASTY: COVERED},
    }
    return dataclasses.replace(report, invariants=invariants, **names)


@pytest.fixture
def same(tmp_path):
    """Hold a text against the one that is kept; where it differs, say which command takes it over."""

    def compared(name, text):
        kept, made = SNAPSHOTS / name, tmp_path / name
        made.write_text(text, encoding="utf-8")
        before = kept.read_text(encoding="utf-8") if kept.exists() else ""
        assert text == before, f"look at it, then: cp {made} {kept}"

    return compared
