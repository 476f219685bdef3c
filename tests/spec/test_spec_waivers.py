"""Waivers: what may stand in their file, and where a message points."""

import datetime as dt
from pathlib import Path

import pytest

from pytest_keyconform.errors import WaiverError
from pytest_keyconform.spec.waivers import Waiver, parse, read, written

TODAY = dt.date(2026, 3, 1)
IDS = ("ACQ01", "ACQ02", "QUO01")
GOOD = """\
version = 1

[[waiver]]
id = "ACQ01"
reason = "the new pool comes in April"
owner = "team-keys"
added = 2026-02-01
expires = 2026-07-31
"""


def of(text):
    """Read a text of waivers."""
    return parse(text, path=Path("w.toml"), ids=IDS, today=TODAY)


def test_a_waiver_is_read():
    """A table becomes a waiver that knows where it stands; a date may be written as a string too."""
    (found,) = of(GOOD.replace("2026-02-01", '"2026-02-01"'))
    assert found == Waiver(
        id="ACQ01",
        reason="the new pool comes in April",
        owner="team-keys",
        added=dt.date(2026, 2, 1),
        expires=dt.date(2026, 7, 31),
        where="w.toml:3",
    )
    assert str(found) == "the new pool comes in April (team-keys, expires 2026-07-31)"


def test_a_scenario_is_waived_by_its_name():
    """A scenario of the user's own is waived as its item is called, whether this run has it or not."""
    (found,) = of(GOOD.replace('"ACQ01"', '"scenario[two callers never share a key]"'))
    assert found.id == "scenario[two callers never share a key]"


def test_180_days_are_the_most():
    """A waiver lasts 180 days and not one more."""
    assert of(GOOD.replace("2026-07-31", "2026-07-31"))[0].days_left(dt.date(2026, 7, 31)) == 0
    with pytest.raises(WaiverError, match="at most 180 days later, found 2026-08-01 with added = 2026-02-01"):
        of(GOOD.replace("2026-07-31", "2026-08-01"))


@pytest.mark.parametrize(
    "before, after, message",
    [
        ("version = 1\n", "\n", "w.toml:1: version: expected version = 1, found none"),
        ("version = 1", "version = 2", "w.toml:1: version: expected version = 1, found 2"),
        ("version = 1", "versoin = 1", "w.toml:1: version: expected version = 1, found none"),
        ("version = 1", "version = 1\nowner = 'x'", "w.toml:2: owner: expected who answers for it, found x"),
        ("version = 1", "version = 1\nx = 1", "w.toml:2: unknown key 'x'; remove it"),
        ("the new pool comes in April", "  wip        ", "w.toml:5: reason: expected at least 15 characters that say"),
        ("owner = ", "owners = ", "w.toml:3: owner: expected who answers for it, found none"),
        ("owner = ", "signatur = 'x'\nowner = ", "w.toml:6: unknown key 'signatur'; did you mean 'signature'?"),
        ('"ACQ01"', '"ACQ1"', "w.toml:4: id: expected the id of an invariant, such as ACQ01, found 'ACQ1'; did you "),
        ('"ACQ01"', '"acq*"', "w.toml:4: id: expected the id of an invariant, such as ACQ01, found acq*"),
        ("2026-02-01", "5", "w.toml:7: added: expected a date such as 2026-03-01, found 5"),
        ("2026-02-01", "2026-03-03", "w.toml:7: added: expected a day that has come, found 2026-03-03; write today's"),
        ("2026-07-31", "2026-02-01", "w.toml:8: expires: expected a date after `added`, at most 180 days later"),
        ("2026-07-31", "never", "w.toml:8: expected TOML, but "),
        ("[[waiver]]", "[waiver]", "w.toml:1: waiver: expected tables [[waiver]], found "),
    ],
)
def test_what_cannot_stand(before, after, message):
    """What cannot stand is refused with the file, the line, what was expected and what was found."""
    with pytest.raises(WaiverError) as refused:
        of(GOOD.replace(before, after, 1))
    assert str(refused.value).startswith(message)


def test_the_line_is_that_of_the_right_table():
    """A header inside of a string is no table, and a key is looked for in its own table."""
    second = (
        GOOD.partition("\n")[2]
        .replace("ACQ01", "QUO01")
        .replace('"the', '"""\n[[waiver]]\nthe')
        .replace('April"', 'April"""')
    )
    third = GOOD.partition("\n")[2].replace("ACQ01", "ACQ02").replace("owner = ", "owner = '' # ")
    with pytest.raises(WaiverError, match=r"w\.toml:22: owner: expected who answers for it"):
        of(GOOD + second + third)


def test_the_same_twice():
    """Two waivers of the same are one too many, unless target or signature tell them apart."""
    table = GOOD.partition("\n")[2]
    with pytest.raises(WaiverError, match=r"w\.toml:10: ACQ01 is waived already at w\.toml:3; remove one"):
        of(GOOD + table)
    assert len(of(GOOD + table + 'target = "a"\n' + table + 'signature = "s"\n')) == 3


def test_a_file_that_is_not_there(tmp_path):
    """A file that cannot be read is refused with its path."""
    with pytest.raises(WaiverError, match=r"--keyconform-waivers: expected a file of waivers, found .*none\.toml"):
        read(tmp_path / "none.toml", ids=IDS, today=TODAY)
    (tmp_path / "latin.toml").write_bytes(b"version = 1 # \xe9")
    with pytest.raises(WaiverError, match="it is not UTF-8"):
        read(tmp_path / "latin.toml", ids=IDS, today=TODAY)


@pytest.mark.parametrize("text", ["", "version = 1\n", GOOD.replace("ACQ01", "QUO01")])
def test_what_is_written_is_read(text):
    """A waiver that is written is read again as it was, after whatever the file had, whatever its reason holds."""
    waiver = Waiver(
        id="ACQ01",
        reason='it says "no"\n[[waiver]] \\ \x7f é 🔑',
        owner="me",
        added=TODAY,
        expires=dt.date(2026, 4, 1),
        target="a",
        signature="s",
    )
    *before, last = of(written(waiver, text))
    assert len(before) == text.count("[[waiver]]")
    assert (last.reason, last.owner, last.target, last.signature) == (waiver.reason, "me", "a", "s")
