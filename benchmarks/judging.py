"""How long the reference takes to be judged, family by family, and executions a second.

python benchmarks/judging.py [--target reference] [--profile ci]
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.run import quiet
from pytest_keyconform.spec.settings import Settings, TargetSetting


def main() -> None:
    """Judge once and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="reference")
    parser.add_argument("--profile", default="ci", choices=("smoke", "ci", "deep"))
    chosen = parser.parse_args()
    target = TargetSetting(name=chosen.target, target=chosen.target, asked=chosen.target)
    conformance = Conformance(Settings(targets=(target,), profile=chosen.profile, search=(Path.cwd(),)), target)
    began = time.perf_counter()
    families: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    with quiet():
        conformance.start()
        for kind in conformance.invariants():
            result = conformance.judge(kind.id)
            row = families[kind.family()]
            row[0] += 1
            row[1] += result.executions
            row[2] += result.seconds
    print(f"{'family':8}{'rules':>7}{'executions':>12}{'seconds':>9}{'per second':>12}")
    for name, (rules, executions, seconds) in families.items():
        print(f"{name:8}{rules:7.0f}{executions:12.0f}{seconds:9.2f}{executions / max(seconds, 1e-9):12.0f}")
    print(f"{time.perf_counter() - began:.1f} s in all")


if __name__ == "__main__":
    main()
