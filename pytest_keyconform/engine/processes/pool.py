"""Starting workers, and ending them."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_keyconform.engine.measuring import gauge
from pytest_keyconform.errors import KeyconformError

if TYPE_CHECKING:
    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.processes.worker import Begin

STARTING = 30.0  # seconds that importing the target may take
ANSWERING = 20.0  # seconds that one call may take: longer than any time-out of a store in use
_START = "import sys; from pytest_keyconform.engine.processes.zygote import main; main(int(sys.argv[1]))"


class Unforked(KeyconformError):
    """No worker process could be started; the text says why."""


class Process:
    """One worker process. ``connection`` answers what is asked; at its end the process is gone."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.pid = 0

    def begin(self, begin: Begin) -> None:
        """Tell it what its instances are opened on; raises `Unforked`."""
        with suppress(OSError, EOFError):
            self.connection.send(begin)
            if self.connection.poll(ANSWERING):
                self.pid = self.connection.recv()
        if not self.pid:
            raise Unforked("a worker process did not start")

    def leave(self) -> None:
        """Let it end by itself, as it does where nobody asks it any more."""
        self.connection.close()

    def kill(self) -> None:
        """End it without a word, unless it was left to itself."""
        if self.connection.closed:
            return
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            with suppress(OSError, EOFError):  # until it is gone, and its locks with it
                while self.connection.poll(1.0):
                    self.connection.recv()
        self.connection.close()


class Zygote:
    """The interpreter that workers are forked from; started at the first call of `fork`, ended with this object."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._control: socket.socket | None = None

    def fork(self) -> Process:
        """Start a worker; raises `Unforked`."""
        control = self._control or self._started()
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(control, [b"f"], [theirs.fileno()])
        except OSError as error:
            self._control = None
            raise Unforked(f"the process that workers are forked from has ended ({error})") from error
        finally:
            theirs.close()
        return Process(Connection(ours.detach()))

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-c", _START, str(theirs.fileno())]
        process = subprocess.Popen(  # noqa: S603 - this interpreter, on this package
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        weakref.finalize(self, _end, process, ours)
        declared = self._target.policies.model_dump(exclude_unset=True)
        told: dict[str, object] = {
            "text": self._target.text,
            "path": sys.path,
            "folder": str(Path.cwd()),
            "policies": declared,
            "measured": None,
        }
        measuring = gauge()
        if measuring is not None and measuring.folder is not None:
            told["measured"] = (measuring.packages, measuring.folder)
        text = pickle.dumps(told)
        ours.settimeout(STARTING)
        try:
            ours.sendall(len(text).to_bytes(8) + text)
            ready = ours.recv(1)
        except OSError:
            ready = b""
        if not ready:
            raise Unforked(f"{self._target.text} cannot be imported in a process of its own")
        self._control = ours
        return ours


def _end(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    control.close()
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
