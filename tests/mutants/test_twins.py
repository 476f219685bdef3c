"""No sound manager is accused, whatever the seed."""

import os

import managers.kept
import managers.rich
import pytest
import twins
import twins.leases
import twins.stored
import twins.thrifty
import twins.waiting
from judging import judged, started, target_of, told

from pytest_keyconform.catalogue import CATALOGUE

PROOF = "PROOF_SEEDS" in os.environ
SEEDS = int(os.environ.get("PROOF_SEEDS", "1"))
ADVISORY = {  # what most managers leave undone, and one that does it
    "DUR05": managers.kept.KeptManager,
    "DUR08": twins.stored.ServesMeanwhile,
    "ACQ13": twins.leases.LeaseDeskWithEnds,
    "QUO03": twins.leases.LeaseDesk,
    "LIFE15": twins.waiting.QueueWorker,
    "UNK09": managers.rich.RichManager,
    "COST04": twins.thrifty.OneStatement,
    "COST05": twins.thrifty.ForgetsModels,
}
LONG = (
    "LIVE02",
    "LIVE03",
    "COST02",
    "COST05",
)  # take as long as all others; unless in a proof, on the interleaved twins


def seeds_of(twin):
    """Every seed for the twins that are about interleavings, one in turn for the others; in a proof, all for all."""
    if PROOF or twin in twins.INTERLEAVED:
        return range(SEEDS)
    return (twins.TWINS.index(twin) % SEEDS,)


def brief(twin):
    """Answer the ids for a twin that is about something else than interleavings: of those about them every eighth.

    Of all others every fourth; of a twin that is another in other clothes every eighth; of one about interleavings
    every second. The twins take turns, so that each id is judged on many. A proof judges all by all.
    """
    if twin in twins.INTERLEAVED:
        return tuple(kind.id for kind in CATALOGUE if kind.id not in LONG)[twins.INTERLEAVED.index(twin) % 2 :: 2]
    number, dressed = twins.TWINS.index(twin), twin.__module__ in ("twins.wrapped", "twins.remote")
    searched = [kind.id for kind in CATALOGUE if kind.overlap or kind.ends or dressed]
    others = [kind.id for kind in CATALOGUE if kind.id not in searched]
    shared = (*searched[number % 8 :: 8], *others[number % 4 :: 4])
    return tuple(kind.id for kind in CATALOGUE if kind.id in shared and kind.id not in LONG)


def reports_over_seeds(twin):
    """Every report of a twin; after the first seed only of what was not exhausted by it, unless in a proof."""
    select = () if PROOF else brief(twin)
    for seed in seeds_of(twin):
        reports = judged(started(target_of(twin), select=select, seed=seed, profile="smoke"))
        yield from reports.values()
        if not PROOF:
            select = tuple(name for name, report in reports.items() if not report.exhausted)


@pytest.mark.parametrize("twin", twins.TWINS, ids=lambda twin: twin.__name__)
def test_a_sound_twin_is_not_accused(twin, record_property):
    """Nothing is violated, and nothing inconclusive."""
    reports = list(reports_over_seeds(twin))
    wanting = [name for name, keeping in ADVISORY.items() if twin is not keeping]
    assert [told(report) for report in reports if report.status == "violated" and report.id not in wanting] == []
    undecided = {report.id: report for report in reports if report.status == "inconclusive"}
    if undecided:
        record_property("undecided", f"{twin.__name__}: {', '.join(undecided)}")
    assert [told(report) for report in undecided.values()] == []
