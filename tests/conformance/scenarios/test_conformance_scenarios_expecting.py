"""What scenarios expect, judged over histories."""

import re

import pytest

from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.catalogue.notation import EVERYTHING
from pytest_keyconform.catalogue.notation import read as history_of
from pytest_keyconform.conformance.scenarios.rule import rule_of
from pytest_keyconform.engine.explore import Unjudged
from pytest_keyconform.history import History, Noise, NoiseKind
from pytest_keyconform.judging import judge_of
from pytest_keyconform.spec.scenario.reading import read
from pytest_keyconform.verdict import Violation


def story(when, then="[{raises: typed}]", given="{}"):
    """Answer the scenario of these parts, written as YAML flows."""
    return read(f"title: t\ngiven: {given}\nwhen: {when}\nthen: {then}\n", "story.yaml")


TWO = "given regular=key-1,key-2 vertex=vertex-1\n"
READ = 'then_0_status = status() -> {"valid_keys": {"key-1": 1}, "invalid_keys": {"key-2": 3}}\n'
EXPECTED = [
    ("{equals: {a: key-1}}", "a = acquire() -> key-1", "a = acquire() -> key-2"),
    ("{equals: {a: true}}", "a = record(lease=key-1) -> True", "a = record(lease=key-1) -> 1"),
    ("{equals: {a: nothing}}", 'a = acquire() -> ""', "a = acquire() -> None"),
    ("{equals: {a: sentinel}}", 'a = acquire() -> ""', "a = acquire() -> key-1"),
    (
        "{equals: {a: nothing}}",
        "policy exhaustion=typed-error\na = acquire() -> raises typed Gone",
        'policy exhaustion=typed-error\na = acquire() -> ""',
    ),
    (
        "{equals: {a: nothing}}",
        "policy exhaustion=fallback\na = acquire() -> key-2",
        'policy exhaustion=fallback\na = acquire() -> ""',
    ),
    ("{equals: {a: nothing}}", 'policy exhaustion=blocks\na = acquire() -> ""', "a = acquire() -> key-1"),
    (
        "{equals: {a: {valid_keys: {key-1: 0}, invalid_keys: {}}}}",
        'a = status() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}',
        'a = status() -> {"valid_keys": {"key-1": False}, "invalid_keys": {}}',
    ),
    ("{one_of: {a: [key-1, nothing]}}", 'a = acquire() -> ""', "a = acquire() -> key-2"),
    ("{not_in: {a: [key-1, nothing]}}", "a = acquire() -> key-2", 'a = acquire() -> ""'),
    (
        "{distinct: [a, b]}",
        "a = acquire() -> key-1\nb = acquire() -> key-2",
        "a = acquire() -> key-1\nb = acquire() -> key-1",
    ),
    (
        "{distinct: [a, b]}",
        "a = acquire() -> key-1\nb = acquire() -> key-2",
        'a = acquire() -> key-1\nb = acquire() -> ""',
    ),
    (
        "{permutation_of: {answers: [a, b], keys: [key-1, key-2]}}",
        "a = acquire() -> key-2\nb = acquire() -> key-1",
        "a = acquire() -> key-2\nb = acquire() -> key-2",
    ),
    ("{in_pool: {a: regular}}", "a = acquire() -> key-2", "a = acquire() -> vertex-1"),
    (
        "{usage: {key: key-1, rpm: 2, tpm: 7}}",
        'then_0_usage = usage(key=key-1) -> {"rpm": 2}',
        'then_0_usage = usage(key=key-1) -> {"rpm": 2, "tpm": 8}',
    ),
    (
        "{usage: {key: key-1, rpm: 0}}",
        "then_0_usage = usage(key=key-1) -> None",
        'then_0_usage = usage(key=key-1) -> {"rpm": 1}',
    ),
    ("{state_of: {key: key-1, valid: true, failures: 1}}", READ, READ.replace('"key-1": 1', '"key-1": 2')),
    ("{state_of: {key: key-2, valid: false}}", READ, READ.replace("invalid", "none").replace("valid", "invalid")),
    (
        "{state_of: {key: key-1, valid: true}}",
        "then_0_is_valid = is_valid(key=key-1) -> True",
        "then_0_is_valid = is_valid(key=key-1) -> False",
    ),
    (
        "{state_of: {key: key-1, failures: 2}}",
        "then_0_failures = failures(key=key-1) -> 2",
        "then_0_failures = failures(key=key-1) -> 3",
    ),
    ("{raises: never}", "acquire() -> key-1", "acquire() -> raises typed Gone"),
    (
        "{raises: {a: never}}",
        "acquire() -> raises typed Gone\na = acquire() -> key-1",
        "a = acquire() -> raises typed Gone",
    ),
    ("{raises: typed}", "acquire() -> raises typed Gone", "acquire() -> raises KeyError"),
    ("{within: {a: 4}}", "a = acquire() -> key-1 after 4", "a = acquire() -> key-1 after 5"),
    (
        "{unchanged_since: {b: a}}",
        'a = status() -> {"valid_keys": {}}\nb = status() -> {"valid_keys": {}}',
        'a = status() -> {"valid_keys": {}}\nb = status() -> {"valid_keys": {"key-1": 0}}',
    ),
    (
        "{keeps: [ACQ04]}",
        "acquire(model=m1, pool=vertex) -> vertex-1",
        "acquire(model=m1, pool=vertex) -> key-1",
    ),
]


def judged(expectation, text):
    """Judge a history in the notation by one expectation on the answers a and b."""
    history, policies = history_of(TWO + text)
    when = "[{acquire: {as: a}}, {acquire: {as: b}}]"
    told = story(when, then=f"[{expectation}]", given="{regular: [key-1, key-2], vertex: [vertex-1]}")
    kind = rule_of(told, "story", source="story.yaml", catalogue=CATALOGUE)
    return judge_of(kind(policies, EVERYTHING))(history)


@pytest.mark.parametrize("expectation, holds, broken", EXPECTED, ids=[one for one, *_ in EXPECTED])
def test_an_expectation_tells_what_holds_from_what_does_not(expectation, holds, broken):
    """A history in which it holds passes, one in which it does not is a violation that says what was expected."""
    assert judged(expectation, holds) is None
    found = judged(expectation, broken)
    assert isinstance(found, Violation)
    assert found.expected
    assert not re.search(r"\d", found.signature.replace("key-1", "").replace("key-2", ""))


def test_a_key_in_a_log_breaks_what_keeps_logs_free():
    """A key that was logged is a breach where the log is to be free of keys, and only there."""
    history, policies = history_of(TWO + "acquire() -> key-1")
    noise = (Noise(NoiseKind.LOGGED, "key-1 in a record"),)
    for then, breach in (("{log_free_of_keys: true}", True), ("{raises: never}", False)):
        kind = rule_of(story("[{acquire: {}}]", then=f"[{then}]"), "s", source="s", catalogue=CATALOGUE)
        heard = History(given=history.given, operations=history.operations, noise=noise)
        assert isinstance(judge_of(kind(policies, EVERYTHING))(heard), Violation) is breach


def test_what_nobody_declared_breaks_every_scenario():
    """An accident, a deadlock and a call that never ends are breaches, whatever is expected."""
    assert isinstance(judged("{not_in: {b: [key-1]}}", "a = acquire() -> raises KeyError"), Violation)
    assert isinstance(judged("{raises: typed}", "| a = acquire() -> pending"), Violation)


def test_a_pool_that_cannot_be_opened_is_a_breach_where_no_error_is_expected():
    """A typed refusal to open is a breach of `raises: never`; for a story about something else it is no verdict."""
    refused = "open() -> raises typed NoKeys"
    assert isinstance(judged("{raises: never}", refused), Violation)
    assert not isinstance(judged("{equals: {a: key-1}}", refused), Violation)


def test_a_step_that_had_nothing_to_act_on_is_no_pass():
    """A story whose key was never answered was not told."""
    assert isinstance(judged("{raises: typed}", "a = acquire() -> key-1\nrecord(lease=key-2) -> skipped"), Unjudged)
