"""Every issue of the audits is answered to: by an invariant, by one that is still to be judged, or by a reason."""

import tomllib
from pathlib import Path

import pytest

from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.catalogue.unjudged import UNJUDGED

AUDITS = tomllib.loads(Path(__file__).with_name("audits.toml").read_text(encoding="utf-8"))
PROMISES, ALIASES, ELSEWHERE = AUDITS["promises"], AUDITS["aliases"], AUDITS["elsewhere"]
JUDGED = {kind.id: kind for kind in CATALOGUE}
ISSUES = sorted({issue for issues in PROMISES.values() for issue in issues} | set(ALIASES))


@pytest.mark.parametrize("issue", ISSUES)
def test_every_issue_is_answered_to(issue):
    """An issue is covered by a class, or stands elsewhere with its reason, or waits for a class."""
    issue = ALIASES.get(issue, issue)
    covered = [kind.id for kind in CATALOGUE if issue in kind.audits]
    waiting = [name for name in UNJUDGED if issue in PROMISES[name]]
    assert covered or waiting or issue in ELSEWHERE


def test_what_is_not_judged_is_listed():
    """The list of what is not judged yet is exact: an id of the specification has a class or a line there."""
    stale = [name for name in UNJUDGED if name in JUDGED]
    assert stale == [], "take these out of pytest_keyconform/catalogue/unjudged.py"
    lacking = [name for name in PROMISES if name not in JUDGED and name not in UNJUDGED]
    assert lacking == [], "these have neither a class nor a line in pytest_keyconform/catalogue/unjudged.py"
    assert set(UNJUDGED) <= set(PROMISES)


@pytest.mark.parametrize("kind", CATALOGUE, ids=list(JUDGED))
def test_a_class_names_the_issues_of_the_specification(kind):
    """A class answers to the issues that the specification gives its id."""
    assert sorted(kind.audits) == sorted(PROMISES[kind.id])


def test_what_is_elsewhere_has_its_reason():
    """What no key manager can show has a reason in words, and names what is nearest by ids that exist."""
    for issue, entry in ELSEWHERE.items():
        assert len(entry["why"]) > 15, issue
        assert set(entry["nearest"]) <= set(PROMISES), issue


def test_an_alias_leads_somewhere():
    """The other name of an issue leads to one that is answered to."""
    known = {issue for issues in PROMISES.values() for issue in issues} | set(ELSEWHERE)
    assert set(ALIASES.values()) <= known
