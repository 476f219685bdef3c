"""Bytes to and from another process, on whatever event loop runs, or on none."""

from __future__ import annotations

import asyncio
import os
import select
from typing import Final

from freezegun import api

from pytest_keyconform.errors import WireError

PATIENCE: Final = 30.0  # seconds of real time that a first answer may take, where no event loop bounds the wait
_MOST: Final = 1 << 16
_LARGEST: Final = 1 << 26  # bytes that wait to be read: an answer beyond this is none


class Stream:
    """Two descriptors that do not block; ``read`` and ``write`` may be the same one (a socket).

    A wait belongs to the event loop that runs as it begins; where none runs, it blocks, for `PATIENCE` seconds at most.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        for descriptor in (read, write):
            os.set_blocking(descriptor, False)

    async def receive(self) -> bytes:
        """Answer what is there, once something is; nothing at the end. Raises OSError."""
        while True:
            try:
                return os.read(self._read, _MOST)
            except BlockingIOError:
                await self._ready(writing=False)

    async def send(self, content: bytes) -> None:
        """Send all of it. Raises OSError."""
        left = memoryview(content)
        while left:
            try:
                left = left[os.write(self._write, left) :]
            except BlockingIOError:
                await self._ready(writing=True)

    async def _ready(self, *, writing: bool) -> None:
        loop = running_loop()
        if loop is None:
            wait_for(self._write if writing else self._read, writing=writing, until=api.real_monotonic() + PATIENCE)
            return
        future: asyncio.Future[None] = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
        descriptor = self._write if writing else self._read

        def wake() -> None:
            remove(descriptor)  # or it would be told at each look, as long as the task is held
            if not future.done():
                future.set_result(None)

        add(descriptor, wake)
        try:
            await future
        finally:
            remove(descriptor)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Answer the event loop that runs here; None where none does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def wait_for(descriptor: int, *, writing: bool = False, until: float) -> None:
    """Wait until a descriptor is ready; raises `WireError` once real time is up."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT if writing else select.POLLIN)
    left = until - api.real_monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise WireError(f"nothing was heard for {PATIENCE:g} s")


def too_long(size: int) -> bool:
    """Tell whether so many bytes are more than any answer has."""
    return size > _LARGEST
