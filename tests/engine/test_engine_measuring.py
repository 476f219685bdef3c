"""Measuring what workloads reach, beside another coverage."""

import subprocess
import sys
import textwrap

import pytest

from pytest_keyconform.engine.measuring import Gauge, Stepping, gauge
from pytest_keyconform.figures import figures

SUBJECT = '''\
"""A module to be measured."""

ABOVE = 1


def branching(flag):
    if flag:
        return 1
    return 2


class Body:
    attribute = 3


def never():
    return 4
'''


@pytest.fixture
def subject(tmp_path, monkeypatch):
    """Answer the name of a module that nobody has imported yet."""
    (tmp_path / "measured_subject.py").write_text(SUBJECT, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield "measured_subject"
    sys.modules.pop("measured_subject", None)


def test_lines_and_branches(subject):
    """What runs while a gauge is entered counts, what runs outside of it does not; both rounds add up."""
    with Gauge([subject]) as measuring:
        import measured_subject

        assert gauge() is measuring
    assert gauge() is None
    measured_subject.never()
    (one,) = figures([measuring.data()], [subject]).values()
    assert (one.lines, one.reached, one.branches, one.taken) == (9, 5, 2, 0)
    with measuring:
        measured_subject.branching(True)
    (one,) = figures([measuring.data()], [subject]).values()
    assert (one.reached, one.taken, one.percent, one.missing) == (7, 1, 72.7, ("9", "17", "7 (1 of 2 ways)"))


def test_what_was_imported_before(subject):
    """What ran when the package was imported counts, although that was before anything could be measured."""
    import measured_subject

    with Gauge([subject]) as measuring:
        measured_subject.branching(False)
    found = figures([measuring.data()], [subject])
    assert list(found) == ["measured_subject.py"]
    assert found["measured_subject.py"].missing == ("8", "17", "7 (1 of 2 ways)")


def test_steps_that_others_saw(subject):
    """Steps that a tracer in coverage's place saw count as if coverage had seen them."""
    import measured_subject

    code = measured_subject.branching.__code__
    with Gauge([subject]) as measuring:
        stepping = Stepping(measuring, code, code.co_firstlineno, begins=True)
        for line in (7, 8):
            stepping.line(line)
        stepping.back()
    (one,) = figures([measuring.data()], [subject]).values()
    assert one.missing == ("9", "17", "7 (1 of 2 ways)")


def test_several_processes_add_up(subject):
    """What several processes measured is put together."""
    parts = []
    import measured_subject

    for flag in (True, False):
        with Gauge([subject]) as measuring:
            measured_subject.branching(flag)
        parts.append(measuring.data())
    (one,) = figures(parts, [subject]).values()
    assert one.missing == ("17",)


def test_nothing_of_the_name():
    """A package that is never imported has no figures."""
    with Gauge(["no_such_package"]) as measuring:
        pass
    assert figures([measuring.data()], ["no_such_package"]) == {}


def test_a_package_with_modules_that_nobody_imports(tmp_path, monkeypatch):
    """A module of a package that nobody imports counts as not reached."""
    (tmp_path / "measured_package").mkdir()
    (tmp_path / "measured_package" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "measured_package" / "left.py").write_text("ONE = 1\nTWO = 2\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with Gauge(["measured_package"]) as measuring:
        import measured_package  # noqa: F401  # what is measured is its import
    found = figures([measuring.data()], ["measured_package"])
    sys.modules.pop("measured_package")
    assert {name: one.missing for name, one in found.items()} == {"measured_package/left.py": ("1-2",)}


BESIDE = """
import coverage
other = coverage.Coverage(data_file=None, branch={branch}, source_pkgs={sources}, config_file=False)
other.start()
import measured_subject
from pytest_keyconform.engine.measuring import Gauge
with Gauge(["measured_subject"]) as measuring:
    measured_subject.branching(True)
measured_subject.branching(False)
other.stop()
data = other.get_data()
name = measured_subject.__file__
print(sorted(data.lines(name) or []) if name in data.measured_files() else "not asked for")
assert {branch} == data.has_arcs()
"""


@pytest.mark.parametrize(
    "branch, sources, lines",
    [
        (True, ["measured_subject"], "[1, 3, 6, 7, 8, 9, 12, 13, 16]"),
        (False, ["measured_subject"], "[1, 3, 6, 7, 8, 9, 12, 13, 16]"),
        (True, ["json"], "not asked for"),
    ],
)
def test_another_coverage_has_its_share(subject, tmp_path, branch, sources, lines):
    """Another coverage knows afterwards what it would have known, and nothing that it was not asked for."""
    text = textwrap.dedent(BESIDE).format(branch=branch, sources=sources)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stderr, done.stdout.strip()) == ("", lines)


def test_a_file_elsewhere_is_told_without_the_machine(subject, tmp_path, monkeypatch):
    """A file that is not below the working directory is told from its package on."""
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    with Gauge([subject, "pytest_keyconform.report"]) as measuring:
        import measured_subject  # noqa: F401  # what is measured is its import
    found = figures([measuring.data()], [subject, "pytest_keyconform.report"])
    assert set(found) == {"measured_subject.py", "pytest_keyconform/report.py"}
