"""What is measured in one execution: the lines of calls, memory, the statements that reach SQLite, its rows."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from typing import TYPE_CHECKING, Any

from pytest_keyconform.engine.simulated import sqlite as controlled
from pytest_keyconform.engine.weighing import Memory, Weighing
from pytest_keyconform.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pytest_keyconform.adapters.recording import Call
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.workload import Workload

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
COUNT = 'SELECT count(*) FROM "{}"'
BEGINS = b"SQLite format 3\x00"


class Scales:
    """Measures for a program; ``weights`` are those of the calls that asked for it, beside their places.

    ``own`` are its steps by their names. ``storage`` is where the backend's state is, once it is known.
    """

    def __init__(self, workload: Workload) -> None:
        self.weights: list[tuple[int, int]] = []
        self.storage: Path | None = None
        self._memory = Memory()
        self._statements = Statements() if any(step.name == "statements" for _, _, step in workload.steps()) else None
        self.own: dict[str, Call] = {"memory": self._held, "statements": self._issued, "rows": self._rows}
        self.own["files"] = self._files

    @property
    def counts_statements(self) -> bool:
        """Whether connections are listened to for their statements."""
        return self._statements is not None

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Measure what is measured throughout, and stop measuring on leaving."""
        with self._statements.counting() if self._statements is not None else contextlib.nullcontext():
            try:
                yield
            finally:
                self._memory.stop()

    def under(self, *, measured: bool) -> AbstractContextManager[Weighing | None]:
        """Answer what a call is made in."""
        return Weighing() if measured else contextlib.nullcontext(None)

    def put(self, operation: Operation, weighing: Weighing | None) -> None:
        """Write down what a call weighed, where that was measured."""
        if weighing is not None:
            self.weights.append((operation.called, weighing.lines))

    def _held(self, *_: object) -> int:
        return self._memory.held()

    def _issued(self, *_: object) -> int:
        if self._statements is None or not self._statements.connections:
            message = "the backend opened no SQLite database here, whose statements could be counted"
            raise Unsupported(message)
        return self._statements.issued

    def _stored(self) -> list[Path]:
        found = sorted(self.storage.rglob("*")) if self.storage is not None else []
        return [path for path in found if path.is_file()]

    def _files(self, *_: object) -> int:
        databases = tuple(path.name for path in self._stored() if is_database(path))
        others = [
            path for path in self._stored() if not path.name.startswith(databases)
        ]  # with their logs, -wal and such
        if not others:
            message = "the backend's storage holds no files but those of SQLite"
            raise Unsupported(message)
        return sum(path.stat().st_size for path in others)

    def _rows(self, *_: object) -> int:
        counts = [count for path in self._stored() if (count := rows_of(path)) is not None]
        if not counts:
            message = "the backend's storage holds no SQLite database, whose rows could be counted"
            raise Unsupported(message)
        return sum(counts)


class Statements:
    """Counts the statements of all connections that are made while `counting`, each row of an ``executemany`` as one.

    ``connections`` tells how many there were: without any nothing is known of what the backend asks of its store.
    """

    def __init__(self) -> None:
        self.issued = 0
        self.connections = 0

    def counting(self) -> AbstractContextManager[None]:
        """Count while the block lasts."""
        return controlled.replaced(self._connect)

    @functools.wraps(controlled.real_connect)
    def _connect(self, *arguments: Any, **named: Any) -> sqlite3.Connection:  # noqa: ANN401 - sqlite3's own
        connection: sqlite3.Connection = controlled.real_connect(*arguments, **named)
        self.connections += 1
        connection.set_trace_callback(self._heard)
        return connection

    def _heard(self, _statement: str) -> None:
        self.issued += 1


def is_database(path: Path) -> bool:
    """Tell whether a file is an SQLite database."""
    with path.open("rb") as file:
        return file.read(len(BEGINS)) == BEGINS


def rows_of(path: Path) -> int | None:
    """Answer how many rows the tables of a database have together; None for a file that is none, or cannot be read."""
    if not is_database(path):
        return None
    try:
        connection = controlled.real_connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=0.0)
        with contextlib.closing(connection):
            names = [name for (name,) in connection.execute(TABLES)]
            return sum(int(connection.execute(COUNT.format(name)).fetchone()[0]) for name in names)
    except sqlite3.Error:
        return None
