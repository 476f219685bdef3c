"""Taking requests over HTTP, many at a time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

import h11

from pytest_keyconform.spec.wire import PATH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_keyconform.serving.desk import Desk

_LARGEST: Final = 1 << 26  # bytes of a request
_PIECE: Final = 1 << 16
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"


async def serve(desk: Desk, *, host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Take connections until it is cancelled; ``ready`` is told where, once that is so. Raises OSError."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve(desk, reader, writer)
        except (OSError, h11.ProtocolError):
            pass  # it went away, or speaks something else: nobody is there to be told
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, port)
    async with server:
        ready(*server.sockets[0].getsockname()[:2])
        await server.serve_forever()


async def _serve(desk: Desk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    state = h11.Connection(h11.SERVER)

    async def event() -> object:
        while (found := state.next_event()) is h11.NEED_DATA:
            if state.they_are_waiting_for_100_continue:
                writer.write(state.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            state.receive_data(await reader.read(_PIECE))
        return found

    while isinstance(request := await event(), h11.Request):
        status, kind, content = await _answered(desk, request, event)
        headers = [("Content-Type", kind), ("Content-Length", str(len(content)))]
        said = (h11.Response(status_code=status, headers=headers), h11.Data(data=content), h11.EndOfMessage())
        writer.write(b"".join(state.send(one) or b"" for one in said))
        await writer.drain()
        if state.our_state is not h11.DONE or state.their_state is not h11.DONE:
            return
        state.start_next_cycle()


async def _answered(desk: Desk, request: h11.Request, event: Callable[[], Awaitable[object]]) -> tuple[int, str, bytes]:
    """Answer the status, the type and the body for a request."""
    body = bytearray()
    while isinstance(part := await event(), h11.Data):
        body += part.data
        if len(body) > _LARGEST:
            return 413, _TEXT, b"larger than any request\n"
    if request.target.partition(b"?")[0] != PATH.encode():
        return 404, _TEXT, f"requests go to {PATH}\n".encode()
    if request.method != b"POST":
        return 405, _TEXT, b"expected a POST\n"
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return 400, _TEXT, b"expected a JSON object\n"
    return 200, _JSON, json.dumps(await desk.answer(asked)).encode()
