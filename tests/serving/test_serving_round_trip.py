"""What is served is judged from outside as it would be in this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import planted
import pytest
from judging import judged, started, told

FOLDER = Path(planted.__file__).parents[1]  # where the planted bugs are
SELECT = (
    "ACQ01",
    "ACQ03",
    "QUO01",
    "QUO02",
    "EXH01",
    "FAIL03",
    "FAIL05",
    "FMT05",
    "LIFE07",
    "TIME01",
    "TIME03",
    "SEC03",
)
BUGS = ["ACQ01", "QUO01", "TIME02"]


@pytest.fixture
def serve():
    """Serve targets in processes of their own, which are ended."""
    processes = []

    def served(target):
        command = [sys.executable, "-m", "pytest_keyconform.cli", "serve", target, "--port", "0"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=FOLDER, text=True)
        processes.append(process)
        return process.stdout.readline().split()[3]

    yield served
    for process in processes:
        process.terminate()
        process.wait(timeout=20)
        process.stdout.close()


def test_the_reference_conforms_over_http(serve):
    """Its operations, policies and time are the same from outside."""
    results = judged(started(serve("reference"), select=SELECT, profile="smoke"))
    assert {one.status for one in results.values()} == {"conforms"}, "\n".join(map(told, results.values()))
    assert {one.engines for one in results.values()} == {("wire",)}


def test_the_reference_conforms_over_stdio():
    """Over standard input and output likewise, with its log seen."""
    target = f"stdio:{sys.executable} -m pytest_keyconform.cli serve --stdio reference"
    results = judged(started(target, select=("ACQ01", "QUO02", "FMT05", "TIME01", "SEC01"), profile="smoke"))
    assert {one.status for one in results.values()} == {"conforms"}, "\n".join(map(told, results.values()))


@pytest.mark.parametrize("id", BUGS)
def test_a_planted_bug_is_caught_over_http(serve, id):
    """What is wrong in there is found from outside, by its own id."""
    mutant = next(one for one in planted.MUTANTS if (one.id, one.base) == (id, "rich"))
    found = started(serve(mutant.target), select=(id,), profile="ci").judge(id)
    assert found.status == "violated", told(found)
    assert found.engines == ("wire",)
