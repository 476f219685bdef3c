"""Scenario files: read from YAML, validated, with errors that name the file and the line."""

import json
from pathlib import Path

import pytest

from pytest_keyconform.engine.clock import START
from pytest_keyconform.errors import ScenarioError
from pytest_keyconform.spec import marked
from pytest_keyconform.spec.scenario import json_schema
from pytest_keyconform.spec.scenario.checks import BEGINNING
from pytest_keyconform.spec.scenario.reading import load, read

ROOT = Path(__file__).parents[2]
STORY = """\
title: two callers never share a key
covers: [ACQ01]
audits: [004-1]
given:
  regular: [k1, k2]
  limits: {m1: {rpm: 10}}
when:
  - parallel:
      - acquire: {model: m1, as: a}
      - acquire: {model: m1, as: b}
  - record: {key: a, tokens: 5}
then:
  - distinct: [a, b]
"""
SECOND = "acquire: {model: m1, as: b}"


def refused(before, after):
    """Answer what is said of the story with one thing changed."""
    assert before in STORY
    with pytest.raises(ScenarioError) as caught:
        read(STORY.replace(before, after, 1), "story.yaml")
    return str(caught.value)


def test_the_example_of_the_design_is_read():
    """What the design shows is a scenario: a pool, callers at once, and what must then hold."""
    found = read(STORY, "story.yaml")
    assert found.given.regular == ("k1", "k2")
    assert found.given.limits["m1"].rpm == 10
    assert [step.kind for step in found.when] == ["parallel", "record"]
    assert [caller.acquire.as_ for caller in found.when[0].body] == ["a", "b"]
    assert found.then[0].distinct == ("a", "b")


def test_what_is_left_out_is_ordinary():
    """A scenario that says nothing of its pool has three regular keys, two vertex keys and two open models."""
    found = read("title: t\nwhen: [{acquire: }]\nthen: [{raises: never}]\n", "story.yaml")
    assert (found.given.regular, found.given.vertex) == (("k1", "k2", "k3"), ("v1", "v2"))
    assert (sorted(found.given.limits), found.given.model, found.level) == (["m1", "m2"], "m1", "must")


@pytest.mark.parametrize(
    "before, after, line, told",
    [
        (SECOND, "acquire: {modle: m1}", 10, "did you mean 'model'?"),
        (SECOND, "aquire: {model: m1}", 10, "found 'aquire'; did you mean 'acquire'?"),
        (SECOND, "acquire", 10, "expected a mapping with one name such as acquire, found 'acquire'"),
        (SECOND, "record: {}", 10, "expected 'key', found none"),
        (SECOND, "record: {key: k9}", 10, "when[0].parallel[1].record.key: expected a key of given"),
        (SECOND, "parallel: [{acquire: }]", 10, "expected no parallel inside parallel"),
        (SECOND, "restart: {}", 10, "expected no restart inside parallel"),
        (SECOND, "cancel: {call: {advance: 5}}", 10, "expected an operation to cancel, found advance"),
        (SECOND, "advance: -5", 10, "greater than 0, found -5"),
        ("limits:", "begins: 7\n  limits:", 6, "expected an instant such as 2026-03-09T07:00:00Z, found 7"),
        ("as: b", "as: a", 10, "expected a name of its own, found 'a' again"),
        ("as: b", "as: k1", 10, "which means something else"),
        ("[a, b]", "[a, c]", 13, "then[0].distinct: expected the name of an answer (a, b), found 'c'"),
        ("distinct: [a, b]", "distinkt: [a, b]", 13, "did you mean 'distinct'?"),
        ("distinct: [a, b]", "state_of: {key: k1}", 13, "expected valid or failures, found neither"),
        ("distinct: [a, b]", "usage: {key: k1}", 13, "expected rpm, tpm or rpd, found none of them"),
        ("given:", "givn:", 4, "did you mean 'given'?"),
        ("title", "titel", 1, "did you mean 'title'?"),
        ("rpm: 10", "rpm: many", 6, "given.limits.m1.rpm: expected a valid integer"),
        ("rpm: 10", "rpm: 10, rpm: 9", 6, "expected each name once, found 'rpm' again"),
        ("[k1, k2]", "[k1, m1]", 5, "expected a name of a key alone, found 'm1'"),
        ("[k1, k2]", "[k1, stranger-1]", 5, "expected a name of a key alone"),
        ("limits:", "policies: {exhaustion: never}\n  limits:", 6, "expected of the policy exhaustion 'sentinel'"),
        ("limits:", "policies: {exhaustian: never}\n  limits:", 6, "expected policies of the catalogue"),
        ("limits:", "begins: 2026-03-02T12:01:00Z\n  limits:", 6, "a quarter of an hour from 2026-03-02T12:00:00Z"),
        ("[ACQ01]", "[acquire]", 2, "covers[0]: expected a string that should match"),
        ("  - distinct: [a, b]", "  []", 12, "then: expected at least one, found none"),
        ("  - record: {key: a, tokens: 5}", "  - parallel: [{acquire: }]", 11, "make it two scenarios"),
        (
            "  - record: {key: a, tokens: 5}",
            "  - repeat: {times: 1000, do: [{repeat: {times: 1000, do: [{tick: }]}}]}",
            7,
            "expected at most 5000 steps, each repetition counted, found 1000002",
        ),
        ("  - record: {key: a, tokens: 5}", "  - crash: {}", 11, "expected no crash beside a parallel"),
        (SECOND, "fault: {of: store}", 10, "expected no fault inside parallel"),
        ("  - record: {key: a, tokens: 5}", "  - fault: {of: source}", 11, "expected 'store', found source"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(before, after, line, told):
    """An error names the file and the line, what was expected and what was found, and the nearest right word."""
    message = refused(before, after)
    assert message.startswith(f"story.yaml:{line}: ")
    assert told in message


@pytest.mark.parametrize("name", ["clock"])
def test_what_no_engine_can_do_is_refused(name):
    """A step of the design that cannot be run yet is refused where it stands, and not passed over."""
    message = refused(SECOND, f"{name}: {{}}")
    assert message.startswith(f"story.yaml:10: when[0].parallel[1]: {name} is no step that can be run: ")


@pytest.mark.parametrize(
    "text, line, told",
    [
        ("", 1, "found an empty file"),
        ("title: [a", 1, "expected YAML"),
        ("title: t\nwhen: &w\n  - *w\n", 2, "alias of what stands around it"),
        ("title: t\n1: x\n", 2, "expected a name, found 1"),
        ("- a\n", 1, "found"),
        ("title: !!python/object:os.system x\n", 1, "expected YAML"),
        ("title: \x00", 1, "expected YAML"),
    ],
)
def test_what_is_no_mapping_of_yaml_is_refused(text, line, told):
    """A file that is no YAML, or YAML of another kind, is refused with its line; nothing in it is run."""
    with pytest.raises(ScenarioError) as caught:
        read(text, "story.yaml")
    assert str(caught.value).startswith(f"story.yaml:{line}: ")
    assert told in str(caught.value)


def test_aliases_do_not_make_a_small_file_a_large_one():
    """Aliases of aliases are followed only so far."""
    lines = ["title: t", "x0: &x0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 7)]
    with pytest.raises(ScenarioError, match="expected at most 20000 values in a file"):
        read("\n".join(lines), "story.yaml")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """A file that is not there, or not UTF-8, is refused by its name."""
    with pytest.raises(ScenarioError, match=r"none\.yaml: expected a scenario file that can be read"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"title: \xe9")
    with pytest.raises(ScenarioError, match=r"latin\.yaml: .* it is not UTF-8"):
        load(tmp_path / "latin.yaml")


def test_a_place_that_was_left_out_is_that_of_what_it_belongs_to():
    """The line of what is not there is the line of what stands around it."""
    found = marked.read("a:\n  b: [1,\n      2]\n")
    assert found.plain == {"a": {"b": [1, 2]}}
    assert [found.line(place) for place in (("a",), ("a", "b"), ("a", "b", 1), ("a", "c"), ("z",))] == [1, 2, 3, 1, 1]


def test_the_schema_is_fresh():
    """`schema.json` is what the models say; `keyconform schema scenario > scenarios/schema.json` renews it."""
    kept = json.loads((ROOT / "scenarios" / "schema.json").read_text(encoding="utf-8"))
    assert kept == json_schema()


def test_the_schema_knows_every_step_and_expectation():
    """Editors are told every step and every expectation, and that each stands alone."""
    steps, expectations = (json_schema()["$defs"][name] for name in ("Step", "Expectation"))
    assert {"acquire", "record", "parallel", "repeat", "advance", "cancel", "crash", "restart"} <= set(
        steps["properties"]
    )
    assert {"equals", "distinct", "usage", "state_of", "keeps"} <= set(expectations["properties"])
    assert (steps["maxProperties"], expectations["maxProperties"]) == (1, 1)


def test_the_beginning_of_time_is_that_of_the_engine():
    """The instants of a scenario count from when the clock of an execution begins."""
    assert BEGINNING == START
