"""The store of `RichManager` as one that only a real event loop can talk to: over sockets, or in a thread."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from contextlib import suppress

from managers.records import MemoryStore

_asked = queue.SimpleQueue()


def _serve():
    while True:
        _asked.get()()


def _answer(task):
    """Have a function called in the one thread that answers."""
    if not any(thread.name == "answers" for thread in threading.enumerate()):
        threading.Thread(target=_serve, name="answers", daemon=True).start()
    _asked.put(task)


def _send(connection):
    with connection, suppress(OSError):  # who asked may be gone
        connection.send(b"+")


class SocketStore(MemoryStore):
    """Each command waits for a byte on a socket."""

    async def travel(self):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        _answer(lambda: _send(theirs))
        try:
            await asyncio.get_running_loop().sock_recv(ours, 1)
        finally:
            ours.close()


def _resolve(loop, done):
    with suppress(RuntimeError):  # the loop may be closed
        loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))


class ThreadStore(MemoryStore):
    """Each command waits for a thread, as those of aiosqlite do."""

    async def travel(self):
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        _answer(lambda: _resolve(loop, done))
        await done


class OverSockets:
    """Put before a manager with a `MemoryStore`."""

    store = SocketStore

    def __init__(self, pool):
        super().__init__(pool)
        self._store = self.store()


class InAThread(OverSockets):
    """The same."""

    store = ThreadStore
