"""Who waits for a key under ``exhaustion="blocks"``: first come, first served, and never without a bound."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .keys import Pool
    from .limits import Model
    from .reports import Lease
    from .stores import Store

_SHORTEST = 0.001


@dataclasses.dataclass(slots=True, eq=False)
class Waiter:
    """One waiting acquire; ``answer`` gets its lease, or None when there is nothing to wait for any more."""

    pool: Pool
    model: Model
    avoid: str | None = dataclasses.field(repr=False)
    draw: bool
    answer: asyncio.Future[Lease | None]


class WaitingLine:
    """Acquires that wait, in the order they came.

    A key that comes free is taken for the first waiter it suits, in the same step in which it came free, so
    that no later acquire can snatch it. A waiter that is cancelled after it was given a key hands it to the
    next (004-6).
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._line: list[Waiter] = []

    def __len__(self) -> int:
        return len(self._line)

    async def wait(self, pool: Pool, model: Model, *, avoid: str | None, draw: bool, seconds: float) -> Lease | None:
        """Return a lease, or None once ``seconds`` have passed or the line was sent home."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(pool, model, avoid, draw, loop.create_future())
        self._line.append(waiter)
        try:
            await self._until_answered(waiter, loop.time() + seconds)
        except BaseException:
            self._leave(waiter)
            await self._pass_on(waiter)
            raise
        self._leave(waiter)
        return waiter.answer.result() if waiter.answer.done() else None

    async def serve(self) -> None:
        """Give what came free to those who wait for it."""
        for waiter in tuple(self._line):
            if waiter.answer.done():
                continue
            lease = await self._store.take(waiter.pool, waiter.model, avoid=waiter.avoid, draw=waiter.draw)
            if lease is None:
                continue
            # A store that suspends leaves the waiter time to go.
            if waiter.answer.done() or waiter not in self._line:
                await self._store.give_back(lease)
            else:
                waiter.answer.set_result(lease)

    def send_home(self) -> None:
        """Answer None to everyone: there will be no key."""
        for waiter in self._line:
            if not waiter.answer.done():
                waiter.answer.set_result(None)

    async def _until_answered(self, waiter: Waiter, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while not waiter.answer.done():
            left = deadline - loop.time()
            if left <= 0:
                return
            comeback = await self._store.comeback(waiter.pool, waiter.model, draw=waiter.draw)
            pause = left if comeback is None else min(left, max(comeback, _SHORTEST))
            await asyncio.wait((waiter.answer,), timeout=pause)
            if not waiter.answer.done():
                await self.serve()

    def _leave(self, waiter: Waiter) -> None:
        self._line.remove(waiter)

    async def _pass_on(self, waiter: Waiter) -> None:
        lease = waiter.answer.result() if waiter.answer.done() else None
        if lease is not None:
            await self._store.give_back(lease)
            await self.serve()
