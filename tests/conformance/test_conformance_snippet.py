"""Scripts that show a counterexample without the harness: run in an interpreter of their own, they tell the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.spec.settings import Settings, TargetSetting

MUTANTS = Path(__file__).parents[1] / "mutants"


def judged(target, id):
    """Judge a planted bug by its id; answer the counterexample."""
    setting = TargetSetting(name=target, target=target, asked=target)
    conformance = Conformance(Settings(targets=(setting,), search=(MUTANTS,)), setting)
    conformance.start()
    return conformance.judge(id).counterexample


def run(script):
    """Run a script beside the modules of the planted bugs; answer what it prints, by lines."""
    path = os.pathsep.join([str(MUTANTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-W", "error", "-c", script]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": path}
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.mark.parametrize(
    "target, id",
    [
        ("planted.acquire:TurnReadBeforeLock", "ACQ01"),  # two calls at once
        ("planted.serving:ServesRedactedText", "ACQ10"),
        ("planted.serving:RandomAmongTheHealthy", "ACQ07"),  # by chance
        ("planted.quota:AnyNumberOfTokens", "QUO07"),  # a number that has no literal
        ("planted.leasing:ReleasesByKey", "ACQ09"),  # leases of an adapter
        ("planted.leasing:LeaseNeverEnds", "ACQ12"),  # time
    ],
)
def test_a_script_prints_what_the_harness_saw(target, id):
    """Each call answers what the counterexample says that it answered."""
    script = judged(target, id).snippet
    seen = sorted(text.strip("'\"") for text in re.findall(r"# was: (.*)$", script, re.MULTILINE))
    printed = sorted(line.partition(": ")[2].strip("'\"") for line in run(script))
    assert printed == [was if not was.startswith("<") else text for text, was in zip(printed, seen, strict=True)]


@pytest.mark.parametrize(
    "target, id",
    [
        ("planted.threaded:AddsWithoutALock", "QUO01"),  # a switch of threads
        ("planted.acquire:StaleCardPutBack", "ACQ05"),  # an order that asyncio does not take
        ("planted.exhaustion:WaitsForAnEmptyPool", "EXH07"),  # time passes amid a call
    ],
)
def test_no_script_is_written_where_none_shows_it(target, id):
    """What only the engines bring about, or what needs a store, has no script."""
    assert judged(target, id).snippet is None
