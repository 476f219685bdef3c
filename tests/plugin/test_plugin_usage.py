"""What cannot be used is refused: exit 4, one message, no traceback."""

import json

import pytest


def refused(result):
    """Answer the one message of a run that was refused."""
    assert result.ret == 4
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    (line,) = (line for line in result.errlines if line.strip())
    return line


@pytest.mark.parametrize(
    "flag, message",
    [
        ("profile=fast", "--keyconform-profile: expected smoke, ci or deep, found 'fast'"),
        ("level=may", "--keyconform-level: expected must or should, found 'may'"),
        ("seed=-1", "--keyconform-seed: expected a whole number from 0 on, or random, found '-1'"),
        ("seed=x", "--keyconform-seed: expected a whole number from 0 on, or random, found 'x'"),
        ("timeout=0", "--keyconform-timeout: expected a number of seconds above 0, found '0'"),
        ("timeout=nan", "--keyconform-timeout: expected a number of seconds above 0, found 'nan'"),
        ("max-time=soon", "--keyconform-max-time: expected a number of seconds above 0, found 'soon'"),
    ],
)
def test_a_bad_value(stub, flag, message):
    """A flag with a value that cannot be used names what was expected and what was found."""
    assert refused(stub("--keyconform=ok", f"--keyconform-{flag}")) == f"ERROR: {message}"


def test_an_unknown_id(stub):
    """An id that the catalogue does not have is refused with the nearest one."""
    message = refused(stub("--keyconform=ok", "--keyconform-select=ACQ01,FTM05"))
    assert "found 'FTM05'; did you mean 'FMT05'?" in message


@pytest.mark.parametrize("report", ["xml:r.xml", "json", "json:", "r.json"])
def test_an_unknown_format(stub, report):
    """A report of a form that there is not names those that there are."""
    message = refused(stub("--keyconform=ok", f"--keyconform-report={report}"))
    assert "expected FORMAT:PATH with one of the formats json" in message


def test_a_report_that_cannot_be_written(stub, pytester):
    """A report into a folder that is not there, or onto one that is, is refused before anything is judged."""
    pytester.mkdir("folder")
    for path in ("missing/r.json", "folder"):
        message = refused(stub("--keyconform=ok", "--keyconform-only", f"--keyconform-report=json:{path}"))
        assert "expected a path that can be written" in message
    assert not (pytester.path / "missing").exists()


def test_one_file_for_two_targets(stub):
    """Two targets cannot share a report's file; with {target} in its name each has its own."""
    targets = ("--keyconform=ok", "--keyconform=mine=breaks", "--keyconform-only")
    assert "put {target} into its name" in refused(stub(*targets, "--keyconform-report=json:r.json"))
    stub(*targets, "--keyconform-report=json:r-{target}.json")
    verdicts = {
        name: json.loads((stub.path / f"r-{name}.json").read_text(encoding="utf-8"))["verdict"]
        for name in ("ok", "mine")
    }
    assert verdicts == {"ok": "conforms", "mine": "violates"}


def test_two_targets_of_one_name(stub):
    """Two targets of one name are refused, with how to name them."""
    message = refused(stub("--keyconform=ok", "--keyconform=ok"))
    assert "two targets are called 'ok'; name each one: --keyconform=NAME=ok" in message


def test_a_bad_target_still_has_a_report(stub):
    """A target that cannot be opened leaves a report: inconclusive, with the message."""
    stub_flags = ("--keyconform=missing", "--keyconform-only", "--keyconform-report=json:r.json")
    message = refused(stub(*stub_flags))
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "inconclusive"
    assert report["invariants"] == []
    assert f"ERROR: {report['error']}" == message


@pytest.mark.parametrize("target, kind", [("leaves", "SystemExit"), ("fails", "ZeroDivisionError")])
def test_a_fault_while_opening(stub, target, kind):
    """What goes wrong on our side while a target is opened is one message, with its place, and a report."""
    flags = (f"--keyconform={target}", "--keyconform-only", "--keyconform-report=json:r.json")
    message = refused(stub(*flags))
    assert message.startswith(f"ERROR: the harness itself failed: {kind} at ")
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    assert f"ERROR: {report['error']}" == message


def test_an_interrupt_while_opening(stub):
    """Ctrl-C while a target is opened ends the run as an interrupt, and leaves a report that says so."""
    result = stub("--keyconform=stuck", "--keyconform-only", "--keyconform-report=json:r.json", child=True)
    assert result.ret == 2
    report = json.loads((stub.path / "r.json").read_text(encoding="utf-8"))
    assert report["error"] == "stuck: interrupted while it was opened"


@pytest.mark.parametrize("token", ["ZZZ01:t1:r", "QUO01", ""])
def test_a_bad_token(stub, token):
    """A replay token that cannot be used is refused."""
    message = refused(stub("--keyconform=ok", "--keyconform-only", f"--keyconform-replay={token or 'x'}"))
    assert "token" in message


@pytest.mark.parametrize("flag", ["--keyconform-only", "--keyconform-select=ACQ", "--keyconform-seed=1"])
def test_a_flag_without_a_target(stub, flag):
    """A flag that means nothing without a target says that one is expected."""
    assert refused(stub(flag)).startswith(f"ERROR: {flag.partition('=')[0]}: expected a target to judge")
