"""How fast the reference hands out keys on Redis, beside a bare EVALSHA round trip of the same client.

    python benchmarks/reference_redis.py [--rounds N] [--keys N] [--processes N]

Uses the server of KEYCONFORM_REDIS_URL, or starts a private one. Bare calls and those of the manager take turns in
short stretches, and the middle stretch of each counts, so that a busy machine slows both. `one after the other` is one
caller; `50 at once` are fifty tasks of one process; `--processes` is how many acquire and report on one store then.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import pathlib
import statistics
import sys
import time
import uuid
from typing import TYPE_CHECKING

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference_impl"))

from redis.asyncio import Redis

from keyconform_reference import KeyManager, Limits, Options
from keyconform_reference.servers.redis import server_url
from keyconform_reference.stores.redis import redis_store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Call = Callable[[], Awaitable[object]]

MODEL = "m1"
STRETCHES = 15
AT_ONCE = 50
BARE = "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) return {ARGV[1], 0, ''}"


async def opened(keys: int, name: str, **options: str) -> KeyManager:
    """Return a manager whose limits nobody reaches."""
    manager = KeyManager(
        [f"benchmark-key-{number:06}" for number in range(keys)],
        limits={MODEL: Limits(rpm=10**9, tpm=10**12, rpd=10**9)},
        default_model=MODEL,
        options=Options(**options),
        store=redis_store(server_url(), name=name, seconds=30),
    )
    await manager.init()
    return manager


async def stretch(call: Call, rounds: int, at_once: int) -> float:
    """Return the seconds for each call."""

    async def caller() -> None:
        for _ in range(rounds // at_once):
            await call()

    start = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return (time.perf_counter() - start) / (rounds // at_once * at_once)


async def compare(calls: dict[str, Call], rounds: int, at_once: int) -> dict[str, float]:
    """Return the middle of the stretches of each call."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(STRETCHES):
        for name, call in calls.items():
            spent[name].append(await stretch(call, rounds, at_once))
    return {name: statistics.median(each) for name, each in spent.items()}


async def one_process(keys: int, rounds: int) -> None:
    """Print the table of one process."""
    client = Redis.from_url(server_url(), socket_timeout=30)
    sha = await client.script_load(BARE)
    sent = ["x" * 32, "24", "24", "25"]
    managers = [await opened(keys, uuid.uuid4().hex, selection=kind) for kind in ("round-robin", "least-used")]

    async def record() -> None:
        assert await managers[0].update_usage(MODEL, "benchmark-key-000000", tokens_used=5)

    calls: dict[str, Call] = {
        "bare EVALSHA": lambda: client.evalsha(sha, 1, f"keyconform:{{bench-{uuid.uuid4().hex[:1]}}}", "take", *sent),
        "acquire": lambda: managers[0].get_key(MODEL),
        "acquire, least used": lambda: managers[1].get_key(MODEL),
        "record": record,
    }
    for call in calls.values():
        await stretch(call, rounds, 1)
    print(f"{keys} keys{'':<22}{'us a call':>12}{'of the bare rate':>18}")
    for at_once in (1, AT_ONCE):
        found = await compare(calls, rounds, at_once)
        for name, seconds in found.items():
            label = f"{name}, {'one after the other' if at_once == 1 else f'{AT_ONCE} at once'}"
            print(f"{label:<40}{seconds * 1e6:>10,.0f}{found['bare EVALSHA'] / seconds:>12.0%}")
    for manager in managers:
        await manager.shutdown()
    await client.aclose()


def loop_of(name: str, keys: int, rounds: int) -> None:
    """Acquire and report in one of several processes."""

    async def run() -> None:
        manager = await opened(keys, name)

        async def both() -> None:
            assert await manager.update_usage(MODEL, await manager.get_key(MODEL), tokens_used=1)

        await stretch(both, rounds, 10)
        await manager.shutdown()

    asyncio.run(run())


async def counted(name: str, keys: int) -> int:
    """Return the requests of the day over all keys."""
    manager = await opened(keys, name)
    models = (await manager.get_state())["models"]
    rows = [row for group in models[MODEL]["regular_keys"].values() for row in group]
    await manager.shutdown()
    return sum(row["rpd"] for row in rows)


def several(processes: int, keys: int, rounds: int) -> None:
    """Print the rate of one process and of several on one store, which lose nothing."""
    server_url()
    spawning = multiprocessing.get_context("fork")
    for number in (1, processes):
        name = uuid.uuid4().hex
        asyncio.run(counted(name, keys))
        workers = [spawning.Process(target=loop_of, args=(name, keys, rounds)) for _ in range(number)]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - start
        assert asyncio.run(counted(name, keys)) == rounds // 10 * 10 * number
        print(f"{number} processes: {rounds * number / seconds:,.0f} acquires and records a second, none lost")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--keys", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    asyncio.run(one_process(arguments.keys, arguments.rounds))
    several(arguments.processes, arguments.keys, 5 * arguments.rounds)


if __name__ == "__main__":
    main()
