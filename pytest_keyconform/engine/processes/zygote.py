"""The interpreter that workers are forked from: it has the target imported, and no thread of its own."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.engine.measuring import made
from pytest_keyconform.engine.processes.worker import MovingClock, Worker

if TYPE_CHECKING:
    from coverage import Coverage

MOST = 4096  # bytes of one request: a word and a socket


def main(descriptor: int) -> None:
    """Fork a worker for each socket that comes in; end when the other side does."""
    control = socket.socket(fileno=descriptor)
    head = control.recv(8, socket.MSG_WAITALL)
    told = pickle.loads(control.recv(int.from_bytes(head), socket.MSG_WAITALL))  # noqa: S301 - from the harness itself
    sys.path[:] = told["path"]
    os.chdir(told["folder"])
    measured = None if told["measured"] is None else made(told["measured"][0], folder=told["measured"][1])
    if measured is not None:
        measured.start()
    target = resolve(told["text"], roots=[Path(root) for root in told["path"][:1]], policies=told["policies"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    control.send(b"+")
    clock = MovingClock()
    with clock:
        clock.watch(target.modules())
        while True:
            word, sockets, _, _ = socket.recv_fds(control, MOST, 1)
            if not word:
                os._exit(0)
            if os.fork() == 0:
                control.close()
                status = 1
                try:
                    Worker(Connection(sockets[0]), target, clock, lambda: _leave(measured)).serve()
                    status = 0
                finally:
                    os._exit(status)
            os.close(sockets[0])


def _leave(measured: Coverage | None) -> None:
    """Leave what was measured so far to the process that asked for it: a worker may be killed at any time."""
    if measured is not None:
        measured.save()
