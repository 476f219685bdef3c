"""Every issue of the audits is answered to: by an invariant, or by a reason."""

import tomllib
from pathlib import Path

import pytest

from pytest_keyconform.catalogue import CATALOGUE

AUDITS = tomllib.loads(Path(__file__).with_name("audits.toml").read_text(encoding="utf-8"))
PROMISES, ALIASES, ELSEWHERE = AUDITS["promises"], AUDITS["aliases"], AUDITS["elsewhere"]
JUDGED = {kind.id: kind for kind in CATALOGUE}
ISSUES = sorted({issue for issues in PROMISES.values() for issue in issues} | set(ALIASES))


@pytest.mark.parametrize("issue", ISSUES)
def test_every_issue_is_answered_to(issue):
    """An issue is covered by a class, or stands elsewhere with its reason."""
    issue = ALIASES.get(issue, issue)
    covered = [kind.id for kind in CATALOGUE if issue in kind.audits]
    assert covered or issue in ELSEWHERE


def test_every_promise_is_judged():
    """Each id of the specification has its class, and there is no other."""
    assert sorted(PROMISES) == sorted(JUDGED)


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
