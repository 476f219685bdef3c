"""A manager on PostgreSQL: that of ``KEYCONFORM_POSTGRES_URL``, or a private server that ends with those who use it.

``make_manager`` is the registered target ``reference-postgres``. Each ``Pool.storage`` is a name of its own, so that
the same folder again means the same state.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import pwd
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from typing import TYPE_CHECKING, Any

from keyconform_reference.errors import ConfigurationError, StoreError
from keyconform_reference.factory import LASTING, manager_of
from keyconform_reference.options import Options

try:  # here, so that processes forked from one that has this module need not import it again
    from keyconform_reference.stores.sql import SqlStore
    from keyconform_reference.stores.sql.postgres import Postgres
except ConfigurationError as error:
    _LACKING: str | None = str(error)
else:
    _LACKING = None

if TYPE_CHECKING:
    from collections.abc import Callable

    from keyconform_reference.factory import PoolLike
    from keyconform_reference.manager import KeyManager
    from keyconform_reference.stores import Rules, Store

VARIABLE = "KEYCONFORM_POSTGRES_URL"
_DEBIAN = pathlib.Path("/usr/lib/postgresql")
_TRIES, _NAP = 2_000, 0.01
_PORT = 5432  # of a socket: a part of its name
_UNPRIVILEGED = ("postgres", "nobody")
_MISSING = (
    "there is no PostgreSQL server: install one (Debian: apt-get install postgresql, macOS: brew install postgresql) "
    "so that postgres and initdb are on PATH or in /usr/lib/postgresql/*/bin, or name a running one, such as "
    f"{VARIABLE}=postgresql://user@localhost/name"
)
# Each line read starts the server. It ends when nobody holds the other end any more, however they ended.
_WATCH = """
while read -r _; do "$@" & server=$!; done
kill -QUIT "$server"; wait "$server"; rm -rf "$KEYCONFORM_FOLDER"
"""


class PrivateServer:
    """A PostgreSQL server on a socket in a folder of its own; what it has committed outlives the server."""

    def __init__(self) -> None:
        """Start one; raises ``ConfigurationError`` where none is installed, ``StoreError`` where it does not start."""
        programs = _programs()
        if programs is None:
            raise ConfigurationError(_MISSING)
        postgres, initdb = programs
        self._as = _unprivileged()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="keyconform-postgres-", dir=_short_folder()))
        self._files, self._socket = self.folder / "data", self.folder / f".s.PGSQL.{_PORT}"
        if self._as is not None:
            os.chown(self.folder, self._as["user"], self._as["group"])
        made = [initdb, "-D", str(self._files), "-U", "keyconform", "--auth=trust", "--no-sync", "-E", "UTF8"]
        self._called([*made, "--locale=C"])
        self.url = f"postgresql://keyconform@/postgres?host={self.folder}"
        self._watch = subprocess.Popen(  # noqa: S603 - our own, with what was found on this machine
            ["/bin/sh", "-c", _WATCH, "sh", postgres, *_settings(self._files, self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self.folder,
            env={**os.environ, "KEYCONFORM_FOLDER": str(self.folder)},
            **(self._as or {}),
        )
        self.start()

    def start(self) -> None:
        """Start the server, again after ``kill``, on what it had committed."""
        if self._watch.stdin is None or self._watch.poll() is not None:
            message = "the private PostgreSQL server was closed"
            raise StoreError(message)
        self._watch.stdin.write(b"start\n")
        self._watch.stdin.flush()
        for _ in range(_TRIES):
            if self._is_ready():
                return
            select.select([], [], [], _NAP)  # real time, also where that of the process stands still
        self.close()
        message = f"postgres did not start within {_TRIES * _NAP:g} s"
        raise StoreError(message)

    def kill(self) -> None:
        """Kill the server and its children as a power cut would (Linux); `start` brings it back."""
        number = int((self._files / "postmaster.pid").read_text().split()[0])
        # The children first: one that outlives its server could still write while the next one reads.
        for each in (*_children(number), number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        for _ in range(_TRIES):
            if not self._answers():
                break
            select.select([], [], [], _NAP)
        # Both name a process that nobody may have waited for yet, which would look alive.
        (self._files / "postmaster.pid").unlink(missing_ok=True)
        self._socket.with_name(f"{self._socket.name}.lock").unlink(missing_ok=True)

    def close(self) -> None:
        """End the server and remove its folder."""
        if self._watch.stdin is not None:
            self._watch.stdin.close()
        self._watch.wait(_TRIES * _NAP)

    def _called(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, check=False, cwd=self.folder, **(self._as or {}))  # noqa: S603 - found on this machine
        if done.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            told = done.stderr.decode(errors="replace").strip().splitlines()
            message = f"initdb failed: {told[-1] if told else done.returncode}"
            raise StoreError(message)

    def _is_ready(self) -> bool:
        """Tell whether it serves: its file says so before it would refuse with "starting up"."""
        with contextlib.suppress(OSError):
            return "ready" in (self._files / "postmaster.pid").read_text() and self._answers()
        return False

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self._socket))
            return True
        return False


@dataclasses.dataclass(frozen=True, slots=True)
class PostgresFactory:
    """Makes managers with ``options`` on PostgreSQL, from a pool; ``policies`` are these and those of the store."""

    options: Options = dataclasses.field(default_factory=Options)

    @property
    def policies(self) -> dict[str, Any]:
        """The policies by name, new at each call."""
        return {**dataclasses.asdict(self.options), **LASTING}

    def __call__(self, pool: PoolLike) -> KeyManager:
        """Return a new manager, not yet open; raises ``ConfigurationError`` where there is no server to use."""
        return manager_of(pool, self.options, store_on(server_url(), space_of(pool.storage)))


make_manager = PostgresFactory()


def store_on(url: str, space: str) -> Callable[[Rules], Store]:
    """Return the stores of one space in a database; raises ``ConfigurationError`` where a library is missing."""
    if _LACKING is not None:
        raise ConfigurationError(_LACKING)
    return lambda rules: SqlStore(rules, Postgres(url, space))


def server_url() -> str:
    """Return the URL of the database to use, after starting one where none is named; child processes use the same."""
    found = os.environ.get(VARIABLE)
    if not found:
        found = os.environ[VARIABLE] = _private().url
    return found


def space_of(storage: pathlib.Path | None) -> str:
    """Return the name of the state that belongs to a folder: from its path, so that no torn file hides the state."""
    if storage is None:
        return uuid.uuid4().hex
    return hashlib.blake2b(os.fsencode(pathlib.Path(storage).resolve()), digest_size=16).hexdigest()


@functools.cache
def _private() -> PrivateServer:
    return PrivateServer()


def _children(number: int) -> list[int]:
    """Return the numbers of the processes that a process has started."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = path.read_text().rpartition(")")[2].split()[1]
            found += [int(path.parent.name)] if int(parent) == number else []
    return found


def _programs() -> tuple[str, str] | None:
    """Return postgres and initdb of one installation: that on PATH, else the newest in Debian's folder."""
    debian = sorted(_DEBIAN.glob("*/bin"), key=lambda path: (len(str(path)), str(path)))
    for folder in (None, *map(str, reversed(debian))):
        postgres, initdb = shutil.which("postgres", path=folder), shutil.which("initdb", path=folder)
        if postgres is not None and initdb is not None:
            return postgres, initdb
    return None


def _unprivileged() -> dict[str, Any] | None:
    """Return whom to run the server as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    for name in _UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    message = f"PostgreSQL refuses to run as root, and there is no user {' or '.join(_UNPRIVILEGED)}"
    raise ConfigurationError(message)


def _short_folder() -> str | None:
    """Return a folder in memory where there is one: flushing costs nothing there, and a socket's name must be short."""
    quick = "/dev/shm"  # noqa: S108 - the folder made there has a random name, and is this user's own
    return quick if os.access(quick, os.W_OK) else None


def _settings(files: pathlib.Path, sockets: pathlib.Path) -> list[str]:
    settings = {
        "listen_addresses": "",
        "port": _PORT,
        "unix_socket_directories": sockets,
        "unix_socket_permissions": "0777" if os.geteuid() == 0 else "0700",
        "max_connections": 200,
        "fsync": "off",  # of the machine, not of the server: a killed server has lost nothing
        "full_page_writes": "off",
        "logging_collector": "off",
    }
    return ["-D", str(files), *[word for name, value in settings.items() for word in ("-c", f"{name}={value}")]]
