"""A breach is run again before it is told, and a backend that does not repeat itself is named as such."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.conformance.confirming import fewer
from pytest_keyconform.engine.explore import Found
from pytest_keyconform.schedule import Base, Schedule
from pytest_keyconform.spec.settings import Settings, TargetSetting
from pytest_keyconform.verdict import Violation

MANAGER = """
import random

CHANCE = random.SystemRandom()
RUNS = iter(range(10**9))
SEEN = []


class Manager:
    def __init__(self, api_keys):
        self.keys, self.run = list(api_keys), next(RUNS)

    async def get_next_working_key(self, model_name=None):
        return {answer}

    async def get_keys_by_status(self):
        return {{"valid_keys": dict.fromkeys(self.keys, 0), "invalid_keys": {{}}}}
"""


def report_on(folder, answer):
    """Judge by ACQ10 (an answer is a str) a manager that answers so."""
    name = f"told_{abs(hash(answer))}"
    (folder / f"{name}.py").write_text(MANAGER.format(answer=answer))
    setting = TargetSetting(name="m", target=f"{name}:Manager", asked="m")
    conformance = Conformance(Settings(targets=(setting,), search=(folder,), select=("ACQ10",)), setting)
    conformance.start()
    return conformance.judge("ACQ10")


@pytest.mark.parametrize(
    "answer, note",
    [
        ("7", None),
        ("CHANCE.randrange(10**9)", "two runs of this schedule differed"),
        ("7 if self.run > 2 and not SEEN and not SEEN.append(1) else self.keys[0]", "seen once"),
    ],
)
def test_a_breach_is_told_with_what_a_replay_is_worth(tmp_path, answer, note):
    """What shows again the same way needs no word; chance and what is seen once are named."""
    report = report_on(tmp_path, answer)
    assert report.status == "violated"
    told = report.counterexample.note
    assert told is None if note is None else told.startswith(note)


@dataclass
class Points:
    """A program of ten choice points that breaks where these of them go to the second of two tasks."""

    needed: frozenset[int]
    name = "tasks"
    repeatable = complete = True

    def run(self, workload, scheduler, *, observed=False):
        chosen = [scheduler.choose((0, 1), 0) for _ in range(10)]
        broken = all(chosen[point] for point in self.needed)
        return SimpleNamespace(history=broken, schedule=scheduler.schedule(), moments=(), overlapped=None)


def broken(history):
    return Violation(signature="s", operation=None, expected="no", observed="yes") if history else None


@pytest.mark.parametrize("needed", [{4}, {1, 7}, {1, 3, 5, 8}])
def test_a_walk_is_told_with_the_deviations_that_it_needs(needed):
    """A schedule of a random walk is replaced by one with few deviations, or loses those that change nothing."""
    runner = Points(frozenset(needed))
    walk = Schedule(base=Base.RUN, deviations=tuple((point, 1) for point in range(10)))
    execution = SimpleNamespace(schedule=walk, history=True, moments=())
    found = fewer(runner, None, Found(execution, broken(True)), broken)
    assert {point for point, _ in found.execution.schedule.deviations} == needed
