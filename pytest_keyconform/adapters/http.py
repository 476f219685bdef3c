"""`http:` targets: a service on this machine that takes each request as one POST."""

from __future__ import annotations

import json
import select
import socket
import weakref
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import h11

from pytest_keyconform.adapters.keys import without_canaries
from pytest_keyconform.adapters.stdio import parsed
from pytest_keyconform.adapters.streams import Stream, too_long
from pytest_keyconform.errors import TargetError, WireError
from pytest_keyconform.spec.wire import PATH

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_CONNECTING: Final = 5.0  # seconds; to this machine it takes none
_SHOWN: Final = 200  # characters of an answer that is none
_OK: Final = 200
_LOOPBACK: Final = ("127.", "::1", "localhost")


class Http:
    """A line to a service. A connection serves one request at a time and is kept for the next one.

    ``network``: it may be on another machine.
    """

    heard = False

    def __init__(self, address: str, *, network: bool = False) -> None:
        parts = _split(address)
        self._host, self._port = str(parts.hostname), parts.port or 80
        self._path = PATH if parts.path in ("", "/") else parts.path
        if not network and not self._host.startswith(_LOOPBACK):
            raise TargetError(
                f"{address}: {self._host} is another machine; say network = true in its table of "
                "[tool.keyconform.targets] if keys made for this run may go there"
            )
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    async def ask(self, request: dict[str, object]) -> object:
        """Send a request and answer what came for it; raises `WireError` where that is none."""
        connection = self._connected()
        self._busy.add(connection)
        try:
            status, content = await connection.exchange(self._path, json.dumps(request).encode())
        except (OSError, h11.ProtocolError) as error:
            connection.close()
            raise WireError(f"{self._place()} broke off: {error}") from None
        except BaseException:
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        if status != _OK:
            text = without_canaries(content[:_SHOWN].decode(errors="replace"))
            raise WireError(f"{self._place()} answered status {status} to a POST to {self._path}: {text}")
        return parsed(content)

    def end(self) -> None:
        """Close every connection."""
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()
        self._busy.clear()

    def said(self) -> str:
        """Answer nothing: the log of a service is its own."""
        return ""

    def _connected(self) -> Connection:
        """Answer a connection that is open; a request is never sent twice, so that none is served twice."""
        while self._idle:
            kept = self._idle.pop()
            if not kept.ended():
                return kept
            kept.close()
        try:
            made = socket.create_connection((self._host, self._port), timeout=_CONNECTING)
        except OSError as error:
            raise WireError(f"nobody takes connections at {self._place()}: {error.strerror or error}") from None
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(made, f"{self._host}:{self._port}")

    def _place(self) -> str:
        return f"{self._host}:{self._port}"


class Connection:
    """One connection, in HTTP/1.1."""

    def __init__(self, made: socket.socket, host: str) -> None:
        self._socket, self._host = made, host
        weakref.finalize(self, made.close)
        self._stream = Stream(made.fileno(), made.fileno())
        self._state = h11.Connection(h11.CLIENT)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self._state.our_state is h11.IDLE

    async def exchange(self, path: str, content: bytes) -> tuple[int, bytes]:
        """Send a body and answer the status and the body that came back; raises OSError and `h11.ProtocolError`."""
        headers = [
            ("Host", self._host),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
        ]
        events = (h11.Request(method="POST", target=path, headers=headers), h11.Data(data=content), h11.EndOfMessage())
        await self._stream.send(b"".join(self._state.send(event) or b"" for event in events))
        status, received = 0, bytearray()
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                received += event.data
            if too_long(len(received)):
                raise WireError("its answer has no end")
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        return status, bytes(received)

    async def _event(self) -> object:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            self._state.receive_data(await self._stream.receive())
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the connection was closed before an answer came")
        return event

    def ended(self) -> bool:
        """Tell whether the service closed it, or sent what nobody asked for."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close it; again is harmless."""
        self._socket.close()


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "http" and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        usable = False
    if not usable:
        raise TargetError(f"{address!r}: expected a target such as http://127.0.0.1:8000")
    return parts
