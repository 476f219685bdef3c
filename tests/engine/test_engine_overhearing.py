"""What is heard of a backend: what it logs, prints, raises and shows of itself; and what is passed over."""

import logging
import sys
from dataclasses import dataclass, field

import pytest

from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.engine.overhearing import Overhearing
from pytest_keyconform.history import NoiseKind
from pytest_keyconform.workload import Given


@dataclass
class Card:
    """Shows its key."""

    key: str
    inside: list = field(default_factory=list, repr=False)


@pytest.fixture
def key():
    """A canary that the ring knows."""
    return Keyring().pool_of(Given()).api_keys[0]


@pytest.fixture
def overhearing():
    """One that listens for the usual keys, to a backend that is this module."""
    ring = Keyring()
    ring.pool_of(Given())
    return Overhearing(ring, [sys.modules[__name__]])


def kinds(overhearing):
    """Answer the kinds of what was heard."""
    return [noise.kind for noise in overhearing.heard]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING])
def test_records_of_every_level_are_heard(overhearing, key, level):
    """A key in a message, in a field that was added, and in a traceback is told with level and logger, and redacted."""
    log = logging.getLogger("backend.of.mine")
    with overhearing.listening():
        log.log(level, "serving %s", key)
        log.log(level, "serving", extra={"served": key})
        log.log(level, "failed", exc_info=KeyError(key))
    assert kinds(overhearing) == [NoiseKind.LOGGED] * 3
    assert str(overhearing.heard[0]).endswith(f"{logging.getLevelName(level)} record of backend.of.mine: serving key-1")
    assert key not in str(overhearing.heard)


def test_what_libraries_say_to_those_who_ask_is_passed_over(overhearing, key):
    """A debug record of an installed package is its own; a warning of it is not."""
    with overhearing.listening():
        logging.getLogger("pluggy.inside").debug("executing with %s", key)
        logging.getLogger("asyncio").debug("executing with %s", key)
        assert overhearing.heard == []
        logging.getLogger("asyncio").warning("slow: %s", key)
    assert kinds(overhearing) == [NoiseKind.LOGGED]


def test_logging_is_as_it_was_afterwards(overhearing):
    """Level, handlers and what was switched off are back."""
    root = logging.getLogger()
    before = root.level, list(root.handlers), root.manager.disable
    with overhearing.listening():
        assert root.level == 1
    assert (root.level, root.handlers, root.manager.disable) == before


def test_what_is_printed_is_heard(overhearing, key):
    """A key on either stream is told."""
    with overhearing.listening():
        print("served", key)  # noqa: T201 - what a backend may do
        print("served", key, file=sys.stderr)  # noqa: T201 - likewise
    assert kinds(overhearing) == [NoiseKind.LOGGED] * 2


def test_more_than_a_third_of_a_key_is_a_hint(overhearing, key):
    """Nine characters in a row are too many; eight are not."""
    overhearing.hear(f"…{key[-8:]}", "somewhere", NoiseKind.LOGGED)
    assert overhearing.heard == []
    overhearing.hear(f"{key[3:12]}…", "somewhere", NoiseKind.LOGGED)
    assert kinds(overhearing) == [NoiseKind.HINTED]


def test_objects_of_the_backend_show_themselves(overhearing, key):
    """A key in the repr of an object that can be reached is told once; a list of keys is nobody's class."""
    held = {"keys": [key], "cards": [[Card(key)], Card("no key")]}
    overhearing.look(held, frozenset({Card.__module__.partition(".")[0]}))
    assert kinds(overhearing) == [NoiseKind.SHOWN]
    assert "the repr of a Card" in str(overhearing.heard[0])


def test_errors_are_heard_with_causes_and_notes(overhearing, key):
    """A key in the message, in a note, in a cause or in what was being handled is told."""
    noted = ValueError("no")
    noted.add_note(f"about {key}")
    overhearing.told(noted, "acquire")
    caused = ValueError("no")
    caused.__cause__ = KeyError(key)
    overhearing.told(caused, "acquire")
    overhearing.told(ValueError("nothing"), "acquire")
    assert kinds(overhearing) == [NoiseKind.SHOWN] * 2


def test_only_warnings_of_the_backend_are_counted(overhearing):
    """What an installed library warns of is no warning of the backend's, nor is what it logs for information."""
    with overhearing.listening():
        logging.getLogger("httpx").warning("slow")
        logging.getLogger("backend").info("reloaded")
        assert overhearing.warnings == 0
        logging.getLogger("backend").warning("other keys")
    assert overhearing.warnings == 1


@pytest.mark.parametrize("mask", ["...", "***", "…", "xxxx"])
def test_what_stands_on_both_sides_of_a_mask_is_added_up(overhearing, key, mask):
    """Of a key at most eight characters are shown in all: four on each side are, five and four are too many."""
    overhearing.told({"api_key": f"{key[:4]}{mask}{key[-4:]}"}, "state")
    assert kinds(overhearing) == []
    overhearing.told({"api_key": f"{key[:5]}{mask}{key[-4:]}"}, "state")
    assert kinds(overhearing) == [NoiseKind.HINTED]


def test_of_a_short_key_a_third_is_shown():
    """Of twelve characters four may be shown, wherever they stand, and no more."""
    short = Keyring()
    key = short.reveal("key-1~12")
    assert len(key) == 12
    assert [short.exposed(text) for text in (f"{key[:2]}..{key[-2:]}", f"…{key[-4:]}")] == ["", ""]
    assert [short.exposed(text) for text in (f"{key[:4]}..{key[-4:]}", f"…{key[-5:]}", key)] == [
        "part",
        "part",
        "whole",
    ]


def test_whole_keys_in_answers_are_not_this_one_s_business(overhearing, key):
    """An answer that hands out a key, or names it whole, is judged by what is recorded of it."""
    overhearing.told(key, "acquire")
    overhearing.told({key: 1}, "state")
    assert kinds(overhearing) == []
