"""Print the kill matrix: for each planted bug every id that catches it, its own one first.

python tests/mutants/matrix.py [ID or name ...]
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import planted
from judging import judged, started


def caught_by(target):
    """Answer the ids that accuse a target."""
    reports = judged(started(target, profile="smoke"))
    return [name for name, report in reports.items() if report.status == "violated"]


def main(wanted):
    """Print a row for each mutant; answer 1 where one is missed by its own id."""
    mutants = [one for one in planted.MUTANTS if not wanted or one.id in wanted or one.name in wanted]
    missed = []
    with ProcessPoolExecutor() as pool:
        for mutant, ids in zip(mutants, pool.map(caught_by, [one.target for one in mutants]), strict=True):
            own = mutant.id if mutant.id in ids else "MISSED"
            others = " ".join(name for name in ids if name != mutant.id)
            print(f"{mutant.id:<7}{mutant.base:<5} {mutant.name:<28} {own:<7} {others}", flush=True)  # noqa: T201 - a script prints
            missed += [] if mutant.id in ids else [mutant.name]
    print(f"{len(mutants) - len(missed)} of {len(mutants)} planted bugs caught by their own id")  # noqa: T201 - likewise
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(set(sys.argv[1:])))
