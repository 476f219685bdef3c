"""Threads: eight usual faults of a key pool, in plain attributes and in containers of the standard library."""

from __future__ import annotations

import collections
import heapq
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from programs.pair import Pair, Worker, pair

Body: TypeAlias = Callable[[Any, int], None]


def clients(body: Body, count: int = 2) -> tuple[Worker, ...]:
    """Answer workers that run ``body(state, number)``."""

    def worker(number: int) -> Worker:
        def work(state: object) -> None:
            body(state, number)

        return work

    return tuple(worker(number) for number in range(count))


def locked(body: Body) -> Body:
    """Answer the body under the lock of its state."""

    def under_lock(state: Pool, number: int) -> None:
        with state.lock:
            body(state, number)

    return under_lock


class Pool:
    """A pool of four keys with every field that the bodies below use."""

    def __init__(self) -> None:
        self.keys = ["k0", "k1", "k2", "k3"]
        self.turn = 0
        self.served: list[str] = []
        self.used = {"k": 0}
        self.line = collections.deque(self.keys)
        self.heap = [(0, "k0"), (0, "k1"), (0, "k2")]
        self.ended = self.granted = self.spoiled = 0
        self.cooling = {"k": True}
        self.lock, self.first, self.second = threading.Lock(), threading.Lock(), threading.Lock()


def distinct(pool: Pool) -> bool:
    """Tell whether no key was served twice."""
    return len(set(pool.served)) == len(pool.served)


def count(pool: Pool, _number: int) -> None:
    """Count a call."""
    pool.used["k"] = pool.used["k"] + 1


def rotate(pool: Pool, _number: int) -> None:
    """Serve the next key."""
    key = pool.keys[pool.turn]
    pool.turn = (pool.turn + 1) % len(pool.keys)
    pool.served.append(key)


def two_locks(pool: Pool, number: int) -> None:
    """Take two locks in an order of one's own."""
    first, second = (pool.first, pool.second) if number == 0 else (pool.second, pool.first)
    with first, second:
        pool.ended += 1


def two_locks_in_order(pool: Pool, _number: int) -> None:
    """Take two locks in the one order."""
    with pool.first, pool.second:
        pool.ended += 1


def rotate_line(pool: Pool, _number: int) -> None:
    """Serve the head of a deque, then turn it."""
    key = pool.line[0]
    pool.line.rotate(-1)
    pool.served.append(key)


def least_used(pool: Pool, _number: int) -> None:
    """Serve the least used key of a heap, then put it back with one call more."""
    calls, key = pool.heap[0]
    heapq.heapreplace(pool.heap, (calls + 1, key))
    pool.served.append(key)


def count_by_update(pool: Pool, _number: int) -> None:
    """Count a call by `dict.update`."""
    pool.used.update(k=pool.used.get("k", 0) + 1)


def admit(pool: Pool, _number: int) -> None:
    """Admit a call while fewer than two were; the lock is let go between the look and the deed."""
    with pool.lock:
        room = pool.granted < 2
    if room:
        with pool.lock:
            pool.granted += 1


def admit_at_once(pool: Pool, _number: int) -> None:
    """Look and do under one lock."""
    with pool.lock:
        if pool.granted < 2:
            pool.granted += 1


def cool(pool: Pool, number: int) -> None:
    """One uses the key if it is not cooling, one ends the cooling, one begins it again."""
    if number == 0:
        if not pool.cooling["k"]:
            pool.spoiled += pool.cooling["k"]
    elif number == 1:
        pool.cooling["k"] = False
    elif not pool.cooling["k"]:
        pool.cooling["k"] = True


PAIRS: tuple[Pair, ...] = (
    pair(
        "T1 lost count",
        faulty=(Pool, clients(count)),
        sound=(Pool, clients(locked(count))),
        holds=lambda pool: pool.used["k"] == 2,
        threads=True,
    ),
    pair(
        "T2 rotation",
        faulty=(Pool, clients(rotate)),
        sound=(Pool, clients(locked(rotate))),
        holds=distinct,
        threads=True,
    ),
    pair(
        "T3 two locks",
        faulty=(Pool, clients(two_locks)),
        sound=(Pool, clients(two_locks_in_order)),
        holds=lambda pool: pool.ended == 2,
        threads=True,
        shows="deadlock",
    ),
    pair(
        "D4 deque",
        faulty=(Pool, clients(rotate_line)),
        sound=(Pool, clients(locked(rotate_line))),
        holds=distinct,
        threads=True,
    ),
    pair(
        "D5 heap",
        faulty=(Pool, clients(least_used)),
        sound=(Pool, clients(locked(least_used))),
        holds=distinct,
        threads=True,
    ),
    pair(
        "D6 dict.update",
        faulty=(Pool, clients(count_by_update)),
        sound=(Pool, clients(locked(count_by_update))),
        holds=lambda pool: pool.used["k"] == 2,
        threads=True,
    ),
    pair(
        "D7 quota, three clients",
        faulty=(Pool, clients(admit, 3)),
        sound=(Pool, clients(admit_at_once, 3)),
        holds=lambda pool: pool.granted <= 2,
        threads=True,
    ),
    pair(
        "D8 cooling, three clients",
        faulty=(Pool, clients(cool, 3)),
        sound=(Pool, clients(locked(cool), 3)),
        holds=lambda pool: pool.spoiled == 0,
        threads=True,
    ),
)
