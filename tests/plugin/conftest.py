"""A judge with known answers in place of the real one, so that a test of the plugin is about the plugin."""

from pathlib import Path

import pytest

STUB = Path(__file__).with_name("stub_judge.txt").read_text(encoding="utf-8")


@pytest.fixture
def stub(pytester, monkeypatch):
    """Answer a function that runs pytest, judging with the stub; with ``child`` in a process of its own."""
    pytester.makepyfile(stub_judge=STUB)
    pytester.syspathinsert()
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=":")
    for name in ("KEYCONFORM_TARGET", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, child=False):
        plugins = ("-p", "stub_judge")
        if child:
            return pytester.runpytest_subprocess(*plugins, *arguments, timeout=120)
        return pytester.runpytest_inprocess(*plugins, *arguments)

    run.path = pytester.path
    return run
