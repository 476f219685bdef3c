"""A store that fails on demand: files of the storage and commands of SQLite, and what is open of them."""

from __future__ import annotations

import os
import sqlite3

import pytest

from pytest_keyconform.engine.faults import Faults
from pytest_keyconform.errors import Unsupported


@pytest.fixture
def faults(tmp_path):
    """Faults of a storage of their own, at work."""
    made = Faults()
    made.storage = str(tmp_path)
    with made.installed():
        yield made


def test_the_touches_that_were_asked_for_fail(faults, tmp_path):
    """After those that are let pass as many fail as were asked for, and none after them."""
    (tmp_path / "x").write_text("whole")
    faults.arm(1, 2)
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append((tmp_path / "x").read_text())
        except OSError:
            outcomes.append("failed")
    assert outcomes == ["whole", "failed", "failed", "whole"]


def test_a_write_that_fails_leaves_half_of_it(faults, tmp_path):
    """A disk that is full in the middle of a write leaves what came before."""
    faults.arm(2, 1)
    with pytest.raises(OSError, match="input/output"):
        (tmp_path / "x").write_text("abcdef")
    assert (tmp_path / "x").read_text() == "abc"


def test_files_elsewhere_are_left_alone(faults, tmp_path_factory):
    """Only what is below the storage fails."""
    faults.arm(0, 100)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x"
    elsewhere.write_text("whole")
    os.replace(elsewhere, elsewhere.with_suffix(".y"))  # noqa: PTH105 - what is replaced is this function
    assert elsewhere.with_suffix(".y").read_text() == "whole"


def test_a_commit_that_fails_undoes_its_transaction(faults, tmp_path):
    """A command fails as SQLite's do; where it ends a transaction that is undone, and a rollback never fails."""
    rows = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    rows.execute("CREATE TABLE t (x)")
    rows.execute("BEGIN")
    rows.execute("INSERT INTO t VALUES (1)")
    faults.arm(0, 1)
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error") as raised:
        rows.execute("COMMIT")
    assert type(raised.value) is sqlite3.OperationalError
    assert raised.value.sqlite_errorcode == sqlite3.SQLITE_IOERR
    assert not rows.in_transaction
    rows.execute("BEGIN")
    faults.arm(0, 100)
    rows.execute("ROLLBACK")
    faults.arm(0, 0)
    assert rows.execute("SELECT count(*) FROM t").fetchone() == (0,)
    rows.close()


def test_connections_are_counted_while_somebody_holds_them(faults, tmp_path):
    """One that is closed is not open, nor is one that nobody holds any more."""
    held, closed = sqlite3.connect(tmp_path / "x.db"), sqlite3.connect(tmp_path / "x.db")
    closed.close()
    assert faults.connections() == 1
    held.close()
    assert faults.connections() == 0


def test_what_the_harness_does_itself_is_not_counted(faults, tmp_path):
    """While faults are held nothing fails and nothing is used up."""
    faults.arm(0, 1)
    with faults.held():
        (tmp_path / "x").write_text("whole")
    with pytest.raises(OSError, match="input/output"):
        (tmp_path / "x").read_text()


def test_mending_tells_that_nothing_was_tried(faults):
    """Where no touch failed a rule has seen nothing, and says so."""
    faults.arm(0, 1)
    with pytest.raises(Unsupported, match="neither by sqlite3 nor by files"):
        faults.mend()


def test_everything_is_as_it_was_afterwards(tmp_path):
    """What reaches files and databases is put back."""
    before = (open, os.replace, os.write, sqlite3.connect)
    with Faults().installed():
        assert (open, os.replace) != before[:2]
    assert (open, os.replace, os.write, sqlite3.connect) == before
