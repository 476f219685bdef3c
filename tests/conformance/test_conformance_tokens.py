"""Replay tokens: what is written is read again, and what cannot be used is refused with the reason."""

from __future__ import annotations

import re

import pytest

from pytest_keyconform.catalogue.steps import acquire, advance, record
from pytest_keyconform.conformance.tokens import Token, read
from pytest_keyconform.errors import TokenError
from pytest_keyconform.operation import Ref
from pytest_keyconform.schedule import Base, Schedule

NAMED = Token(id="ACQ01", engine="tasks", program="two", schedule=Schedule(deviations=((1, 1),)))
PROGRAM = (acquire("a1", model="m2"), record(Ref("a1"), tokens=30, outcome="quota"), advance(61))


@pytest.mark.parametrize(
    "token",
    [
        NAMED,
        Token(id="FAIL10", engine="sequential", program="x", dropped=frozenset({0, 3}), seed=7),
        Token(id="FAIL10", engine="tasks", program="x", dropped=frozenset({0, 1, 3, 4, 5, 6, 9, 11, 12, 13})),
        Token(id="ACQ05", engine="tasks", program=PROGRAM, schedule=Schedule(base=Base.FIFO, fair_from=9)),
    ],
)
def test_a_token_is_one_line_that_reads_back(token: Token) -> None:
    """A token is one line without blanks, and reading it gives what was written."""
    assert read(str(token)) == token
    assert len(str(token).split()) == 1


def test_a_named_token_is_short() -> None:
    """The token of a directed workload can be typed by hand."""
    assert str(NAMED) == "ACQ01:t1:two/-/r1-1"


def test_steps_that_follow_each_other_are_written_as_one() -> None:
    """A long program of which most was left out has a short token."""
    token = Token(id="ACQ07", engine="tasks", program="fresh", dropped=frozenset({*range(310), 311, 312}))
    assert str(token).startswith("ACQ07:t1:fresh/0~309.311.312/")
    assert read(str(token)) == token


@pytest.mark.parametrize(
    "text", ["", "ACQ01", "ACQ01:t1:two", "ACQ01:t1:two/-/q", "ACQ01:t1:~zz/-/r", "ACQ01:t1:a/1..2/r"]
)
def test_what_is_no_token_is_refused_with_the_mend(text: str) -> None:
    """A token that cannot be read is refused, and the message says to copy the whole of it."""
    with pytest.raises(TokenError, match="copy the whole token"):
        read(text)


@pytest.mark.parametrize("text", ["ACQ01:t2:two/-/r", "ACQ01:x1:two/-/r"])
def test_a_token_of_another_version_is_refused_with_the_reason(text: str) -> None:
    """A token of a version or engine that this release does not know says so."""
    with pytest.raises(TokenError, match="of version"):
        read(text)


def test_a_token_of_another_python_is_refused_where_bytecode_matters():
    """A schedule of threads counts places of bytecode, so it is valid on the Python it was found on alone."""
    token = str(Token(id="ACQ01", engine="threads", program="two"))
    assert read(token).engine == "threads"
    with pytest.raises(TokenError, match=r"of Python 3\.2"):
        read(re.sub(r"@[\d.]+", "@3.2", token))
