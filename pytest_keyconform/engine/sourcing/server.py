"""A page of limits on the loopback, answered as a workload says, and watched while it withholds an answer."""

from __future__ import annotations

import _thread
import os
import select
import selectors
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, Self

from pytest_keyconform.engine.sourcing.holding import SLICE, Finding, Opening, Watch
from pytest_keyconform.limits_page import WITHOUT_ANSWER, Asked, Published

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

HOST: Final = "127.0.0.1"
PATIENCE: Final = 5.0  # seconds of real time in which the server's thread does what it is told
LARGEST: Final = 65_536  # bytes of a request
GIVEN_UP: Final = 600  # slices after which a connection is closed that nobody waits for
REASONS: Final = {200: "OK", 500: "Internal Server Error"}
UNPROXIED: Final = ("no_proxy", "NO_PROXY")


class Source:
    """Serves one page of limits at ``url`` while its block lasts, and counts who asked.

    One thread serves, made of raw locks, since those of `threading` may be replaced; it and every socket have ended
    when the block is left. ``deadline`` is how long an opening may wait, in seconds; ``now`` answers virtual seconds.
    ``_connections`` holds for each connection what came of its request so far; ``_held`` those whose answer is
    withheld; both belong to the thread.
    """

    def __init__(self, published: Published, *, deadline: float, now: Callable[[], float]) -> None:
        self._published = published
        self._deadline = deadline
        self._now = now
        self._listener = _bound(0)
        self._port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._ours, self._theirs = socket.socketpair()
        self._orders: list[Callable[[], None]] = []
        self._connections: dict[socket.socket, bytes] = {}
        self._held: dict[socket.socket, Watch] = {}
        self._opening: Opening | None = None
        self._finding = Finding()
        self._accepting = self._stopping = False
        self._ended = _allocate_lock()
        self._proxies: dict[str, str | None] = {}
        self.requests = 0

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self._port}/limits.json"

    def __enter__(self) -> Self:
        self._proxies = {name: os.environ.get(name) for name in UNPROXIED}
        for name, value in self._proxies.items():  # a proxy of the machine's does not know this loopback
            os.environ[name] = ",".join(filter(None, (value, HOST)))
        self._selector.register(self._ours, selectors.EVENT_READ, self._woken)
        self._turn()
        self._ended.acquire()
        _start_new_thread(self._serve, ())
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping = True
        self._wake()
        self._ended.acquire(timeout=PATIENCE)
        for name, value in self._proxies.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})

    def becomes(self, published: Published) -> None:
        """Answer so from now on; back once every later request is answered so."""
        done = _allocate_lock()
        done.acquire()

        def change() -> None:
            self._published = published
            self._turn()
            done.release()

        self._orders.append(change)
        self._wake()
        if not done.acquire(timeout=PATIENCE):
            message = f"the source of limits did not become {published.state} within {PATIENCE:g} s"
            raise TimeoutError(message)

    @property
    def published(self) -> Published:
        """What is answered now."""
        return self._published

    @contextmanager
    def opening(self, loop: asyncio.AbstractEventLoop | None) -> Iterator[None]:
        """Tell that the calling thread opens a manager while the block lasts, on a loop or on none."""
        self._opening = Opening(_thread.get_ident(), loop, self._now())
        try:
            yield
        finally:
            self._opening = None

    def expecting(self, loop: asyncio.SelectorEventLoop, *, timed: bool) -> bool:
        """Tell whether something may come to a loop from here: an answer, or one for a thread that the loop waits for.

        Where an answer is withheld from the loop itself, and timers are set (``timed``), only they can end the wait.
        """
        queued = self._published.state != "down" and _readable(self._listener)
        held = dict(self._held)
        if queued or self._accepting or any(one not in held for one in list(self._connections)):
            return True
        return bool(held) and not (timed and {_port_of(one, there=True) for one in held} <= _ports_in(loop))

    def asked(self, warnings: int | None) -> Asked:
        """Answer what was seen so far; ``warnings`` is what was heard."""
        found = self._finding
        return Asked(
            requests=self.requests,
            warnings=warnings,
            blocked=found.blocked,
            outlasted=found.outlasted,
            undecided=found.undecided,
        )

    # -- in the thread that serves ---------------------------------------------------------------------------

    def _serve(self) -> None:
        sys.settrace(threading.gettrace())  # as the bootstrap of `threading` does: coverage measures here too
        try:
            while not self._stopping:
                for key, _ in self._selector.select(SLICE if self._held else None):
                    key.data(key.fileobj)
                while self._orders:
                    self._orders.pop(0)()
                for connection, watch in list(self._held.items()):
                    self._look(connection, watch)
        finally:
            self._selector.close()
            for one in (*self._connections, self._listener, self._ours, self._theirs):
                one.close()
            self._ended.release()

    def _turn(self) -> None:
        """Listen, or refuse connections: the port stays taken, so that nobody else answers there."""
        listening = self._listener in self._selector.get_map()
        if (self._published.state != "down") is listening:
            return
        if listening:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = _bound(self._port)
        else:
            self._listener.listen()
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _woken(self, ours: socket.socket) -> None:
        ours.recv(LARGEST)

    def _wake(self) -> None:
        with suppress(OSError):  # the thread has ended
            self._theirs.send(b"+")

    def _accept(self, listener: socket.socket) -> None:
        self._accepting = True
        with suppress(OSError):  # who asked is gone
            connection, _ = listener.accept()
            connection.settimeout(0)
            self._connections[connection] = b""
            self._selector.register(connection, selectors.EVENT_READ, self._read)
        self._accepting = False

    def _read(self, connection: socket.socket) -> None:
        try:
            more = connection.recv(LARGEST)
        except OSError:
            more = b""
        request = self._connections[connection] + more
        if not more or len(request) > LARGEST:
            self._drop(connection)
            return
        whole = b"\r\n\r\n" in request and b"\r\n\r\n" not in self._connections[connection]
        self._connections[connection] = request
        if whole:
            self.requests += 1
            self._answer(connection, bodiless=request.startswith(b"HEAD "))

    def _answer(self, connection: socket.socket, *, bodiless: bool) -> None:
        state = self._published.state
        status, kind, text = self._published.answer()
        body = text.encode()
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        sent = f"{head}Connection: close\r\n\r\n".encode() + (b"" if bodiless or state == "stuck" else body)
        with suppress(OSError):  # who asked is gone
            if state != "slow":
                connection.sendall(sent)
        if state in WITHOUT_ANSWER:
            self._held[connection] = Watch(self._port, self._deadline)
        else:
            self._drop(connection)

    def _look(self, connection: socket.socket, watch: Watch) -> None:
        opening = self._opening
        finding = Finding() if opening is None else watch.look(opening, self._now())
        self._finding = self._finding.joined(finding)
        if finding.ended or watch.slices > GIVEN_UP:
            self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._connections.pop(connection, None)
        self._held.pop(connection, None)
        connection.close()


def _readable(listener: socket.socket) -> bool:
    """Tell whether somebody has connected who is not accepted yet."""
    try:
        return bool(select.select([listener], [], [], 0)[0])
    except (OSError, ValueError):  # it is being closed, or refuses connections
        return False


def _port_of(connection: socket.socket, *, there: bool = False) -> int:
    try:
        return int((connection.getpeername() if there else connection.getsockname())[1])
    except (OSError, IndexError, ValueError):  # it has ended, or is of another kind
        return 0


def _ports_in(loop: asyncio.SelectorEventLoop) -> set[int]:
    """Answer the local ports of the sockets that a loop waits for."""
    ports = set()
    for number in list(loop._selector.get_map()):  # type: ignore[attr-defined] # noqa: SLF001 - no public way
        with suppress(OSError), socket.socket(fileno=os.dup(number)) as found:
            ports.add(_port_of(found))
    return ports


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.settimeout(0)
    listener.bind((HOST, port))
    return listener


_allocate_lock = _thread.allocate_lock
_start_new_thread = _thread.start_new_thread
