"""Tasks: the seven usual faults of a key pool between two awaits.

The second client first does a few awaits of its own, the third twice as many, so that a plain ``gather`` in turn does
not show the fault by luck.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from programs.pair import Pair, Worker, pair

Body: TypeAlias = Callable[[Any, int], Awaitable[None]]

LATER = 3  # awaits that each further client does before it begins


async def pause() -> None:
    """Give the turn away."""
    await asyncio.sleep(0)


def clients(body: Body, count: int = 2) -> tuple[Worker, ...]:
    """Answer workers that run ``body(state, number)``, each beginning a little later than the one before."""

    def worker(number: int) -> Worker:
        async def work(state: object) -> None:
            for _ in range(LATER * number):
                await pause()
            await body(state, number)

        return work

    return tuple(worker(number) for number in range(count))


def locked(body: Body) -> Body:
    """Answer the body under the lock of its state."""

    async def under_lock(state: Pool, number: int) -> None:
        async with state.lock:
            await body(state, number)

    return under_lock


class Pool:
    """A pool of four keys with every field that the bodies below use."""

    def __init__(self) -> None:
        self.keys = ["k0", "k1", "k2", "k3"]
        self.turn = 0
        self.served: list[str] = []
        self.used = 0
        self.granted = 0
        self.busy: set[str] = set()
        self.free = True
        self.ended = 0
        self.cycle = itertools.cycle(["k0", "k1"])
        self.lock, self.first, self.second = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()


def distinct(pool: Pool) -> bool:
    """Tell whether no key was served twice."""
    return len(set(pool.served)) == len(pool.served)


async def rotate(pool: Pool, _number: int) -> None:
    """Serve the next key; the cursor is written after a pause."""
    turn = pool.turn
    await pause()
    pool.turn = (turn + 1) % len(pool.keys)
    pool.served.append(pool.keys[turn])


async def count(pool: Pool, _number: int) -> None:
    """Count a call; what was read is written after a pause."""
    used = pool.used
    await pause()
    pool.used = used + 1


async def admit(pool: Pool, _number: int) -> None:
    """Admit a call while fewer than two were; the check is a pause old."""
    if pool.used < 2:
        await pause()
        pool.used += 1
        pool.granted += 1


async def take(pool: Pool, _number: int) -> None:
    """Choose a free key under the lock, and take it under the lock, but not under the same one."""
    async with pool.lock:
        key = next(key for key in pool.keys if key not in pool.busy)
    await pause()
    async with pool.lock:
        pool.busy.add(key)
        pool.served.append(key)


async def take_at_once(pool: Pool, _number: int) -> None:
    """Choose and take a free key under one lock."""
    async with pool.lock:
        key = next(key for key in pool.keys if key not in pool.busy)
        await pause()
        pool.busy.add(key)
        pool.served.append(key)


async def go_round(pool: Pool, _number: int) -> None:
    """Look for a valid key, of which there is none, until the first one comes again: it may go to another."""
    first = next(pool.cycle)
    while True:
        await pause()
        if next(pool.cycle) == first:
            break
    pool.ended += 1


async def go_round_once(pool: Pool, _number: int) -> None:
    """Look at each key once."""
    for _ in range(2):
        await pause()
        next(pool.cycle)
    pool.ended += 1


async def two_locks(pool: Pool, number: int) -> None:
    """Take two locks in an order of one's own."""
    first, second = (pool.first, pool.second) if number == 0 else (pool.second, pool.first)
    async with first:
        await pause()
        async with second:
            pool.ended += 1


async def two_locks_in_order(pool: Pool, _number: int) -> None:
    """Take two locks in the one order."""
    async with pool.first:
        await pause()
        async with pool.second:
            pool.ended += 1


async def borrowed(pool: Pool, number: int) -> None:
    """The first client counts if the key is free; the other takes it, counts and gives it back meanwhile."""
    if number == 0:
        used = pool.used
        await pause()
        if pool.free:
            pool.used, pool.granted = used + 1, pool.granted + 1
    elif pool.free:
        pool.free = False
        await pause()
        pool.used, pool.granted = pool.used + 1, pool.granted + 1
        await pause()
        await pause()
        pool.free = True


PAIRS: tuple[Pair, ...] = (
    pair(
        "A1 rotation",
        faulty=(Pool, clients(rotate)),
        sound=(Pool, clients(locked(rotate))),
        holds=distinct,
        threads=False,
    ),
    pair(
        "A2 lost count",
        faulty=(Pool, clients(count)),
        sound=(Pool, clients(locked(count))),
        holds=lambda pool: pool.used == 2,
        threads=False,
    ),
    pair(
        "A3 quota",
        faulty=(Pool, clients(admit, 3)),
        sound=(Pool, clients(locked(admit), 3)),
        holds=lambda pool: pool.granted <= 2,
        threads=False,
    ),
    pair(
        "A4 lock let go",
        faulty=(Pool, clients(take)),
        sound=(Pool, clients(take_at_once)),
        holds=distinct,
        threads=False,
    ),
    pair(
        "A5 shared cycle",
        faulty=(Pool, clients(go_round)),
        sound=(Pool, clients(go_round_once)),
        holds=lambda pool: pool.ended == 2,
        threads=False,
        shows="livelock",
    ),
    pair(
        "A6 two locks",
        faulty=(Pool, clients(two_locks)),
        sound=(Pool, clients(two_locks_in_order)),
        holds=lambda pool: pool.ended == 2,
        threads=False,
        shows="deadlock",
    ),
    pair(
        "A7 taken and given back",
        faulty=(Pool, clients(borrowed)),
        sound=(Pool, clients(locked(borrowed))),
        holds=lambda pool: pool.used == pool.granted,
        threads=False,
    ),
)
