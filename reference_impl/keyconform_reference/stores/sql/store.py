"""A ``Store`` in an SQL database that several processes may share: see ``protocol.Store`` for what each step does.

Each step is one transaction, which takes the right to write before it reads. What it decides, it decides by the
same pure code as the memory store. Nothing is kept in between: an instance obeys what another one did at its next step.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from keyconform_reference.errors import KeyManagerError, NotOpenError, StoreError
from keyconform_reference.keys import Pool

from . import listing, serving, upkeep
from .clock import Clock
from .ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from keyconform_reference.limits import Model
    from keyconform_reference.reports import Carried, Effects, Lease
    from keyconform_reference.stores.protocol import Roster, Row, Rules, Standing

    from .library import Connection

T = TypeVar("T")

_LOOK = 0.1
"""Seconds after which a waiting acquire looks again: another process may have given a key back."""


class Database(Protocol):
    """One kind of database. ``space`` is what the names of pools in it begin with, ``errors`` what it raises."""

    space: str
    errors: tuple[type[BaseException], ...]

    async def open(self, seconds: float) -> None:
        """Connect, and see that there are tables; waits for locks and answers take at most ``seconds``."""

    async def close(self) -> None:
        """Let go of every connection; harmless where there is none."""

    async def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """Run a transaction; one that ``writes`` is alone with what it reads."""


class SqlStore:
    """Keys in a database; ``Options.deadline`` bounds each step."""

    def __init__(self, rules: Rules, database: Database) -> None:
        self._rules = rules
        self._database = database
        self._is_open = False
        self._clock = Clock()
        self._running: set[asyncio.Task[Any]] = set()

    async def open(self, roster: Roster) -> None:
        """Serve these keys, keeping what is known of them and of others."""
        try:
            await self._guarded(self._database.open(self._seconds))
            await self._guarded(self._transaction(functools.partial(self._begin, roster=roster), writes=True))
        except BaseException:
            await self._leave()
            raise
        self._is_open = True

    async def close(self) -> None:
        """Wait for the steps that are under way, and let go of every connection."""
        if not self._is_open:
            return
        self._is_open = False
        if self._running:
            await asyncio.wait(self._running, timeout=self._seconds)
        with contextlib.suppress(StoreError):
            await self._guarded(self._transaction(self._clock.note, writes=True))
        await self._leave()

    async def healthy(self) -> bool:
        """Tell whether the database answers."""
        await self._step(lambda ledger: ledger.size(Pool.REGULAR), writes=False)
        return True

    async def take(self, pool: Pool, model: Model, *, avoid: str | None = None, draw: bool = False) -> Lease | None:
        """Choose a usable key."""
        return await self._lease(lambda ledger: serving.take(ledger, pool, model, avoid=avoid, draw=draw))

    async def take_any(self, pool: Pool, model: Model, *, avoid: str | None = None) -> Lease | None:
        """Choose the next key of the rotation that is not held."""
        return await self._lease(lambda ledger: serving.take_any(ledger, pool, model, avoid=avoid))

    async def next_key(self, pool: Pool) -> str | None:
        """Return the next key, usable or not (000-7)."""
        return await self._step(lambda ledger: serving.next_key(ledger, pool))

    async def give_back(self, lease: Lease) -> None:
        """Undo a ``take``."""
        await self._step(lambda ledger: serving.give_back(ledger, lease))

    async def release(self, pool: Pool, key: str, token: int) -> bool:
        """End a lease."""
        return await self._step(lambda ledger: serving.release(ledger, pool, key, token))

    async def apply(self, pool: Pool, key: str, model: Model, effects: Effects, token: int | None) -> bool:
        """Write down a report."""
        return await self._step(lambda ledger: serving.apply(ledger, pool, key, model, effects, token))

    async def carry(self, pool: Pool, key: str, model: Model, carried: Carried) -> bool:
        """Take over an earlier version's row."""
        return await self._step(lambda ledger: serving.carry(ledger, pool, key, model, carried))

    async def restore(self, pool: Pool, key: str) -> bool:
        """Restore one key."""
        return await self._step(lambda ledger: upkeep.restore(ledger, pool, key))

    async def restore_all(self, pool: Pool) -> None:
        """Restore every key."""
        await self._step(lambda ledger: upkeep.restore_all(ledger, pool))

    async def lift_mark(self, pool: Pool, key: str, model: Model) -> bool:
        """Lift one mark."""
        return await self._step(lambda ledger: upkeep.lift_mark(ledger, pool, key, model))

    async def clear_usage(self) -> None:
        """Zero every counter."""
        await self._step(upkeep.clear_usage)

    async def replace(self, roster: Roster) -> None:
        """Serve other keys."""
        await self._step(functools.partial(_replaced, roster=roster, keep=self._rules.options.reload == "preserve"))

    async def row(self, pool: Pool, key: str, model: Model) -> Row | None:
        """Return the usage of a key."""
        return await self._step(lambda ledger: upkeep.row(ledger, pool, key, model), writes=False)

    async def rows(self) -> Sequence[Row]:
        """Return all usage."""
        return await self._step(upkeep.rows, writes=False)

    async def standing(self, pool: Pool, key: str) -> Standing | None:
        """Return how a key stands."""
        return await self._step(lambda ledger: upkeep.standing(ledger, pool, key), writes=False)

    async def standings(self, pool: Pool) -> Sequence[Standing]:
        """Return how all keys stand."""
        return await self._step(lambda ledger: upkeep.standings(ledger, pool), writes=False)

    async def size(self, pool: Pool) -> int:
        """Return the number of keys."""
        return await self._step(lambda ledger: ledger.size(pool), writes=False)

    async def comeback(self, pool: Pool, model: Model, *, draw: bool = False) -> float | None:  # noqa: ARG002 - all alike
        """Return the time left to the end of the first wait, or to the next look at what others gave back."""
        when, now = await self._step(lambda ledger: (serving.comeback(ledger, pool, model), ledger.now), writes=False)
        return max(0.0, min(when - now, _LOOK)) if when < math.inf else _LOOK

    async def sweep(self) -> None:
        """Drop the models that were added on the fly and have no effect any more (002-O2)."""
        await self._step(listing.drop_idle)

    # How a step is done -----------------------------------------------------------------------------------

    @property
    def _seconds(self) -> float:
        return self._rules.options.deadline

    def _begin(self, ledger: Ledger, roster: Roster) -> None:
        self._clock.begin(ledger)
        upkeep.enlist(ledger, roster, keep_others=True)
        upkeep.wake_all(ledger)

    async def _leave(self) -> None:
        with contextlib.suppress(StoreError):
            await self._guarded(self._database.close())

    async def _lease(self, work: Callable[[Ledger], Lease | None]) -> Lease | None:
        return await self._step(work, undo=self.give_back)

    async def _step(
        self, work: Callable[[Ledger], T], *, writes: bool = True, undo: Callable[[Any], Any] | None = None
    ) -> T:
        """Do a step in a task of its own: a call that is cancelled has happened in full or is undone."""
        if not self._is_open:
            raise NotOpenError
        task = asyncio.ensure_future(self._guarded(self._transaction(work, writes=writes)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            # Unlike ``await task``, this leaves the task alone when it is cancelled.
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            await _ended(task)
            if undo is not None and not task.cancelled() and task.exception() is None and task.result() is not None:
                await undo(task.result())
            raise
        return task.result()

    async def _guarded(self, step: Awaitable[T]) -> T:
        """Answer what a step does, within the deadline; errors of the database become ``StoreError``."""
        try:
            async with asyncio.timeout(self._seconds):
                return await step
        except KeyManagerError:
            raise
        except TimeoutError:
            failure = f"did not answer within {self._seconds:g} s"
        except self._database.errors as error:
            failure = f"failed: {_told(error)}"
        # Raised here, so that it does not carry the other one, which may hold keys.
        message = f"the store {failure}"
        raise StoreError(message)

    async def _transaction(self, work: Callable[[Ledger], T], *, writes: bool) -> T:
        clock = self._clock
        clock.now()
        # Where the clock was set back, what is stored is moved first, also before it is read.
        answer = await self._database.run(functools.partial(self._work, work), writes=writes or clock.owes)
        clock.settled()
        return answer

    def _work(self, work: Callable[[Ledger], T], connection: Connection) -> T:
        ledger = Ledger(connection, self._rules, space=self._database.space, now=self._clock.now())
        if self._clock.owes:
            self._clock.settle(ledger)
        return work(ledger)


def _replaced(ledger: Ledger, roster: Roster, *, keep: bool) -> None:
    upkeep.enlist(ledger, roster, keep_others=False)
    if not keep:
        upkeep.forget_states(ledger)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Wait until a task has ended, also if that is cancelled; its deadline bounds it."""
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])


def _told(error: BaseException) -> str:
    """Say what an error is without what it carries: statements and values hold keys."""
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__}{f' ({code})' if code else ''}"
