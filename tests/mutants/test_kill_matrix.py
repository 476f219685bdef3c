"""Every planted bug is caught by its own id, and its counterexample shows it again."""

import os
from collections import Counter

import planted
import pytest
from judging import started, told

IDS = (
    *(f"ACQ{number:02}" for number in range(1, 14)),
    *(f"QUO{number:02}" for number in range(1, 12)),
    *(f"EXH{number:02}" for number in range(1, 9)),
    *(f"UNK{number:02}" for number in range(1, 11)),
    *(f"FAIL{number:02}" for number in range(1, 18)),
    *(f"VTX{number:02}" for number in range(1, 5)),
    *(f"FMT{number:02}" for number in range(1, 11)),
    *(f"LIFE{number:02}" for number in range(1, 17)),
    *(f"TIME{number:02}" for number in range(1, 10)),
    *(f"LIVE{number:02}" for number in range(1, 12)),
    *(f"DUR{number:02}" for number in range(1, 11)),
    *(f"SRC{number:02}" for number in range(1, 6)),
    *(f"CFG{number:02}" for number in (1, 2)),
    *(f"MIG{number:02}" for number in range(1, 5)),
    *(f"SEC{number:02}" for number in range(1, 5)),
    *(f"STR{number:02}" for number in range(1, 5)),
    *(f"COST{number:02}" for number in range(1, 6)),
)


STORED = ("sqlite", "async-sqlite")
THREADED = ("ACQ01", "ACQ02", "ACQ05", "QUO01", "FAIL03", "FAIL13", "FMT05", "LIVE01", "LIVE02")
# Of policies that the usual ones do not have.
OTHERWISE = (
    "ACQ09 ACQ12 ACQ13 CFG01 CFG02 FAIL14 FAIL15 FAIL16 FAIL17 FMT10 LIFE06 LIFE10 "
    "LIFE14 LIVE05 LIVE06 LIVE08 LIVE09 LIVE10 LIVE11 MIG01 MIG02 MIG03 MIG04 QUO11 "
    "STR01 STR02 STR03 STR04 TIME09"
).split()


def bases_of(id):
    """The managers that bugs of an id are planted in: stored ones, one rich in awaits and another, one for threads."""
    alone = {
        "FMT07": ("rich",),
        "LIFE01": ("kept", *STORED),
        "LIFE02": ("kept", *STORED),
        "TIME04": STORED,
        "TIME08": STORED,
        "DUR05": ("kept",),
        "DUR06": (*STORED, "file"),
        "DUR07": (*STORED, "file"),
        "DUR08": STORED,
        "DUR09": ("sqlite", "file"),
        "DUR10": ("kept",),
        "COST04": STORED,
    }
    stored = {f"DUR{number:02}": (*STORED, "file") for number in range(1, 5)}
    stored |= {f"SRC{number:02}": STORED for number in range(1, 6)}
    threads = ("threads",) if id in THREADED else ()
    return ((stored | alone).get(id, ("poor",) if id in OTHERWISE else ("rich", "poor"))) + threads


def judged():
    """The bugs to judge: all of them in a proof, else one of each id, in another manager from id to id."""
    if "PROOF_SEEDS" in os.environ:
        return planted.MUTANTS
    first = {(mutant.id, mutant.base): mutant for mutant in reversed(planted.MUTANTS)}
    bases = [[base for base in bases_of(id) if (id, base) in first] for id in IDS]
    return [first[id, own[number % len(own)]] for number, (id, own) in enumerate(zip(IDS, bases, strict=True))]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # what a bug leaves open
@pytest.mark.parametrize("mutant", [pytest.param(mutant, id=f"{mutant.id}-{mutant.name}") for mutant in judged()])
def test_a_planted_bug_is_caught_by_its_own_id(mutant, record_property):
    """The id that a bug is planted for finds it, and replaying its counterexample finds it again."""
    conformance = started(mutant.target, select=(mutant.id,))
    report = conformance.judge(mutant.id)
    record_property("kill", f"{mutant.id} {mutant.base} {mutant.name} {report.status} {report.executions}")
    assert (report.id, report.status) == (mutant.id, "violated"), f"{mutant.note} {told(report)}"
    if report.counterexample.note is not None:  # seen in real time: the recorded history is the evidence
        return
    again = conformance.replay(report.counterexample.replay)
    assert (again.id, again.status) == (mutant.id, "violated"), f"{mutant.note} {told(again)}"


@pytest.mark.skipif("PROOF_SEEDS" not in os.environ, reason="takes a deep run: part of the proof (tox -e proof)")
@pytest.mark.parametrize("mutant", [pytest.param(one, id=f"{one.id}-{one.name}") for one in planted.DEEP])
def test_a_bug_behind_many_switches_is_caught_by_a_deep_run(mutant):
    """What a usual budget finds by chance only, a deep one finds."""
    report = started(mutant.target, select=(mutant.id,), profile="deep").judge(mutant.id)
    assert (report.id, report.status) == (mutant.id, "violated"), f"{mutant.note} {told(report)}"


def test_every_id_has_a_bug_on_both_bases():
    """No id goes unproven: each has a bug in two managers, of plain methods and of coroutines or rich in awaits."""
    planted_for = Counter((mutant.id, mutant.base) for mutant in planted.MUTANTS)
    assert [(name, base) for name in IDS for base in bases_of(name) if not planted_for[name, base]] == []
    assert {mutant.id for mutant in planted.MUTANTS} == set(IDS)


def test_names_of_mutants_differ():
    """A row of the matrix names one mutant."""
    names = Counter(mutant.name for mutant in planted.MUTANTS)
    assert [name for name, count in names.items() if count > 1] == []
