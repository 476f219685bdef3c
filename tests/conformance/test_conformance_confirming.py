"""A breach is run again before it is told, and a backend that does not repeat itself is named as such."""

from __future__ import annotations

import pytest

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.spec.settings import Settings, TargetSetting

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
