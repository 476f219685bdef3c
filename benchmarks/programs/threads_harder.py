"""Threads: faults behind two preemptions, behind a wait, in iterators and queues, with executors, ABA."""

from __future__ import annotations

import collections
import itertools
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

from programs.pair import Pair, pair
from programs.threads import clients, locked


class Desk:
    """A desk that lends keys, with every field that the bodies below use."""

    def __init__(self) -> None:
        self.lock, self.told = threading.Lock(), threading.Condition()
        self.room = threading.Semaphore(1)
        self.cycle = itertools.cycle(["k0", "k1"])
        self.order = collections.OrderedDict.fromkeys(["k0", "k1", "k2"])
        self.free: queue.Queue[str] = queue.Queue()
        for key in ("k0", "k1"):
            self.free.put(key)
        self.version = self.used = self.ended = self.failed = 0
        self.ready = False
        self.head: tuple[str, ...] = ("a", "b")
        self.served: list[str] = []
        self.pairs: list[tuple[str, str]] = []


def distinct(desk: Desk) -> bool:
    """Tell whether no key was served twice."""
    return len(set(desk.served)) == len(desk.served)


def checked_twice(desk: Desk, number: int) -> None:
    """Write if the version is the same as before; it is looked at again, but not at the moment of writing."""
    if number == 0:
        version, used = desk.version, desk.used
        if desk.version == version:
            desk.used = used + 1
            desk.version = version + 1
    else:
        with desk.lock:
            desk.used = desk.used + 1
            desk.version = desk.version + 1


def both_keys(desk: Desk, _number: int) -> None:
    """Take two keys in a row from a cycle of two: they differ, unless another one took one between."""
    first = next(desk.cycle)
    second = next(desk.cycle)
    desk.pairs.append((first, second))


def oldest(desk: Desk, _number: int) -> None:
    """Serve the key served longest ago, then move it to the end."""
    key = next(iter(desk.order))
    desk.order.move_to_end(key)
    desk.served.append(key)


def pop_if_any(desk: Desk, _number: int) -> None:
    """Three ask for two keys: what was not empty is, a moment later."""
    if not desk.free.empty():
        try:
            desk.free.get_nowait()
        except queue.Empty:
            desk.failed += 1


def pop_or_leave(desk: Desk, _number: int) -> None:
    """The question is the answer."""
    try:
        desk.free.get_nowait()
    except queue.Empty:
        return


def in_executor(desk: Desk, _number: int) -> None:
    """Count in a worker of an executor, without a lock."""

    def add() -> None:
        desk.used = desk.used + 1

    with ThreadPoolExecutor(1) as pool:
        pool.submit(add).result()


def in_executor_locked(desk: Desk, _number: int) -> None:
    """Count in a worker of an executor, under the lock."""

    def add() -> None:
        with desk.lock:
            desk.used = desk.used + 1

    with ThreadPoolExecutor(1) as pool:
        pool.submit(add).result()


def lost_sign(desk: Desk, number: int) -> None:
    """Look for the sign, then wait for the next one: it may have come between."""
    if number == 0:
        if not desk.ready:
            with desk.told:
                desk.told.wait()
    else:
        desk.ready = True
        with desk.told:
            desk.told.notify_all()
    desk.ended += 1


def kept_sign(desk: Desk, number: int) -> None:
    """Look for the sign and wait under one lock."""
    with desk.told:
        if number == 0:
            desk.told.wait_for(lambda: desk.ready)
        else:
            desk.ready = True
            desk.told.notify_all()
        desk.ended += 1


def stack_aba(desk: Desk, number: int) -> None:
    """Pop by comparing the head alone: another one pops two and pushes the first one back."""
    if number == 0:
        head = desk.head
        if head and desk.head[:1] == head[:1]:
            desk.head = head[1:]
            desk.served.append(head[0])
    else:
        with desk.lock:
            taken, desk.head = desk.head, ()
            desk.served.extend(taken[1:2])
            desk.head = taken[:1]


def interpreter_swap(desk: Desk, number: int) -> None:
    """Two preemptions: the second client must come in twice, between the look, the wait and the deed."""
    if number == 0:
        if not desk.ready:
            before = desk.used
            if desk.ready:
                desk.failed += desk.used == before
    else:
        desk.ready = True
        desk.used = desk.used + 1


def swap_in_order(desk: Desk, number: int) -> None:
    """The same, where the deed comes before the sign."""
    if number == 0:
        if not desk.ready:
            before = desk.used
            if desk.ready:
                desk.failed += desk.used < before
    else:
        desk.used = desk.used + 1
        desk.ready = True


PAIRS: tuple[Pair, ...] = (
    pair(
        "U1 checked twice",
        faulty=(Desk, clients(checked_twice)),
        sound=(Desk, clients(locked(lambda desk, _number: checked_twice(desk, 0)))),
        holds=lambda desk: desk.used == 2,
        threads=True,
    ),
    pair(
        "U2 itertools.cycle",
        faulty=(Desk, clients(both_keys)),
        sound=(Desk, clients(locked(both_keys))),
        holds=lambda desk: all(first != second for first, second in desk.pairs),
        threads=True,
    ),
    pair(
        "U3 OrderedDict",
        faulty=(Desk, clients(oldest)),
        sound=(Desk, clients(locked(oldest))),
        holds=distinct,
        threads=True,
    ),
    pair(
        "U4 queue, three clients",
        faulty=(Desk, clients(pop_if_any, 3)),
        sound=(Desk, clients(pop_or_leave, 3)),
        holds=lambda desk: desk.failed == 0,
        threads=True,
    ),
    pair(
        "U5 executor",
        faulty=(Desk, clients(in_executor)),
        sound=(Desk, clients(in_executor_locked)),
        holds=lambda desk: desk.used == 2,
        threads=True,
    ),
    pair(
        "U6 lost sign",
        faulty=(Desk, clients(lost_sign)),
        sound=(Desk, clients(kept_sign)),
        holds=lambda desk: desk.ended == 2,
        threads=True,
        shows="deadlock",
    ),
    pair(
        "U7 stack, ABA",
        faulty=(Desk, clients(stack_aba)),
        sound=(Desk, clients(lambda desk, _number: locked(stack_aba)(desk, 0))),
        holds=lambda desk: distinct(desk) and not set(desk.head).intersection(desk.served),
        threads=True,
    ),
    pair(
        "U8 in twice",
        faulty=(Desk, clients(interpreter_swap)),
        sound=(Desk, clients(swap_in_order)),
        holds=lambda desk: desk.failed == 0,
        threads=True,
    ),
)
