"""The command `keyconform`; what it judges is told by a stand-in with known answers."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keyconform import catalogue, run, target_run
from pytest_keyconform.cli import main

STUB = Path(__file__).parent / "plugin" / "stub_judge.txt"


@pytest.fixture
def stubbed(monkeypatch, tmp_path):
    """Put the stand-in in the place of the judge, in an empty folder."""
    stub = runpy.run_path(str(STUB), run_name="stub")
    monkeypatch.setattr(target_run, "Conformance", stub["Conformance"])
    for module in (run, target_run):
        monkeypatch.setattr(module, "CATALOGUE", stub["CATALOGUE"])
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
    printed = capsys.readouterr()
    assert "interrupts: PARTIAL (1 invariant" in printed.out
    assert "interrupted: interrupts: 3 of 4 invariants were not judged: ACQ02, FMT05, QUO01" in printed.err
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


@pytest.mark.parametrize("target, id_, status", [("breaks", "QUO01", 0), ("ok", "QUO01", 3), ("unsure", "QUO01", 2)])
def test_waivers_of_check(stubbed, target, id_, status, capsys):
    """What is waived conforms, waiver trouble alone is 3, and what is worse counts more."""
    assert main(["waive", id_, "--reason", "the new pool comes soon", "--owner", "me"]) == 0
    assert main(["check", target]) == status
    assert ("is stale: QUO01 conforms; remove it" in capsys.readouterr().err) == (target != "breaks")


def test_diff(stubbed, capsys):
    """Diff says what changed, and exits 1 if the later report is worse."""
    for target in ("ok", "breaks"):
        main(["check", target, "--report", f"json:{target}.json"])
    capsys.readouterr()
    assert main(["diff", "ok.json", "breaks.json"]) == 1
    assert capsys.readouterr().out == (
        "worse: QUO01 conformed, and is violated now: lost\nnote: compared with another target: ok then, breaks now\n"
    )
    assert main(["diff", "breaks.json", "ok.json"]) == 0
    assert "better: QUO01 was violated (lost), and conforms now\n" in capsys.readouterr().out
    assert main(["diff", "ok.json", "ok.json"]) == 0
    assert capsys.readouterr().out == "nothing changed\n"
    assert main(["diff", "ok.json", "none.json"]) == 4
    assert capsys.readouterr().err.startswith("ERROR: B: expected a JSON report of this plugin, found none.json")


def test_list_since(stubbed, capsys, monkeypatch):
    """List --since shows what came with that version or later, and refuses one that never was."""
    monkeypatch.setattr(catalogue.CATALOGUE[1], "since", "1.10")
    monkeypatch.setattr(catalogue.CATALOGUE[2], "since", "1.9")
    assert main(["list", "--since", "1.10"]) == 0
    assert capsys.readouterr().out.splitlines() == ["ACQ02   must    keys come in turn"]
    assert main(["list", "--since", "1.2"]) == 4
    assert "--since: expected a version of the catalogue (1.0, 1.9, 1.10), found '1.2'" in capsys.readouterr().err


def test_an_interrupt_while_a_target_is_opened(stubbed, capsys):
    """Ctrl-C while a target is opened is no traceback: the report says so."""
    assert main(["check", "stuck", "--report", "json:r.json"]) == 130
    assert "stuck: 4 of 4 invariants were not judged" in capsys.readouterr().err
    assert "interrupted while it was opened" in json.loads((stubbed / "r.json").read_text(encoding="utf-8"))["error"]


def test_a_full_disk_is_no_lost_run(stubbed, capsys):
    """A report that the disk refuses is exit 4, after the summary."""
    assert main(["check", "ok", "--report", "json:/dev/full", "--report", "markdown:r.md"]) == 4
    printed = capsys.readouterr()
    assert "ok: CONFORMS" in printed.out
    assert printed.err.startswith("ERROR: --report: /dev/full could not be written (No space left on device)")
    assert (stubbed / "r.md").is_file()


@pytest.fixture
def shards(stubbed, capsys):
    """Write reports of parts of a run."""
    for name, target, more in (
        ("a", "t=breaks", ["--select", "ACQ"]),
        ("b", "t=breaks", ["--select", "FMT,QUO"]),
        ("seeded", "t=breaks", ["--select", "FMT", "--seed", "7"]),
        ("other", "ok", ["--select", "FMT"]),
        ("broken", "t=missing", []),
    ):
        main(["check", target, *more, "--report", f"json:{name}.json"])
    capsys.readouterr()
    return stubbed


def test_merge(shards, capsys):
    """The parts of a run become one report, in the order of the catalogue, with the verdict on the whole."""
    assert main(["merge", "b.json", "a.json", "--report", "json:all.json", "--report", "html:all.html"]) == 1
    whole = json.loads((shards / "all.json").read_text(encoding="utf-8"))
    assert [one["id"] for one in whole["invariants"]] == ["ACQ01", "ACQ02", "FMT05", "QUO01"]
    assert (whole["verdict"], whole["counts"]["violated"]) == ("violates", 1)
    assert "t: VIOLATES (4 invariants" in capsys.readouterr().out
    assert (shards / "all.html").is_file()
    assert main(["merge", "a.json", "--report", "json:part.json"]) == 0
    assert json.loads((shards / "part.json").read_text(encoding="utf-8"))["verdict"] == "partial"


@pytest.mark.parametrize(
    "files, message",
    [
        (["a", "a"], "a.json: expected no invariant that is in another report too, found ACQ01, which a.json has"),
        (["a", "seeded"], "seeded.json: expected seed 0 as in a.json, found 7; join reports of one run over one"),
        (["a", "other"], "other.json: expected target t as in a.json, found ok"),
        (["a", "broken"], "broken.json: expected a report of a target that was judged, found: missing: expected"),
        (["a", "none"], "none.json: expected a JSON report of this plugin, found none.json (No such file"),
    ],
)
def test_what_does_not_belong_together(shards, capsys, files, message):
    """Reports on other terms, of the same invariants or of nothing are refused, and nothing is written."""
    assert main(["merge", *(f"{name}.json" for name in files), "--report", "json:all.json"]) == 4
    assert capsys.readouterr().err.startswith(f"ERROR: {message}")
    assert not (shards / "all.json").exists()


def test_schema_shows_that_of_scenario_files(capsys):
    """`keyconform schema scenario` prints what editors complete scenario files by."""
    assert main(["schema", "scenario"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "pytest-keyconform scenario"


def test_check_runs_scenario_files(monkeypatch, tmp_path, capsys):
    """`check --scenarios` judges by files too; one that cannot be used exits 4 with its line."""
    monkeypatch.chdir(tmp_path)
    story = "title: served\nwhen:\n  - acquire: {as: a}\nthen:\n  - in_pool: {a: vertex}\n"
    (tmp_path / "wrong.yaml").write_text(story, encoding="utf-8")
    assert main(["check", "reference", "--select", "scenario", "--scenarios", "wrong.yaml"]) == 1
    assert "expected: a is a key of the vertex pool" in capsys.readouterr().out
    (tmp_path / "wrong.yaml").write_text(story.replace("acquire", "aquire"), encoding="utf-8")
    assert main(["check", "reference", "--scenarios", "wrong.yaml"]) == 4
    assert "wrong.yaml:3: when[0]: expected one of" in capsys.readouterr().err
