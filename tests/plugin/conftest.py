"""A judge with known answers in place of the real one, so that a test of the plugin is about the plugin."""

from pathlib import Path

import pytest

STUB = Path(__file__).with_name("stub_judge.txt").read_text(encoding="utf-8")


@pytest.fixture
def stub(pytester, monkeypatch):
    """Answer a function that runs pytest in a child process, judging with the stub."""
    pytester.makepyfile(stub_judge=STUB)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path), prepend=":")
    for name in ("KEYCONFORM_TARGET", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        return pytester.runpytest_subprocess("-p", "stub_judge", *arguments, timeout=120)

    run.path = pytester.path
    return run
