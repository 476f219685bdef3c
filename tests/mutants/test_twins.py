"""No sound manager is accused, whatever the seed."""

import os

import pytest
import twins
from judging import judged, started, target_of, told

PROOF = "PROOF_SEEDS" in os.environ
SEEDS = int(os.environ.get("PROOF_SEEDS", "5"))
NEED_THREADS = {"ACQ01", "ACQ02", "ACQ05", "QUO01", "EXH05", "FAIL03", "FMT05", "LIVE01", "LIVE02"}


def seeds_of(twin):
    """Every seed for the twins that are about interleavings, one in turn for the others; in a proof, all for all."""
    if PROOF or twin in twins.INTERLEAVED:
        return range(SEEDS)
    return (twins.TWINS.index(twin) % SEEDS,)


def reports_over_seeds(twin):
    """Every report of a twin; after the first seed only of what was not exhausted by it, unless in a proof."""
    select = ()
    for seed in seeds_of(twin):
        reports = judged(started(target_of(twin), select=select, seed=seed, profile="smoke"))
        yield from reports.values()
        if not PROOF and not select:
            select = tuple(name for name, report in reports.items() if not report.exhausted)


@pytest.mark.parametrize("twin", twins.TWINS, ids=lambda twin: twin.__name__)
def test_a_sound_twin_is_not_accused(twin, record_property):
    """Nothing is violated, and nothing inconclusive but what plain methods would need threads for."""
    reports = list(reports_over_seeds(twin))
    assert [told(report) for report in reports if report.status == "violated"] == []
    undecided = {report.id: report for report in reports if report.status == "inconclusive"}
    if undecided:
        record_property("undecided", f"{twin.__name__}: {', '.join(undecided)}")
    excused = NEED_THREADS if twin in twins.SYNCHRONOUS else set()
    assert [told(report) for name, report in undecided.items() if name not in excused] == []
