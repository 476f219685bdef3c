"""Judging in a process of its own: what a backend does to it ends that process and one invariant, not the run."""

import json
import os
import signal
import subprocess
import sys

import pytest

from pytest_keyconform import supervising
from pytest_keyconform.errors import TargetError
from pytest_keyconform.spec.settings import Settings, TargetSetting
from pytest_keyconform.target_run import TargetRun

pytestmark = pytest.mark.skipif(not supervising.SUPPORTED, reason="a fork is not safe to go on from on this platform")

SOURCE = '''
import ctypes
import os
import signal
import time


class Sound:
    """Serves one after the other; an empty pool meets what a subclass does."""

    def __init__(self, pool):
        self._keys, self._turn = list(pool.api_keys), 0

    def get_key(self, model_name=None):
        if not self._keys:
            self.nothing_left()
            return ""
        self._turn += 1
        return self._keys[(self._turn - 1) % len(self._keys)]

    def update_usage(self, model_name, key_value, tokens_used=0):
        return True

    def nothing_left(self):
        pass


class Exits(Sound):
    def nothing_left(self):
        os._exit(7)


class Crashes(Sound):
    def nothing_left(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Blocks(Sound):
    def nothing_left(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        while True:
            ctypes.PyDLL(None).sleep(100)


class LetsGo(Sound):
    def nothing_left(self):
        os.closerange(3, 4096)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        while True:
            ctypes.PyDLL(None).sleep(100)


class Interrupts(Sound):
    def nothing_left(self):
        raise KeyboardInterrupt


class ExitsWhenOpened(Sound):
    def __init__(self, pool):
        os._exit(7)
'''


@pytest.fixture
def run(tmp_path):
    """A function that answers the run of one of those managers, over two invariants, of which EXH03 empties a pool."""
    (tmp_path / "nasty_manager.py").write_text(SOURCE, encoding="utf-8")
    runs = []

    def running(name, *, timeout=30.0):
        target = TargetSetting(name=name, target=f"nasty_manager:{name}", asked=name)
        settings = Settings(targets=(target,), search=(tmp_path,), select=("EXH03", "EXH04"), timeout=timeout)
        runs.append(TargetRun(settings, target))
        return runs[-1]

    yield running
    for one in runs:
        one.report()


def judged(run):
    """Answer the reports by id, EXH03 first."""
    return {one.id: run.judge(one) for one in sorted(run.invariants, key=lambda one: one.id, reverse=True)}


@pytest.mark.parametrize("name, said", [("Exits", "exit status 7"), ("Crashes", "SIGKILL")])
def test_a_backend_that_ends_the_process(run, name, said):
    """Its invariant is inconclusive with how the process ended; the next is judged, and facts stay known."""
    running = run(name)
    reports = judged(running)
    assert reports["EXH03"].status == "inconclusive"
    assert reports["EXH03"].reason == f"a call ended the process ({said}); what follows is judged in a fresh process"
    assert reports["EXH04"].status == "conforms"
    running.results |= reports
    assert running.report().operations == ("acquire", "record")


def test_a_backend_that_closes_every_file(run, monkeypatch):
    """A process that let go of its connection and lives on is ended, and what follows is judged."""
    monkeypatch.setattr(supervising, "HURRIED", 0.1)
    reports = judged(run("LetsGo", timeout=5.0))
    assert reports["EXH03"].status == "inconclusive"
    assert "closed the connection" in reports["EXH03"].reason
    assert reports["EXH04"].status == "conforms"


def test_a_call_that_cannot_be_interrupted(run, monkeypatch):
    """A call that holds the interpreter's lock in C is given up from outside, and what follows is judged."""
    monkeypatch.setattr(supervising, "GRACE", 1.0)
    reports = judged(run("Blocks", timeout=1.0))
    assert reports["EXH03"].status == "inconclusive"
    assert "could not be interrupted" in reports["EXH03"].reason
    assert reports["EXH04"].status == "conforms"


def test_a_backend_that_interrupts_is_no_user(run):
    """KeyboardInterrupt from a backend makes one invariant inconclusive or violated, and does not end the run."""
    reports = judged(run("Interrupts"))
    assert reports["EXH03"].status in ("inconclusive", "violated")
    assert reports["EXH04"].status == "conforms"


def test_a_backend_that_ends_the_process_when_it_is_opened(run):
    """That is a target which cannot be used, and says so."""
    with pytest.raises(TargetError, match="opening it failed: a call ended the process"):
        run("ExitsWhenOpened").start()


def test_nothing_is_left_of_a_run(run):
    """With the report the process ends; another run has another one."""
    running = run("Sound")
    running.start()
    child = running.conformance._child.pid
    os.kill(child, 0)
    running.report()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_this_process_never_runs_the_backend(run):
    """The module of the target is imported in the process that judges alone."""
    running = run("Sound")
    judged(running)
    assert "nasty_manager" not in sys.modules


def test_the_process_ends_with_its_parent(tmp_path):
    """Killed without a word, the run leaves no process behind."""
    (tmp_path / "nasty_manager.py").write_text(SOURCE, encoding="utf-8")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pytest_keyconform.target_run import TargetRun\n"
        "from pytest_keyconform.spec.settings import Settings, TargetSetting\n"
        "target = TargetSetting(name='n', target='nasty_manager:Sound', asked='n')\n"
        "run = TargetRun(Settings(targets=(target,), search=(Path.cwd(),)), target)\n"
        "run.start()\n"
        "print(run.conformance._child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        child = int(parent.stdout.readline())
        descriptor = os.pidfd_open(child)
        parent.send_signal(signal.SIGKILL)
        parent.stdin.close()
    try:
        signal.pidfd_send_signal(descriptor, 0)
        ended = os.waitid(os.P_PIDFD, descriptor, os.WEXITED) is not None
    except (ProcessLookupError, ChildProcessError):
        ended = True
    finally:
        os.close(descriptor)
    assert ended


def test_what_is_covered_in_that_process_is_measured(tmp_path):
    """`coverage run` sees the lines of a backend that only the judging process ran."""
    (tmp_path / "nasty_manager.py").write_text(SOURCE, encoding="utf-8")
    measured = ["-m", "coverage", "run", "--include=nasty_manager.py", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    judged = ["--keyconform=nasty_manager:Sound", "--keyconform-select=EXH03", "--keyconform-profile=smoke"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    for command in ([*measured, *judged], ["-m", "coverage", "json", "-o", "covered.json"]):
        subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60
        )
    covered = json.loads((tmp_path / "covered.json").read_text(encoding="utf-8"))["files"]["nasty_manager.py"]
    serving = SOURCE.splitlines().index("        self._turn += 1") + 1
    assert serving in covered["executed_lines"]
