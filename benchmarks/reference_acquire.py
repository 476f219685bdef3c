"""How long the reference takes to hand out a key, by the number of keys.

    python benchmarks/reference_acquire.py [--rounds N] [--selection NAME]

Prints nanoseconds for each acquire (the fastest of three runs) and the ratio to the 10-key row of the same run. Every
figure is taken after one warm round in which each key was looked at once, so that it is the amortised cost.
"""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import sys
import time
from typing import TYPE_CHECKING

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference_impl"))

from keyconform_reference import KeyManager, Limits, Options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Workload = Callable[[KeyManager, int], Awaitable[None]]

SIZES = (10, 100, 1_000, 10_000, 100_000)
MODEL = "m1"
RUNS = 3


async def all_usable(manager: KeyManager, rounds: int) -> None:
    """Acquire while every key is usable."""
    for _ in range(rounds):
        assert await manager.get_key(MODEL)


async def all_exhausted(manager: KeyManager, rounds: int) -> None:
    """Acquire while none is."""
    for _ in range(rounds):
        assert not await manager.get_key(MODEL)


async def acquire_and_record(manager: KeyManager, rounds: int) -> None:
    """Acquire a key and report its use."""
    for _ in range(rounds):
        key = await manager.get_key(MODEL)
        assert await manager.update_usage(MODEL, key, tokens_used=10)


async def strike_out(manager: KeyManager, keys: list[str]) -> None:
    """Take nine of ten keys out."""
    for number, key in enumerate(keys):
        if number % 10:
            for _ in range(3):
                await manager.handle_api_failure(key, MODEL, 3, status_code=500)


async def exhaust(manager: KeyManager, keys: list[str]) -> None:
    """Mark every key for longer than the benchmark takes."""
    for key in keys:
        await manager.handle_api_failure(key, MODEL, 3, status_code=429, retry_after=36_000)


async def leave(manager: KeyManager, keys: list[str]) -> None:
    """Change nothing."""


WORKLOADS: dict[str, tuple[Callable[[KeyManager, list[str]], Awaitable[None]], Workload]] = {
    "all usable": (leave, all_usable),
    "90 % struck out": (strike_out, all_usable),
    "all exhausted": (exhaust, all_exhausted),
    "acquire and record": (leave, acquire_and_record),
}


async def measure(name: str, size: int, rounds: int, options: Options) -> float:
    """Return nanoseconds for each round of a workload with ``size`` keys."""
    prepare, workload = WORKLOADS[name]
    keys = [f"benchmark-key-{number:06}" for number in range(size)]
    limits = {MODEL: Limits(rpm=10**9, tpm=10**12, rpd=10**9)}
    manager = KeyManager(keys, limits=limits, default_model=MODEL, options=options)
    await manager.init()
    await prepare(manager, keys)
    await workload(manager, size)
    fastest = float("inf")
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        await workload(manager, rounds)
        fastest = min(fastest, (time.perf_counter_ns() - start) / rounds)
    await manager.shutdown()
    return fastest


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--selection", default="round-robin")
    arguments = parser.parse_args()
    options = Options(selection=arguments.selection)
    print(f"{'ns per acquire':<20}" + "".join(f"{size:>20,}" for size in SIZES))
    for name in WORKLOADS:
        figures = [asyncio.run(measure(name, size, arguments.rounds, options)) for size in SIZES]
        cells = "".join(f"{figure:>12,.0f} {figure / figures[0]:>6.2f}x" for figure in figures)
        print(f"{name:<20}{cells}")


if __name__ == "__main__":
    main()
