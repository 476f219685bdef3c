"""What is measured in one execution: statements that reach SQLite, rows and files of a storage."""

import sqlite3
from contextlib import closing

import pytest

from pytest_keyconform.catalogue.steps import statements
from pytest_keyconform.engine.scales import Scales, Statements, is_database, rows_of
from pytest_keyconform.errors import Unsupported
from pytest_keyconform.workload import Given, Workload

COUNTING = Workload(name="counting", given=Given(), setup=(statements(),))


def filled(path, count):
    """A database with so many rows in one of its two tables."""
    with closing(sqlite3.connect(path)) as rows:
        rows.execute("CREATE TABLE one (number INTEGER)")
        rows.execute("CREATE TABLE two (number INTEGER)")
        rows.executemany("INSERT INTO two VALUES (?)", [(number,) for number in range(count)])
        rows.commit()


def test_each_statement_counts_each_row_of_many_too():
    """Statements count as they run, those of `executemany` one by one; connections made before count for nothing."""
    counted = Statements()
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as before:
        with counted.counting():
            before.execute("SELECT 1")
            assert (counted.connections, counted.issued) == (0, 0)
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as rows:
                rows.execute("CREATE TABLE one (number INTEGER)")
                rows.executemany("INSERT INTO one VALUES (?)", [(1,), (2,), (3,)])
                rows.execute("SELECT * FROM one").fetchall()
        assert (counted.connections, counted.issued) == (1, 5)
        assert type(sqlite3.connect) is type(len)


def test_rows_are_counted_over_all_tables(tmp_path):
    """A database has the rows of its tables; another file has none."""
    filled(tmp_path / "rows.db", 7)
    (tmp_path / "rows.json").write_text("[]", encoding="utf-8")
    (tmp_path / "torn.db").write_bytes(b"SQLite format 3\x00")
    assert rows_of(tmp_path / "rows.db") == 7
    assert rows_of(tmp_path / "rows.json") is None
    assert rows_of(tmp_path / "torn.db") is None
    assert is_database(tmp_path / "rows.db")
    assert not is_database(tmp_path / "rows.json")


def test_a_storage_tells_rows_and_bytes_apart(tmp_path):
    """`rows` answers for databases, `files` for all else, without the logs of a database."""
    scales = Scales(COUNTING)
    scales.storage = tmp_path
    (tmp_path / "counts.json").write_text("12345", encoding="utf-8")
    assert scales.own["files"]("files", {}) == 5
    filled(tmp_path / "rows.db", 2)
    (tmp_path / "rows.db-wal").write_bytes(b"")
    assert scales.own["rows"]("rows", {}) == 2
    assert scales.own["files"]("files", {}) == 5


@pytest.mark.parametrize("name", ["statements", "rows", "files"])
def test_what_is_not_there_is_not_measured(tmp_path, name):
    """Without a database or a file it is said that there is none, and no 0 is answered."""
    scales = Scales(COUNTING)
    scales.storage = tmp_path
    with scales.standing(), pytest.raises(Unsupported, match="SQLite"):
        scales.own[name](name, {})
