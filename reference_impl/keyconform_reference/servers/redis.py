"""A manager on Redis: that of ``KEYCONFORM_REDIS_URL``, or a private server that ends with those who use it.

``make_manager`` is the registered target ``reference-redis``. Each ``Pool.storage`` is a name of its own, so that the
same folder again means the same state.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from typing import TYPE_CHECKING, Any

from keyconform_reference.errors import ConfigurationError, StoreError
from keyconform_reference.factory import PoolLike, manager_of
from keyconform_reference.options import Options

try:  # here, so that processes forked from one that has this module need not import it again
    from keyconform_reference.stores.redis import redis_store
except ModuleNotFoundError as error:
    _LACKING: str | None = error.name
else:
    _LACKING = None

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyconform_reference.manager import KeyManager
    from keyconform_reference.stores import Rules, Store

VARIABLE = "KEYCONFORM_REDIS_URL"
_TRIES, _NAP = 1_000, 0.01
_LONGEST_PATH = 100  # of a socket, on every system
_MISSING = (
    "there is no Redis server: install one (Debian: apt-get install redis-server, macOS: brew install redis) so that "
    f"redis-server is on PATH, or name a running one, such as {VARIABLE}=redis://localhost:6379/0"
)
_NO_LIBRARY = "redis-py is not installed: pip install 'pytest-keyconform[redis]'"
# Each line read starts the server. It ends when nobody holds the other end any more, however they ended.
_WATCH = """
while read -r _; do "$@" & server=$!; done
kill "$server"; wait "$server"; rm -rf "$KEYCONFORM_FOLDER"
"""


class PrivateServer:
    """A Redis server on a socket in a folder of its own; what it has acknowledged outlives it."""

    def __init__(self) -> None:
        """Start one; raises ``ConfigurationError`` where none is installed, ``StoreError`` where it does not start."""
        program = shutil.which("redis-server")
        if program is None:
            raise ConfigurationError(_MISSING)
        self.folder = _new_folder()
        self._socket = self.folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._watch = subprocess.Popen(  # noqa: S603 - the server, with settings of our own
            ["/bin/sh", "-c", _WATCH, "sh", program, *_settings(self.folder, self._socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "KEYCONFORM_FOLDER": str(self.folder)},
        )
        self._owner = os.getpid()
        atexit.register(self.close)
        self.start()

    def start(self) -> None:
        """Start the server, again after ``kill``, on what it had acknowledged."""
        if self._watch.stdin is None or self._watch.poll() is not None:
            message = "the private Redis server was closed"
            raise StoreError(message)
        self._watch.stdin.write(b"start\n")
        self._watch.stdin.flush()
        for _ in range(_TRIES):
            if _answers(self._socket):
                return
            select.select([], [], [], _NAP)  # real time, also where that of the process stands still
        self.close()
        message = f"redis-server did not start within {_TRIES * _NAP:g} s"
        raise StoreError(message)

    def kill(self) -> None:
        """Kill the server as a power cut would."""
        os.kill(int((self.folder / "redis.pid").read_text()), signal.SIGKILL)
        for _ in range(_TRIES):
            if not _answers(self._socket):
                return
            select.select([], [], [], _NAP)

    def close(self) -> None:
        """End the server and remove its folder, unless processes that were forked from this one still use it."""
        atexit.unregister(self.close)
        if self._owner == os.getpid() and self._watch.stdin is not None:
            self._watch.stdin.close()
            self._watch.wait(_TRIES * _NAP)


@dataclasses.dataclass(frozen=True, slots=True)
class RedisFactory:
    """Makes managers with ``options`` on Redis, from a pool; ``policies`` are these and those of the store."""

    options: Options = dataclasses.field(default_factory=Options)

    @property
    def policies(self) -> dict[str, Any]:
        """The policies by name, new at each call."""
        return {**dataclasses.asdict(self.options), "durability": "write-through", "staleness": 0.001}

    def __call__(self, pool: PoolLike) -> KeyManager:
        """Return a new manager, not yet open; raises ``ConfigurationError`` where there is no server to use."""
        return manager_of(pool, self.options, store_on(server_url(), name_of(pool.storage)))


make_manager = RedisFactory()


def store_on(url: str, name: str) -> Callable[[Rules], Store]:
    """Return the stores of one name on a server; raises ``ConfigurationError`` where redis-py is not installed."""
    if _LACKING is not None:
        raise ConfigurationError(_NO_LIBRARY)
    return redis_store(url, name=name)


def server_url() -> str:
    """Return the URL of the Redis to use, after starting one where none is named; child processes use the same."""
    found = os.environ.get(VARIABLE)
    if not found:
        found = os.environ[VARIABLE] = _private().url
    return found


def name_of(storage: pathlib.Path | None) -> str:
    """Return the name of the state that belongs to a folder: from its path, so that no torn file hides the state."""
    if storage is None:
        return uuid.uuid4().hex
    return hashlib.blake2b(os.fsencode(pathlib.Path(storage).resolve()), digest_size=16).hexdigest()


@functools.cache
def _private() -> PrivateServer:
    return PrivateServer()


def _new_folder() -> pathlib.Path:
    """Make a folder, in memory where that can be: it outlives a killed server, and flushing it costs nothing."""
    quick = "/dev/shm"  # noqa: S108 - the folder made there has a random name, and is this user's own
    folder = tempfile.mkdtemp(prefix="keyconform-redis-", dir=quick if os.access(quick, os.W_OK) else None)
    if len(folder) > _LONGEST_PATH - len("/redis.sock"):
        pathlib.Path(folder).rmdir()
        folder = tempfile.mkdtemp(prefix="keyconform-redis-", dir="/tmp")
    return pathlib.Path(folder)


def _settings(folder: pathlib.Path, path: pathlib.Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "pidfile": str(folder / "redis.pid"),
        "daemonize": "no",
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "logfile": str(folder / "redis.log"),
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in settings.items() for word in (f"--{name}", value)]


def _answers(path: pathlib.Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_TRIES * _NAP)
        asking.connect(str(path))
        asking.sendall(b"PING\r\n")
        return asking.recv(7) == b"+PONG\r\n"
    return False
