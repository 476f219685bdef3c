"""Scenario files in a session: items, exit status, the fixture, and what is saved of a violation."""

import json
import re

import pytest

KEYS = '''
import asyncio


class Keys:
    """A manager that reads whose turn it is, waits, and only then moves on; it has an acquire and a report."""

    def __init__(self, api_keys):
        self.keys, self.turn, self.counts = list(api_keys), 0, {}

    async def get_key(self, model_name=None, is_vertex_key=False):
        turn = self.turn
        await asyncio.sleep(0)
        self.turn = (turn + 1) % len(self.keys)
        return self.keys[turn]

    async def update_usage(self, model_name, key_value):
        return True
'''
SHARED = """\
title: two callers get two keys
covers: [ACQ01]
when:
  - parallel:
      - acquire: {as: a}
      - acquire: {as: b}
then:
  - distinct: [a, b]
"""
SERVED = "title: a key is served\nwhen:\n  - acquire: {as: a}\nthen:\n  - in_pool: {a: regular}\n"
LEASED = "title: of leases\ngiven: {policies: {tenure: lease}}\nwhen: [{acquire: }]\nthen: [{raises: never}]\n"
BAD = "title: misspelt\nwhen:\n  - aquire: {}\nthen:\n  - raises: never\n"


@pytest.fixture
def run(pytester, monkeypatch):
    """Answer a function that runs pytest in a child process, in a folder with a manager and with scenarios."""
    pytester.makepyfile(keys=KEYS)
    for name, text in (("shared", SHARED), ("served", SERVED), ("leased", LEASED)):
        path = pytester.path / "stories" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.delenv("KEYCONFORM_TARGET", raising=False)

    def run_with(*flags):
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *flags, timeout=120)

    run_with.path = pytester.path
    return run_with


ALONE = ("--keyconform-only", "--keyconform-select=scenario")


def test_a_file_is_an_item(run):
    """Each file is an item beside the invariants: it passes, fails with its counterexample, or is skipped."""
    result = run("--keyconform=keys:Keys", *ALONE, "--keyconform-scenarios=stories", "-v", "-rs")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines_random(
        [
            "keyconform::scenario[[]stories/served] PASSED*",
            "keyconform::scenario[[]stories/shared] FAILED*",
            "keyconform::scenario[[]stories/leased] SKIPPED*",
            "scenario[[]stories/shared] violated: two callers get two keys",
            "  observed: a and b are both k1",
            "*the declared policy tenure = 'rotation'*",
            "keys:Keys: VIOLATES (3 invariants*",
        ]
    )


def test_the_command_of_a_counterexample_runs_it_again(run):
    """The command that a counterexample names finds the file, and the same breach."""
    result = run("--keyconform=keys:Keys", *ALONE, "--keyconform-scenarios=stories")
    (command,) = {line.strip() for line in result.outlines if line.startswith("  pytest --keyconform=")}
    flags = [flag.strip("'") for flag in command.split()[1:]]
    assert "--keyconform-scenarios=stories" in flags
    again = run(*flags, "--keyconform-only")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["  observed: a and b are both k1"])


def test_the_shipped_ones_have_a_name(run):
    """`builtin` and what is behind it are the files that come with the package."""
    result = run(
        "--keyconform=reference", *ALONE, "--keyconform-scenarios=builtin/audits/004-model-routing", "--co", "-q"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["keyconform::scenario[[]audits/004-model-routing/1-the-same-key-for-two-requests]"])


def test_they_are_added_to_what_is_selected(run):
    """A selection of invariants leaves the scenarios in, which were asked for, and several targets are told apart."""
    targets = ("--keyconform=one=reference", "--keyconform=two=reference")
    result = run(*targets, "--keyconform-select=ACQ10", "--keyconform-scenarios=stories/served.yaml", "--co", "-q")
    assert [line for line in result.outlines if "::" in line] == [
        f"keyconform[{name}]::{item}" for name in ("one", "two") for item in ("ACQ10", "scenario[stories/served]")
    ]


def test_the_settings_name_them_too(run):
    """`scenarios` in keyconform.toml is a list of paths, from the folder of the file on."""
    (run.path / "keyconform.toml").write_text('target = "reference"\nscenarios = ["stories/served.yaml"]\n')
    run(*ALONE).assert_outcomes(passed=1)


def test_they_run_under_xdist(run):
    """Workers judge scenarios as they judge invariants."""
    pytest.importorskip("xdist")
    result = run("--keyconform=keys:Keys", *ALONE, "--keyconform-scenarios=stories", "-n", "2")
    result.assert_outcomes(passed=1, failed=1, skipped=1)


@pytest.mark.parametrize(
    "path, told",
    [
        ("bad.yaml", "bad.yaml:3: when[[]0]: expected one of acquire*did you mean 'acquire'?"),
        ("none", "--keyconform-scenarios: expected a scenario file*found nothing there*none"),
        ("builtin/acquir", "*found nothing there: builtin/acquir*"),
    ],
)
def test_a_file_that_cannot_be_used_exits_4(run, path, told):
    """A bad file, or none, ends the run before anything is judged, with the file, the line and the mend."""
    (run.path / "bad.yaml").write_text(BAD, encoding="utf-8")
    result = run("--keyconform=reference", *ALONE, f"--keyconform-scenarios={path}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: *{told}"])


def test_the_report_has_them(run):
    """A scenario stands in the JSON report as an invariant does, and travels through its schema."""
    from pytest_keyconform.spec.report_schema import ReportModel

    run("--keyconform=keys:Keys", *ALONE, "--keyconform-scenarios=stories", "--keyconform-report=json:r.json")
    report = json.loads((run.path / "r.json").read_text(encoding="utf-8"))
    ReportModel.model_validate(report)
    found = {row["id"]: row["status"] for row in report["invariants"]}
    assert found == {
        "scenario[stories/leased]": "not-applicable",
        "scenario[stories/served]": "conforms",
        "scenario[stories/shared]": "violated",
    }


def test_the_fixture_runs_one(run):
    """The fixture passes, fails with the counterexample, skips, and refuses what is no file."""
    (run.path / "test_own.py").write_text(
        "def test_served(scenario):\n    assert scenario('stories/served.yaml').status == 'conforms'\n"
        "def test_shared(scenario):\n    scenario('stories/shared.yaml')\n"
        "def test_leased(scenario):\n    scenario('stories/leased.yaml')\n"
        "def test_shipped(scenario):\n    scenario('acquire/the-pool-that-was-asked-for')\n"
        "def test_none(scenario):\n    scenario('stories/none.yaml')\n"
    )
    result = run("--keyconform=keys:Keys", "-m", "not keyconform", "-rs")
    result.assert_outcomes(passed=1, failed=2, skipped=2, deselected=result.parseoutcomes()["deselected"])
    result.stdout.fnmatch_lines_random(
        [
            "scenario[[]stories/shared] violated: two callers get two keys",
            "scenario: expected a scenario file*found nothing there: builtin/stories/none.yaml*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_the_fixture_needs_a_target(run):
    """Without a target the fixture fails the test, and says how to name one."""
    (run.path / "test_own.py").write_text("def test_served(scenario):\n    scenario('stories/served.yaml')\n")
    result = run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["scenario: expected a target, found none; name one: --keyconform=*"])


def test_a_violation_is_saved_and_fails_again(run):
    """What breaks an invariant is saved as a scenario, which breaks the same invariant when it is run."""
    saving = ("--keyconform-only", "--keyconform-select=ACQ01,ACQ03", "--keyconform-save-failures=saved")
    first = run("--keyconform=keys:Keys", *saving)
    assert first.ret == 1
    files = sorted((run.path / "saved").rglob("*.yaml"))
    assert [file.relative_to(run.path / "saved").as_posix() for file in files] == ["keys-Keys/ACQ01.yaml"]
    again = run("--keyconform=keys:Keys", *ALONE, "--keyconform-scenarios=saved")
    again.assert_outcomes(failed=1)
    observed = re.compile(r"observed: (.*)")
    assert observed.findall(again.stdout.str()) == observed.findall(first.stdout.str())


def test_a_folder_that_cannot_be_made_exits_4(run):
    """A folder to save to that cannot be there is refused before anything is judged."""
    result = run("--keyconform=reference", "--keyconform-only", "--keyconform-save-failures=keys.py/saved")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --keyconform-save-failures: expected a folder to save to*"])


def test_scenarios_need_a_target(run):
    """The flag alone judges nothing, and says what is missing."""
    result = run("--keyconform-scenarios=stories")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --keyconform-scenarios: expected a target to judge, found none*"])


def test_yaml_is_read_only_where_there_are_scenarios(run):
    """A run without scenarios does not import the reader of YAML."""
    (run.path / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n    print('yaml read:', 'yaml' in sys.modules)\n"
    )
    flags = ("--keyconform=reference", "--keyconform-only", "--co", "-q", "-s")
    assert "yaml read: False" in run(*flags, "--keyconform-select=ACQ10").stdout.str()
    assert "yaml read: True" in run(*flags, "--keyconform-scenarios=stories").stdout.str()
