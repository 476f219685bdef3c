"""SQLite under control: every command is told of, waits are virtual, and a dead instance reaches no store."""

from __future__ import annotations

import sqlite3

import pytest

from pytest_keyconform.engine.simulated.sqlite import Crashed, close_quietly, controlled


class Told:
    """Whom commands are told to; ``let`` is done once somebody waits, ``dies`` names the command to die at."""

    def __init__(self, *, let=None, dies=""):
        self.commands, self.waits, self.connections = [], [], []
        self.let, self.dies = let, dies

    def begin(self, command):
        if self.dies and command.startswith(self.dies):
            for connection in self.connections:
                close_quietly(connection)
            raise Crashed
        self.commands.append(command)

    def check(self):
        return None

    def wait(self, seconds):
        self.waits.append(seconds)
        if self.let is None:
            return False
        self.let()
        return True

    def opened(self, connection):
        self.connections.append(connection)


def opened(path, told, **more):
    """A controlled connection on a table of one counter."""
    with controlled(lambda: told):
        connection = sqlite3.connect(path, **more)
        connection.execute("CREATE TABLE IF NOT EXISTS used (key TEXT PRIMARY KEY, count INTEGER)")
        connection.execute("INSERT OR IGNORE INTO used VALUES ('k', 0)")
        connection.commit()
    return connection


def test_every_command_is_told_before_it_is_issued(tmp_path):
    """Connecting, statements by connection and cursor, scripts, and what `with` commits are choice points."""
    told = Told()
    connection = opened(tmp_path / "db", told)
    told.commands.clear()
    with connection:
        connection.cursor().execute("UPDATE used SET count = count + 1")
    connection.executescript("SELECT 1")
    connection.executemany("UPDATE used SET count = ?", [(5,), (6,)])
    connection.rollback()
    assert told.commands == [
        "UPDATE used SET count = count + 1",
        "COMMIT",
        "SELECT 1",
        "UPDATE used SET count = ?",
        "ROLLBACK",
    ]
    assert connection.execute("SELECT count FROM used").fetchone() == (1,)
    connection.close()


def test_who_finds_the_database_locked_waits_until_another_has_gone_on(tmp_path):
    """The wait takes no real time, and the command is issued again."""
    holder = sqlite3.connect(tmp_path / "db", isolation_level=None)
    told = Told()
    connection = opened(tmp_path / "db", told)
    holder.execute("BEGIN IMMEDIATE")
    told.let = lambda: holder.execute("COMMIT")
    connection.execute("UPDATE used SET count = 7")
    connection.commit()
    assert told.waits == [5.0]
    assert holder.execute("SELECT count FROM used").fetchone() == (7,)
    connection.close()
    holder.close()


@pytest.mark.parametrize(
    "timeout, pragma, waits", [(0.0, None, []), (2.5, None, [2.5]), (5.0, "PRAGMA busy_timeout = 1500", [1.5])]
)
def test_a_lock_that_is_never_let_go_surfaces_after_the_time_out(tmp_path, timeout, pragma, waits):
    """The backend's own time-out is kept, in virtual time, whoever set it."""
    holder = sqlite3.connect(tmp_path / "db", isolation_level=None)
    told = Told()
    connection = opened(tmp_path / "db", told, timeout=timeout)
    if pragma:
        connection.execute(pragma)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        connection.execute("UPDATE used SET count = 7")
    assert told.waits == waits
    connection.close()
    holder.close()


def test_a_dead_instance_loses_what_it_had_not_committed(tmp_path):
    """Dying before the commit leaves the store as it was, also where the backend handles every Exception."""
    told = Told()
    connection = opened(tmp_path / "db", told)
    told.dies = "COMMIT"
    with pytest.raises(Crashed), connection:
        connection.execute("UPDATE used SET count = 7")
    again = sqlite3.connect(tmp_path / "db")
    assert again.execute("SELECT count FROM used").fetchone() == (0,)
    again.close()


def test_a_bound_name_is_controlled_and_put_back(tmp_path, monkeypatch):
    """Who wrote ``from sqlite3 import connect`` is controlled too, and only while inside."""
    import sys

    here = sys.modules[__name__]
    monkeypatch.setattr(here, "bound", sqlite3.connect, raising=False)
    monkeypatch.setitem(sys.modules, "one_more", here)
    told, before = Told(), sqlite3.connect
    with controlled(lambda: told):
        here.bound(tmp_path / "db").close()
    assert told.commands == ["connect"]
    assert here.bound is before is sqlite3.connect


def test_nobody_is_told_where_nobody_listens(tmp_path):
    """Outside of a simulated instance a connection is an ordinary one, with the arguments it was given."""
    with controlled(lambda: None):
        connection = sqlite3.connect(tmp_path / "db", 1.0, 0, None)
    assert type(connection) is sqlite3.Connection
    assert connection.isolation_level is None
    connection.close()
