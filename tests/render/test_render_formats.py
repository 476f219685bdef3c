"""Each format: the same text for the same report, well-formed, and safe from whatever a backend answers."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from pytest_keyconform.render import badge, html, junit, markdown, sarif
from pytest_keyconform.render.telling import Telling, cleaned, visible
from pytest_keyconform.render.timeline import page
from pytest_keyconform.render.writing import RENDERINGS, text_of
from pytest_keyconform.spec.report_setting import FORMATS

FILES = {
    "json": "report.json",
    "junit": "report.xml",
    "html": "report.html",
    "sarif": "report.sarif",
    "markdown": "report.md",
    "badge": "badge.svg",
}
VOID = {"meta", "input", "br"}


def xml(text):
    """Read XML of our own making."""
    return ET.fromstring(text)  # noqa: S314  # nobody else wrote it


class Page(HTMLParser):
    """What a browser would find: the tags, their attributes, the texts, and whether each tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_every_format_has_a_snapshot():
    """There is a rendering and a kept text for each format that can be asked for."""
    assert set(FILES) == set(FORMATS) == {*RENDERINGS, "badge"}


@pytest.mark.parametrize("form", FORMATS)
def test_the_text_of_a_format(form, report, telling, same):
    """Each format tells the sample report as it did before."""
    name = FILES[form]
    same(name, text_of(report, form, name[name.index(".") :], telling))


def test_the_badge_of_an_endpoint(report, same):
    """A badge that is called .json is what an endpoint answers."""
    same("badge.json", text_of(report, "badge", ".json", Telling()))


@pytest.mark.parametrize("form", FORMATS)
def test_a_report_of_a_target_that_could_not_be_opened(form, broken):
    """Every format is written for a run that judged nothing, and all but the badge say why."""
    text = text_of(broken, form, ".svg", Telling())
    assert ("importable" in text) == (form != "badge")


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_texts_stay_texts(form, hostile):
    """No control character and no half of a surrogate pair is in any text, and each can be written."""
    text = text_of(hostile, form, ".svg", Telling(asked=hostile.target))
    assert text.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert "\n::error::" not in text


def test_junit_is_xml(report, hostile):
    """The counts are those of the cases, a hostile text is one text of one attribute."""
    root = xml(junit.render(report))
    (suite,) = root
    cases = suite.findall("testcase")
    assert {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": len(cases),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    assert [case.get("name") for case in cases if len(case) == 0] == ["ACQ02"]
    assert (cases[0].get("file"), cases[0].get("line")) == ("src/my keys.py", "12")
    assert {tag.tag for tag in xml(junit.render(hostile)).iter()} == {tag.tag for tag in root.iter()}


def test_junit_at_level_should(report):
    """Where SHOULDs gate they are failures."""
    assert junit.render(report).count("<failure") == 1
    assert junit.render(report, Telling(level="should")).count("<failure") == 2


def test_the_page_needs_nothing_else(report, telling):
    """The page is closed, fetches nothing, and runs only what is its own."""
    text = html.render(report, telling)
    found = Page(text)
    assert found.open == []
    assert "http" not in text.replace("http-equiv", "")
    assert "url(" not in text
    assert not any({"src", "style", "onclick"} & attributes.keys() for _, attributes in found.tags)
    assert {one.get("href", "#")[0] for _, one in found.tags} == {"#"}


def test_the_page_is_safe(report, hostile, telling):
    """A hostile report has no tag that a tame one does not have, and the guard lets only our own script run."""
    tame, wild = Page(html.render(report, telling)), Page(html.render(hostile, telling))
    assert [tag for tag, _ in wild.tags if tag in {"script", "style"}] == ["style", "script"]
    assert {tag for tag, _ in wild.tags} <= {tag for tag, _ in tame.tags} | {"p"}
    guards = [one["content"] for tag, one in wild.tags if one.get("http-equiv") == "Content-Security-Policy"]
    assert guards == [one["content"] for tag, one in tame.tags if one.get("http-equiv")]
    assert guards[0].startswith("default-src 'none'; style-src 'sha256-")


def test_the_page_is_there_for_everybody(report, telling):
    """What failed is unfolded, each picture has a name, and each control a label."""
    found = Page(html.render(report, telling))
    cards = {one["id"]: one for tag, one in found.tags if tag == "details" and "id" in one}
    assert list(cards) == ["ACQ01", "EXH01", "FMT05", "QUO01", "QUO02", "ACQ02", "VTX01"]
    assert [name for name, one in cards.items() if "open" in one] == ["ACQ01", "EXH01"]
    pictures = [one for tag, one in found.tags if tag == "svg"]
    assert len(pictures) == sum("What each client did" in text for text in found.texts) == 4
    assert "pytest --keyconform=mine=app:make --keyconform-replay=ACQ01:t1:two/-/r1-1" in found.texts


def test_a_long_execution_is_cut_in_the_middle(report):
    """A picture shows both ends of a long execution and says what it leaves out."""
    first = report.invariants[0]
    found = dataclasses.replace(first.counterexample, timeline=first.counterexample.timeline * 40)
    text = html.render(dataclasses.replace(report, invariants=(dataclasses.replace(first, counterexample=found),)))
    assert "… 80 moments left out …" in text


def test_sarif_points_into_the_backend(report, telling):
    """A violation is at a line of the backend, with a flow for each client; what is accepted is no alert."""
    (run,) = json.loads(sarif.render(report, telling))["runs"]
    results = {one["ruleId"]: one for one in run["results"]}
    assert all(run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == id_ for id_, one in results.items())
    assert results["ACQ01"]["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "src/my%20keys.py", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 12},
            }
        }
    ]
    nowhere = results["EXH01"]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert nowhere == {"uri": "mine%3Dapp%3Amake"}
    flows = results["ACQ01"]["codeFlows"][0]["threadFlows"]
    assert [[step["executionOrder"] for step in flow["locations"]] for flow in flows] == [[1, 2, 5], [3, 4]]
    outside = flows[1]["locations"][1]["location"]["physicalLocation"]["artifactLocation"]
    assert outside == {"uri": "file:///opt/lib/locks.py"}
    kinds = {id_: (one["kind"], one["level"], one["baselineState"]) for id_, one in results.items()}
    assert kinds == {
        "ACQ01": ("fail", "error", "new"),
        "EXH01": ("open", "none", "new"),
        "FMT05": ("fail", "warning", "new"),
        "QUO01": ("fail", "note", "unchanged"),
        "QUO02": ("fail", "note", "new"),
    }
    assert results["QUO02"]["suppressions"][0]["justification"] == "for now (me, expires 2026-04-01)"


def test_sarif_fingerprints(report):
    """The same violation has the same fingerprint wherever it is, another one another."""
    (run,) = json.loads(sarif.render(report))["runs"]
    prints = [one["partialFingerprints"]["keyconform/v1"] for one in run["results"]]
    assert len(set(prints)) == len(prints)


def test_a_run_that_failed_is_told_in_sarif(broken):
    """A target that could not be opened is a run that was not successful."""
    (run,) = json.loads(sarif.render(broken))["runs"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "importable" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_markdown_means_what_it_says(hostile):
    """No hostile text begins a tag, a mention, a cell or a fence of its own."""
    text = markdown.render(hostile)
    prose = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"(?<!\\)[<`]|(?<![\\&])@", prose)
    assert text.count("````text") == 0 or "```" in text


@pytest.mark.parametrize("verdict", ["conforms", "partial", "inconclusive", "violates"])
def test_badges(report, verdict):
    """A badge has the verdict in words and in a colour of its own; where all is well, of how many."""
    one = dataclasses.replace(report, verdict=verdict)
    answer = json.loads(badge.endpoint(one))
    assert answer["message"].startswith(verdict)
    assert ("1 of 6" in answer["message"]) == (verdict in {"conforms", "partial"})
    assert answer["color"] in badge.picture(one)
    assert xml(badge.picture(one)).get("role") == "img"


def test_what_cannot_be_seen_is_shown():
    """A text that is cleaned shows every control character as an escape and keeps all others."""
    assert visible("a\nb\t\x1b[0m\u2028é🔑") == "a\\nb\\t\\x1b[0m\\u2028é🔑"


def test_a_page_of_the_terminal_is_safe(hostile):
    """The page of the terminal has no colour and no line that it did not make."""
    text = page(hostile.invariants[0], asked="app:make")
    assert "\x1b" not in text
    assert not any(line.startswith("::") for line in text.splitlines())
    assert page(cleaned(hostile).invariants[0], asked="app:make").encode("utf-8")
