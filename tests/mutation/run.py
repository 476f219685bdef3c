"""Judge mutants of the reference, and print the rate of those that the conformance suite catches.

python tests/mutation/run.py [--every N] [--from K] [--files FILE ...] [--jobs J] [--seconds S] [--again]

Results are kept beside the run and taken up again by the next one, as long as the reference stays the same. Exits 1
where a mutant survives that `survivors.toml` does not explain, or is explained and does not survive.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import jury
from mutator import mutants_of

KEPT = Path(__file__).parents[2] / ".mutation" / "results.jsonl"
UNDECIDED = ["time", "out"]  # of the whole mutant: an invariant that hangs has a bound of its own, and catches it
SURVIVORS = Path(__file__).with_name("survivors.toml")


def explained():
    """Answer the mutants that survive for a known reason, by key."""
    table = tomllib.loads(SURVIVORS.read_text(encoding="utf-8"))
    return {one["key"]: one for one in table.get("survivor", [])}


def every_mutant(files=()):
    """Answer each mutant of the reference with the source of its module."""
    return [
        (mutant, source)
        for file, source in jury.sources().items()
        if not files or file in files
        for mutant in mutants_of(file, source)
    ]


def digest():
    """Answer what tells one state of the reference from another."""
    return hashlib.sha256(json.dumps(jury.sources(), sort_keys=True).encode()).hexdigest()[:12]


def kept(path, tree):
    """Answer the results of earlier runs on this state of the reference."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {row["key"]: row["caught"] for row in rows if row["tree"] == tree}


def keep(path, tree, key, caught):
    """Add one result to those of earlier runs."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        print(json.dumps({"tree": tree, "key": key, "caught": caught}), file=file)


def judged(waiting, ids, *, jobs, seconds):
    """Yield each mutant with what caught it, so many of them at a time, none longer than so many seconds."""
    running = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant, source = waiting.pop(0)
            running[mutant] = jury.Job(jury.verdict, mutant, source, ids), time.monotonic() + seconds
        for mutant, (job, until) in list(running.items()):
            answer = job.answer(0.1)
            if answer is None and time.monotonic() < until:
                continue
            job.end()
            del running[mutant]
            yield mutant, UNDECIDED if answer is None else answer[0]


def conforming(results, tree, path, seconds):
    """Answer the ids that each kind conforms to as it stands; kept like the results."""
    found = {}
    for kind in jury.KINDS:
        ids = results.get(f"{kind}, as it stands")
        if ids is None:
            job = jury.Job(jury.ids_of, kind)
            answer = job.answer(seconds)
            job.end()
            if answer is None:
                raise SystemExit(f"{kind}: the reference as it stands was not judged within {seconds} s")
            ids = answer[0]
            keep(path, tree, f"{kind}, as it stands", ids)
        found[kind] = ids
        print(f"{kind}: conforms to {len(ids)} ids", flush=True)  # noqa: T201 - a script prints
    return found


def main(arguments=None):
    """Judge, keep, and sum up; answer the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="a sample: each N-th mutant")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="K", help="begin the sample at the K-th")
    parser.add_argument("--files", nargs="*", default=(), metavar="FILE", help="only these modules")
    parser.add_argument("--jobs", type=int, default=2, metavar="J", help="processes at a time (default: 2)")
    parser.add_argument("--seconds", type=float, default=300.0, metavar="S", help="bound of one mutant")
    parser.add_argument("--again", action="store_true", help="judge anew what survived")
    parser.add_argument("--results", type=Path, default=KEPT, metavar="PATH", help="where results are kept")
    asked = parser.parse_args(arguments)
    sample = every_mutant(asked.files)[asked.first :: asked.every]
    tree = digest()
    results = kept(asked.results, tree)
    waiting = [
        (mutant, source)
        for mutant, source in sample
        if mutant.key not in results or (asked.again and results[mutant.key] is None)
    ]
    ids = conforming(results, tree, asked.results, 300.0) if waiting else {}
    for mutant, caught in judged(waiting, ids, jobs=asked.jobs, seconds=asked.seconds):
        results[mutant.key] = caught
        if caught != UNDECIDED:  # it is tried again
            keep(asked.results, tree, mutant.key, caught)
        print(f"{' '.join(caught) if caught else 'SURVIVED':<16} {mutant.key}", flush=True)  # noqa: T201 - likewise
    return summed_up(sample, results)


def summed_up(sample, results):
    """Print the rate and the survivors that nobody explained; answer the exit status."""
    known = explained()
    alive = [(mutant, source) for mutant, source in sample if results[mutant.key] is None]
    unknown = [(mutant, source) for mutant, source in alive if mutant.key not in known]
    stale = [mutant.key for mutant, _ in sample if mutant.key in known and results[mutant.key] is not None]
    for mutant, source in unknown:
        print(f"\nsurvived: {mutant.key}\n{mutant.diff(source)}")  # noqa: T201 - likewise
    for key in stale:
        print(f"\nexplained as a survivor, and caught: {key}")  # noqa: T201 - likewise
    undecided = sum(results[mutant.key] == UNDECIDED for mutant, _ in sample)
    decided = len(sample) - undecided
    rate = 100 * (decided - len(alive)) / max(1, decided)
    print(f"\n{decided - len(alive)} of {decided} mutants caught ({rate:.1f} %), {undecided} not decided in time")  # noqa: T201 - likewise
    print(f"{len(alive) - len(unknown)} of {len(alive)} survivors are explained")  # noqa: T201 - likewise
    return 1 if unknown or stale else 0


if __name__ == "__main__":
    sys.exit(main())
