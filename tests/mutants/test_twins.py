"""No sound manager is accused, whatever the seed."""

import os

import pytest
import twins
from judging import judged, started, target_of, told

SEEDS = range(int(os.environ.get("PROOF_SEEDS", "5")))
NEED_THREADS = {"ACQ01", "ACQ02", "ACQ05", "QUO01", "EXH05", "FAIL03", "FMT05", "LIVE01"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("twin", twins.TWINS, ids=lambda twin: twin.__name__)
def test_a_sound_twin_is_not_accused(twin, seed, record_property):
    """Nothing is violated, and nothing inconclusive but what plain methods would need threads for."""
    reports = judged(started(target_of(twin), seed=seed, profile="smoke"))
    accused = [told(report) for report in reports.values() if report.status == "violated"]
    assert accused == []
    undecided = {name: report for name, report in reports.items() if report.status == "inconclusive"}
    if undecided and seed == SEEDS[0]:
        record_property("undecided", f"{twin.__name__}: {', '.join(undecided)}")
    excused = NEED_THREADS if twin in twins.SYNCHRONOUS else set()
    assert [told(report) for name, report in undecided.items() if name not in excused] == []
