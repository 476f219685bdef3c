"""The commands about files of earlier runs."""

import datetime as dt

import pytest

from pytest_keyconform.cli import main
from pytest_keyconform.spec.waivers import read

TODAY = dt.datetime.now().astimezone().date()
WAIVE = ["waive", "ACQ01", "--reason", "the new pool comes soon", "--owner", "me"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_waive_writes_a_waiver(here, capsys):
    """A waiver is added to the file that is read by itself, which is made where there is none."""
    assert main(WAIVE) == 0
    assert main([*WAIVE, "--signature", "lost", "--target", "t", "--days", "180"]) == 0
    path = here / "keyconform-waivers.toml"
    first, second = read(path, ids=["ACQ01"], today=TODAY)
    assert (first.reason, first.owner, first.days_left(TODAY)) == ("the new pool comes soon", "me", 90)
    assert (second.signature, second.target, second.days_left(TODAY)) == ("lost", "t", 180)
    assert capsys.readouterr().out.splitlines()[0] == f"{path}: ACQ01 is waived until {first.expires}"


def test_waive_beside_pyproject(here, monkeypatch):
    """The file stands beside the nearest pyproject.toml above."""
    (here / "pyproject.toml").write_text("", encoding="utf-8")
    (here / "deep").mkdir()
    monkeypatch.chdir(here / "deep")
    main(WAIVE)
    assert (here / "keyconform-waivers.toml").is_file()


@pytest.mark.parametrize(
    "more, message",
    [
        (["--days", "181"], "expires: expected a date after `added`, at most 180 days later"),
        (["--days", "0"], "expires: expected a date after `added`"),
        (["--reason", "wip"], "reason: expected at least 15 characters"),
        (["--owner", " "], "owner: expected who answers for it"),
        (["--waivers", "no/folder/w.toml"], "expected a file that can be read and written"),
    ],
)
def test_what_cannot_be_waived(here, capsys, more, message):
    """A waiver that cannot stand is refused, and nothing is written."""
    assert main([*WAIVE, *more]) == 4
    assert message in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_an_unknown_id_is_not_waived(here, capsys):
    """An id that is none is refused with the nearest one."""
    assert main(["waive", "ACQ1", *WAIVE[2:]]) == 4
    assert "found 'ACQ1'; did you mean 'ACQ" in capsys.readouterr().err


def test_a_broken_file_is_left_as_it_is(here, capsys):
    """A file that cannot be read is not written to."""
    path = here / "keyconform-waivers.toml"
    path.write_text("version = 1\n[[waiver\n", encoding="utf-8")
    assert main(WAIVE) == 4
    assert "keyconform-waivers.toml:2: expected TOML" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "version = 1\n[[waiver\n"
    assert len(list(here.iterdir())) == 1
