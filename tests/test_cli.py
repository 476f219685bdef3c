"""The command `keyconform`; what it judges is told by a stand-in with known answers."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keyconform import catalogue, run
from pytest_keyconform.cli import main

STUB = Path(__file__).parent / "plugin" / "stub_judge.txt"


@pytest.fixture
def stubbed(monkeypatch, tmp_path):
    """Put the stand-in in the place of the judge, in an empty folder."""
    stub = runpy.run_path(str(STUB), run_name="stub")
    monkeypatch.setattr(run, "Conformance", stub["Conformance"])
    monkeypatch.setattr(run, "CATALOGUE", stub["CATALOGUE"])
    monkeypatch.setattr(catalogue, "CATALOGUE", stub["CATALOGUE"])
    monkeypatch.delenv("KEYCONFORM_TARGET", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "target, status",
    [("ok", 0), ("part", 0), ("advises", 0), ("breaks", 1), ("unsure", 2), ("bug", 2), ("empty", 4), ("missing", 4)],
)
def test_the_exit_status_of_check(stubbed, target, status):
    """0 conforms, 1 violates, 2 inconclusive only, 4 where nothing could be judged."""
    assert main(["check", target]) == status


def test_check_shows_what_is_broken(stubbed, capsys):
    """The page of each violation is printed, then the summary."""
    main(["check", "breaks"])
    printed = capsys.readouterr().out
    assert printed.startswith("QUO01 violated: n records add n requests\n  2 operations, 1 switch, found in 5 ")
    assert "breaks: VIOLATES (4 invariants" in printed


def test_a_part_of_the_catalogue_exits_0(stubbed, capsys):
    """A partial run in which nothing is wrong exits 0, and says that it is partial."""
    assert main(["check", "breaks", "--select", "ACQ"]) == 0
    assert "breaks: PARTIAL (2 invariants" in capsys.readouterr().out


def test_check_several_targets(stubbed, capsys):
    """Several targets are judged one after the other, and the worst decides."""
    assert main(["check", "ok", "mine=unsure", "--report", "json:r-{target}.json"]) == 2
    assert json.loads((stubbed / "r-ok.json").read_text(encoding="utf-8"))["verdict"] == "conforms"
    assert json.loads((stubbed / "r-mine.json").read_text(encoding="utf-8"))["verdict"] == "inconclusive"


def test_check_reads_the_files_above(stubbed, monkeypatch, capsys):
    """Settings come from the nearest folder above that has a file of them."""
    (stubbed / "keyconform.toml").write_text('target = "ok"\nseed = 7\n', encoding="utf-8")
    (stubbed / "deep").mkdir()
    monkeypatch.chdir(stubbed / "deep")
    assert main(["check"]) == 0
    assert "seed 7" in capsys.readouterr().out


def test_check_replays(stubbed, capsys):
    """--replay runs one counterexample again, alone."""
    assert main(["check", "breaks", "--replay", "QUO01:t1:r1-1"]) == 1
    printed = capsys.readouterr().out
    assert "  observed: usage(key-1) answered {rpm: 1}" in printed
    assert "replay QUO01:t1:r1-1: QUO01 violated" in printed


def test_an_interrupt_leaves_a_summary_and_a_report(stubbed, capsys):
    """After Ctrl-C what was judged is reported, and the status is that of an interrupt."""
    assert main(["check", "interrupts", "--report", "json:r.json"]) == 130
    assert "interrupts: PARTIAL (1 invariant" in capsys.readouterr().out
    assert (stubbed / "r.json").is_file()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["check"], "ERROR: expected a target to judge, found none; name one: keyconform check "),
        (["check", "ok", "--seed", "x"], "ERROR: --seed: expected a whole number from 0 on, or random, found 'x'"),
        (["check", "ok", "--select", "ACX"], "ERROR: --select: expected ids or families of the catalogue"),
        (["check", "ok", "--report", "xml:r"], "ERROR: --report: expected FORMAT:PATH"),
        (["check", "ok", "--replay", "QUO01"], "ERROR: 'QUO01' is no replay token"),
        (["check", "missing"], "ERROR: missing: expected an importable module"),
        (["explain", "ACQ1"], "ERROR: expected the id of an invariant, found 'ACQ1'; did you mean 'ACQ01'?"),
    ],
)
def test_wrong_usage(stubbed, capsys, arguments, message):
    """What cannot be used is one message and exit 4."""
    assert main(arguments) == 4
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.parametrize("arguments", [[], ["frob"], ["check", "ok", "--sed", "1", "--what"], ["schema", "x"]])
def test_what_argparse_refuses(stubbed, capsys, arguments):
    """An unknown command or flag exits 4 as well."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 4
    assert capsys.readouterr().err.startswith("ERROR: keyconform")


def test_list(stubbed, capsys):
    """List shows each invariant on a line, with its level and its promise."""
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "ACQ01   must    no key is served twice"


def test_list_as_json(stubbed, capsys):
    """List --json is a list of objects with the fields of an invariant."""
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[2] == {
        "id": "FMT05",
        "family": "FMT",
        "title": "counts are numbers",
        "level": "should",
        "since": "1.0",
        "requires": ["acquire"],
        "audits": ["000-1"],
    }


def test_explain(stubbed, capsys):
    """Explain prints the rule with a history of each kind, in any casing of its id."""
    assert main(["explain", "acq01"]) == 0
    facts, promise, why, conforms, violates = capsys.readouterr().out.split("\n\n")
    assert facts == "ACQ01 (must, since 1.0, audits 000-1)"
    assert (promise, why) == ("no key is served twice.", "Why: because.")
    assert conforms == "Conforms:\n  acquire() -> key-1"
    assert violates == 'Violates:\n  acquire() -> ""\n'


def test_list_as_markdown(stubbed, capsys):
    """List --markdown is a page with a section for each invariant."""
    assert main(["list", "--markdown"]) == 0
    sections = [line for line in capsys.readouterr().out.splitlines() if line.startswith("### ")]
    assert sections[::2] == ["### ACQ01 no key is served twice", "### FMT05 counts are numbers"]


def test_schema(capsys):
    """Schema report prints the JSON Schema of the report."""
    assert main(["schema", "report"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "pytest-keyconform report"


def test_a_closed_pipe_is_no_error(tmp_path):
    """A reader that goes away early, as in `keyconform list | head`, is no error."""
    done = subprocess.run(  # noqa: S602  # a pipe is under test
        f"{sys.executable} -m pytest_keyconform.cli schema report | true",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
