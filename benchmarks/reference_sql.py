"""How many keys a second the SQL stores hand out and hear of, beside one bare statement on the same database.

    python benchmarks/reference_sql.py [--rounds N]

The bare statement is an ``UPDATE ... RETURNING`` of one row, committed: through SQLAlchemy's asyncio engine as anybody
would write it, and through the store's own way. Every figure is the best of three runs; ratios are of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference_impl"))

from keyconform_reference import KeyManager, Limits
from keyconform_reference.embedded import store_in
from keyconform_reference.servers.postgres import server_url, store_on

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

RUNS, KEYS = 3, 100
BARE = text("UPDATE keyconform_keys SET last_out = 0 WHERE pool = :pool AND key_id = :key RETURNING key")


async def rate(call: Callable[[], Awaitable[object]], rounds: int) -> float:
    """Return calls a second, of the best run."""
    best = 0.0
    for _ in range(RUNS):
        began = time.perf_counter()
        for _ in range(rounds):
            assert await call()
        best = max(best, rounds / (time.perf_counter() - began))
    return best


async def measured(name: str, url: str, manager: KeyManager, rounds: int) -> None:
    """Print the rates of one database."""
    await manager.init()
    store = manager._desk.store  # noqa: SLF001 - the same database, by the same way
    at = {"pool": f"{store._database.space}regular", "key": "=bench-key-00007"}  # noqa: SLF001
    engine = create_async_engine(url)

    async def by_engine() -> object:
        async with engine.begin() as connection:
            return (await connection.execute(BARE, at)).scalar_one()

    async def by_store() -> object:
        return await store._database.run(lambda connection: connection.execute(BARE, at).scalar_one(), writes=True)  # noqa: SLF001

    async def report() -> object:
        return await manager.update_usage("m1", "bench-key-00007", tokens_used=10)

    calls = {"bare, asyncio engine": by_engine, "bare, as the store does": by_store, "acquire": manager.get_key}
    bare = 0.0
    for label, call in {**calls, "record": report}.items():
        found = await rate(call, rounds)
        bare = bare or found
        print(f"{name:10} {label:24} {found:8.0f} a second {found / bare:6.2f} of the bare one")
    await engine.dispose()
    await manager.shutdown()


async def main(rounds: int) -> None:
    """Measure both."""
    keys = [f"bench-key-{number:05}" for number in range(KEYS)]
    limits = {"m1": Limits(rpm=10**6, rpd=10**8)}
    with tempfile.TemporaryDirectory() as folder:
        manager = KeyManager(keys, limits=limits, default_model="m1", store=store_in(pathlib.Path(folder)))
        await measured("SQLite", f"sqlite+aiosqlite:///{folder}/keyconform.sqlite", manager, rounds)
    url = server_url()
    manager = KeyManager(keys, limits=limits, default_model="m1", store=store_on(url, f"bench-{time.time()}"))
    await measured("PostgreSQL", url.replace("postgresql://", "postgresql+asyncpg://"), manager, rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    asyncio.run(main(parser.parse_args().rounds))
