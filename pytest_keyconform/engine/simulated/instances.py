"""One instance of a backend in a simulated process of its own: opened, called, closed, or killed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_keyconform.adapters.resolve import OpeningFailed
from pytest_keyconform.engine.driving import drive
from pytest_keyconform.engine.loop import ControlledLoop
from pytest_keyconform.engine.simulated.sqlite import Crashed, NextCommand, close_quietly

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Coroutine

    from pytest_keyconform.adapters.connection import Connection
    from pytest_keyconform.adapters.resolve import Opened
    from pytest_keyconform.engine.program import Program
    from pytest_keyconform.engine.threads.turns import Turns


SLICES = 20  # of a pause, after each of which the tasks of an asynchronous instance go on
ROUNDS = 30  # of an event loop, in which a task that wakes up does what it woke up for


class Store:
    """What all instances of an execution share: how many commands were issued, and whose turn it is."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.issued = 0
        self.instances: dict[int, Instance] = {}  # by the number of their thread

    def current(self) -> Instance | None:
        """Answer the instance of the thread whose turn it is; None for a thread that has none."""
        return self.instances.get(self.turns.current.number) if self.turns.mine() else None


class Instance:
    """An instance, by the thread that opens it. ``dies_at`` counts down store commands to its end; None: it lives.

    An asynchronous backend gets an event loop of its own, in which the one ready longest runs.
    """

    def __init__(self, program: Program, store: Store, *, is_async: bool) -> None:
        self.dies_at: int | None = None
        self.dead = False
        self._program = program
        self._store = store
        self._loop = ControlledLoop(program.clock) if is_async else None
        self._connections: list[sqlite3.Connection] = []
        self._opened: Opened | None = None
        store.instances[store.turns.current.number] = self

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it answers
        """Run a coroutine of the harness that calls this instance."""
        return drive(coroutine) if self._loop is None else self._loop.run_until_complete(coroutine)

    async def open(self, _name: str, _arguments: dict[str, object]) -> None:
        """Open it; raises what the backend raised."""
        try:
            self._opened = await self._program.instance()
        except OpeningFailed as failure:
            raise failure.cause from None

    def adopt(self, opened: Opened) -> None:
        """Take over what was opened otherwise."""
        self._opened = opened

    @property
    def connection(self) -> Connection | None:
        """The way to call it, once it is open."""
        return None if self._opened is None else self._opened.connection

    def invoke(self, name: str, arguments: dict[str, object]) -> object:
        """Call an operation of it."""
        if self._opened is None:
            message = "an instance is called that was not opened"
            raise RuntimeError(message)
        return self._opened.connection.invoke(name, arguments)

    def let_pass(self, seconds: float) -> None:
        """Let time pass: the other instances go on meanwhile, and what this one does by itself, in slices of it."""
        if self._loop is None:
            self._store.turns.advance(seconds)
            return
        for _ in range(SLICES):
            self._store.turns.advance(seconds / SLICES)
            self._loop.run_until_complete(_rounds())

    def close(self) -> None:
        """Close it as a service that ends does; what closing raises is judged elsewhere."""
        if self._opened is not None and not self.dead:
            with suppress(Exception):
                self.run(self._opened.close())
        self._leave()

    def kill(self) -> None:
        """End it without a word: what it had not committed is gone."""
        self.dead = True
        self._leave()

    def _leave(self) -> None:
        for connection in self._connections:
            close_quietly(connection)
        self._connections.clear()
        if self._loop is not None and not self._loop.is_running():
            self._loop.end()

    # -- `sqlite.Commands`

    def begin(self, command: str) -> None:  # noqa: ARG002 - told, and not needed
        """Stand before a store command: another instance may come first, or this one may die here."""
        self.check()
        self._store.turns.point()
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                self.kill()
                raise Crashed
        self._store.issued += 1

    def check(self) -> None:
        """Raise `Crashed` where it is dead."""
        if self.dead:
            raise Crashed

    def wait(self, seconds: float) -> bool:
        """Give the turn away until another instance has issued a command; False: ``seconds`` are over."""
        return self._store.turns.wait(NextCommand(self._store), seconds)

    def opened(self, connection: sqlite3.Connection) -> None:
        """Remember a connection."""
        self._connections.append(connection)


async def _rounds() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)
