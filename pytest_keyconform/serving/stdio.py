"""Taking requests from standard input, line by line, and answering on standard output as the answers come."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_keyconform.serving.desk import Desk

_LONGEST: Final = 1 << 26  # bytes of a request


async def serve(desk: Desk) -> None:
    """Answer until the end of the input. What else is printed goes to standard error from now on."""
    told = os.dup(1)
    os.dup2(2, 1)
    reader = asyncio.StreamReader(limit=_LONGEST)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    under_way: set[asyncio.Task[None]] = set()

    async def answer(line: bytes) -> None:
        try:
            asked = json.loads(line)
        except (ValueError, RecursionError):
            asked = None
        _write(told, json.dumps(await desk.answer(asked)).encode() + b"\n")

    while line := await reader.readline():
        task = asyncio.ensure_future(answer(line))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    os.close(told)


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
