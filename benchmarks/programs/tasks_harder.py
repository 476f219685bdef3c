"""Tasks: faults behind two preemptions, behind a branch that waits, with three clients, with an executor."""

from __future__ import annotations

import asyncio

from programs.pair import Pair, pair
from programs.tasks import clients, pause


class Desk:
    """A desk that lends two keys."""

    def __init__(self) -> None:
        self.free: asyncio.Queue[str] = asyncio.Queue()
        for key in ("k0", "k1"):
            self.free.put_nowait(key)
        self.lock, self.told = asyncio.Lock(), asyncio.Condition()
        self.room = asyncio.Semaphore(1)
        self.version = self.used = self.ended = self.inside = self.most = 0
        self.head: tuple[str, ...] = ("a", "b")
        self.freed: list[str] = []
        self.ready = False


async def checked_twice(desk: Desk, number: int) -> None:
    """Write if the version is the same before and after a pause; it is raised late, so two may see it."""
    if number == 0:
        version, used = desk.version, desk.used
        await pause()
        if desk.version == version:
            await pause()
            desk.used = used + 1
            desk.version += 1
    else:
        await pause()
        desk.used, desk.version = desk.used + 1, desk.version + 1


async def checked_at_once(desk: Desk, _number: int) -> None:
    """Read again until nobody wrote meanwhile, and write in the same step."""
    while True:
        version, used = desk.version, desk.used
        await pause()
        if desk.version == version:
            desk.used, desk.version = used + 1, version + 1
            return


async def told_once(desk: Desk, number: int) -> None:
    """Two wait for the sign, and one of them is told."""
    async with desk.told:
        if number == 2:
            desk.ready = True
            desk.told.notify(1)
        else:
            await desk.told.wait_for(lambda: desk.ready)
    desk.ended += 1


async def told_all(desk: Desk, number: int) -> None:
    """Two wait for the sign, and both are told."""
    async with desk.told:
        if number == 2:
            desk.ready = True
            desk.told.notify_all()
        else:
            await desk.told.wait_for(lambda: desk.ready)
    desk.ended += 1


async def pop_if_any(desk: Desk, _number: int) -> None:
    """Three ask for two keys: what was not empty is, a pause later."""
    if not desk.free.empty():
        await pause()
        try:
            desk.free.get_nowait()
        except asyncio.QueueEmpty:
            desk.most = 99
    desk.ended += 1


async def pop_or_leave(desk: Desk, _number: int) -> None:
    """Three ask for two keys: the question is the answer."""
    await pause()
    try:
        desk.free.get_nowait()
    except asyncio.QueueEmpty:
        desk.most = 0
    desk.ended += 1


async def in_executor(desk: Desk, _number: int) -> None:
    """Read in one job, write in another."""
    loop = asyncio.get_running_loop()
    used = await loop.run_in_executor(None, lambda: desk.used)

    def write() -> None:
        desk.used = used + 1

    await loop.run_in_executor(None, write)


async def in_one_job(desk: Desk, _number: int) -> None:
    """Read and write in one job, one at a time."""

    def add() -> None:
        desk.used += 1

    async with desk.lock:
        await asyncio.get_running_loop().run_in_executor(None, add)


async def stack_aba(desk: Desk, number: int) -> None:
    """Pop by comparing the head alone: another one pops two and pushes the first one back."""
    if number == 0:
        head, rest = desk.head[0], desk.head[1:]
        await pause()
        if desk.head and desk.head[0] == head:
            desk.head = rest
            desk.freed.append(head)
    else:
        first, second, *_ = (*desk.head, "", "")
        await pause()
        if desk.head[:2] == (first, second) and first and second:
            desk.head = ()
            desk.freed.append(second)
            await pause()
            desk.head = (first,)


async def stack_sound(desk: Desk, number: int) -> None:
    """The same under a lock."""
    async with desk.lock:
        await stack_aba(desk, number)


async def released_early(desk: Desk, _number: int) -> None:
    """Let the next one in before leaving, where somebody had to wait for the room."""
    waited = desk.room.locked()
    await desk.room.acquire()
    desk.inside += 1
    desk.most = max(desk.most, desk.inside)
    if waited:
        desk.room.release()
        await pause()
        desk.inside -= 1
    else:
        await pause()
        desk.inside -= 1
        desk.room.release()


async def released_last(desk: Desk, _number: int) -> None:
    """Leave, then let the next one in."""
    async with desk.room:
        desk.inside += 1
        desk.most = max(desk.most, desk.inside)
        await pause()
        desk.inside -= 1


def _alone(desk: Desk) -> bool:
    return desk.most <= 1


PAIRS: tuple[Pair, ...] = (
    pair(
        "B1 checked twice",
        faulty=(Desk, clients(checked_twice)),
        sound=(Desk, clients(checked_at_once)),
        holds=lambda desk: desk.used == 2,
        threads=False,
    ),
    pair(
        "B2 one of two told",
        faulty=(Desk, clients(told_once, 3)),
        sound=(Desk, clients(told_all, 3)),
        holds=lambda desk: desk.ended == 3,
        threads=False,
        shows="deadlock",
    ),
    pair(
        "B3 queue, three clients",
        faulty=(Desk, clients(pop_if_any, 3)),
        sound=(Desk, clients(pop_or_leave, 3)),
        holds=_alone,
        threads=False,
    ),
    pair(
        "B4 executor",
        faulty=(Desk, clients(in_executor)),
        sound=(Desk, clients(in_one_job)),
        holds=lambda desk: desk.used == 2,
        threads=False,
    ),
    pair(
        "B5 stack, ABA",
        faulty=(Desk, clients(stack_aba)),
        sound=(Desk, clients(stack_sound)),
        holds=lambda desk: len({*desk.head, *desk.freed}) == len((*desk.head, *desk.freed)),
        threads=False,
    ),
    pair(
        "B6 behind a wait",
        faulty=(Desk, clients(released_early, 3)),
        sound=(Desk, clients(released_last, 3)),
        holds=_alone,
        threads=False,
    ),
)
