"""`keyconform selftest`: it passes here, and it would not if the harness were blind or accused the sound."""

import dataclasses

import pytest

from pytest_keyconform import catalogue, selftest
from pytest_keyconform.adapters.base import Adapter
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.cli import main
from pytest_keyconform.gate import Decision
from pytest_keyconform.report import counts_of

ACQ01 = next(kind for kind in CATALOGUE if kind.id == "ACQ01")


@pytest.fixture(scope="module")
def every():
    """Answer every check, done once."""
    return list(selftest.checks())


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Answer what judges a planted manager."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / selftest.PLANTED.name).write_text(selftest.PLANTED.read_text(encoding="utf-8"), encoding="utf-8")
    return selftest._Judge(folder)


def test_the_harness_passes(every):
    """Nothing is wrong, and every family, bug and question has its row."""
    assert [str(check) for check in every if check.wrong] == []
    names = [check.name for check in every]
    assert len(set(names)) == len(names)
    assert {f"histories of {kind.family()}" for kind in CATALOGUE} <= set(names)
    assert {f"planted {bug}" for bug in selftest.BUGS.values()} <= set(names)


@pytest.mark.parametrize(
    "answers, told", [([], "blind: ACQ01"), (["objection"], "accuses what conforms: ACQ01")], ids=["blind", "accusing"]
)
def test_a_broken_rule_is_told(monkeypatch, answers, told):
    """A rule that sees nothing, or objects to everything, is named."""

    class Broken(ACQ01.__base__, shared=True):
        id, CONFORMING, VIOLATING = "ACQ01", ACQ01.CONFORMING, ACQ01.VIOLATING

        def violations(self, history):
            yield from answers

    monkeypatch.setattr(catalogue, "CATALOGUE", (Broken,))
    assert [check.wrong for check in selftest.histories()] == [told]


def test_a_bug_that_nobody_sees_is_told(judge):
    """A planted bug that its id does not catch makes the harness blind: here there is none."""
    check = selftest.planted("ACQ01", "Sound", judge)
    assert check.wrong == "blind: ACQ01 is conforms"
    assert str(check).startswith("WRONG")


def test_an_accused_sound_manager_is_told(judge):
    """What is said against the sound manager is named: here it has a bug."""
    check = selftest.sound(lambda _name: judge("OneOver", ("QUO02",)))
    assert check.wrong == "accused: QUO02 violated"


def test_the_questions_about_a_report_can_be_failed(judge):
    """Each question about the harness has a wrong answer that it notices."""
    report = judge("Narrow", ("ACQ01", "FAIL02"))
    passed = [dataclasses.replace(one, status="conforms", lacking=()) for one in report.invariants]
    wrong = dataclasses.replace(report, invariants=tuple(passed))
    assert not selftest.missing(report).wrong
    assert selftest.missing(wrong).wrong == "taken to be there: FAIL02"
    assert selftest.counted(wrong).wrong
    assert not selftest.counted(dataclasses.replace(wrong, counts=counts_of(passed))).wrong
    assert selftest.nothing(report).wrong == "exit 0, expected 4"


def test_what_the_gate_and_the_summary_leave_out_is_told(judge, monkeypatch):
    """A gate that lets everything pass, a summary without families, an adapter that takes any name: each is told."""
    report = judge("Narrow", ("ACQ01",))
    monkeypatch.setattr(selftest, "decide", lambda *_: Decision(0))
    assert selftest.gated(report).wrong == "at 69 % and 70 % of 70 % the gate says [True, True]"
    monkeypatch.setattr(selftest.terminal, "render", lambda _report: "nothing")
    assert selftest.by_family(report).wrong == "unnamed: ACQ"
    monkeypatch.setattr(Adapter, "__init_subclass__", classmethod(lambda cls: None))
    assert selftest.misspelt().wrong == "taken for nothing: `aquire` was not refused"


@pytest.mark.parametrize("wrong, status", [("", 0), ("blind: ACQ01", 1)])
def test_the_exit_status(monkeypatch, capsys, wrong, status):
    """The command prints a row for each check, and exits 1 where one went wrong."""
    monkeypatch.setattr(selftest, "checks", lambda: iter([selftest.Check("one", "found", wrong)]))
    assert main(["selftest"]) == status
    row, last = capsys.readouterr().out.splitlines()
    assert row.split() == (["WRONG", "one", *wrong.split()] if wrong else ["ok", "one", "found"])
    assert last == ("1 checks went wrong" if wrong else "the harness sees what it should, and accuses nobody")
