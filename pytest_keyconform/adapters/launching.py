"""Starting the service that a target is, and stopping it (`start`, `ready`, `stop` of its table)."""

from __future__ import annotations

import http.client
import os
import select
import shlex
import socket
import subprocess
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from freezegun import api

from pytest_keyconform.adapters.keys import without_canaries
from pytest_keyconform.adapters.spawning import end_group, spawned, without_keys
from pytest_keyconform.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PORT: Final = "{port}"  # stands for a port that is free
START_TIMEOUT, STOP_TIMEOUT = 30.0, 10.0
_PAUSE: Final = 0.05  # seconds between two looks
_LOOK: Final = 2.0  # seconds of one look
_SHOWN: Final = 12  # lines of what a service said last
_FINE: Final = range(200, 300)


class Launched:
    """A service that was started for a target. It ends with `end`, or with whoever holds this."""

    def __init__(self, settings: Mapping[str, Any], address: str, *, folder: Path | None) -> None:
        """Start it and wait until it is ready; raises `TargetError` where it does not get so in its time.

        Where its table does not tell what ``ready`` is, it is so once somebody takes connections at its address.
        """
        self._folder = folder
        self._environment = without_keys(os.environ)
        self._stop = _words(settings.get("stop"))
        self._grace = float(settings.get("stop_timeout") or STOP_TIMEOUT)
        self._limit = float(settings.get("start_timeout") or START_TIMEOUT)
        descriptor, self._said = tempfile.mkstemp()
        self._command = _words(settings["start"])
        pipes = {"stdin": subprocess.DEVNULL, "stdout": descriptor, "stderr": descriptor}
        try:
            self._process = spawned(self._command, self._environment, folder=folder, **pipes)
        finally:
            os.close(descriptor)
            unlink = weakref.finalize(self, Path(self._said).unlink, missing_ok=True)
        unlink.atexit = True
        self._last = weakref.finalize(self, end_group, self._process, os.getpid(), self._grace)
        try:
            self._wait(settings.get("ready") or address, address)
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Stop it: by its own command where there is one; then whatever is left of its process group is ended."""
        if self._last.alive and self._stop:
            with suppress(OSError, subprocess.SubprocessError):
                subprocess.run(  # noqa: S603 - what the user named
                    self._stop,
                    cwd=self._folder,
                    env=self._environment,
                    timeout=self._grace,
                    capture_output=True,
                    check=False,
                )
        self._last()

    def _wait(self, ready: object, address: str) -> None:
        until = api.real_monotonic() + self._limit
        is_ready = self._look(ready, address)
        while not is_ready():
            status = self._process.poll()
            if status:  # one that ends well has left something running
                raise TargetError(f"{self._command[0]!r} ended with exit status {status}{self._tail()}")
            if api.real_monotonic() > until:
                raise TargetError(f"{self._command[0]!r} was not ready within {self._limit:g} s{self._tail()}")
            select.select([], [], [], _PAUSE)

    def _look(self, ready: object, address: str) -> Callable[[], bool]:
        if ready == address:
            return lambda: _listens(address)
        if isinstance(ready, str) and ready.startswith("http://"):
            return lambda: _answers(ready)
        return lambda: self._succeeds(_words(ready))

    def _succeeds(self, command: list[str]) -> bool:
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(  # noqa: S603 - what the user named
                command,
                cwd=self._folder,
                env=self._environment,
                timeout=_LOOK,
                capture_output=True,
                check=False,
            )
            return done.returncode == 0
        return False

    def _tail(self) -> str:
        text = without_canaries(Path(self._said).read_text(encoding="utf-8", errors="replace"))
        lines = [line.rstrip() for line in text.splitlines() if line.strip()][-_SHOWN:]
        return "; it said:\n  " + "\n  ".join(lines) if lines else ""


def placed(settings: Mapping[str, Any], address: str) -> tuple[dict[str, Any], str]:
    """Answer a table and an address with a free port wherever `PORT` stands."""
    texts = [address, *(word for name in ("start", "ready", "stop") for word in _words(settings.get(name)))]
    if not any(PORT in text for text in texts):
        return dict(settings), address
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])

    def put(value: object) -> object:
        if isinstance(value, str):
            return value.replace(PORT, port)
        return [put(word) for word in value] if isinstance(value, list | tuple) else value

    return {name: put(value) for name, value in settings.items()}, address.replace(PORT, port)


def _answers(url: str) -> bool:
    """Tell whether a URL of this machine is answered well."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_LOOK)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="").geturl() or "/")
        return connection.getresponse().status in _FINE
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _listens(address: str) -> bool:
    """Tell whether somebody takes connections there; what is no `http:` target has nothing to wait for."""
    parts = urlsplit(address)
    if parts.scheme != "http":
        return True
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_LOOK).close()
    except OSError:
        return False
    return True


def _words(command: object) -> list[str]:
    if isinstance(command, str):
        return shlex.split(command)
    return [str(word) for word in command] if isinstance(command, list | tuple) else []
