"""The catalogue in words, and its page."""

from pathlib import Path

from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.catalogue.notation import read
from pytest_keyconform.render.catalogue import explained, heading, page

PAGE = Path(__file__).parents[2] / "docs" / "catalogue.md"


def test_the_page_is_fresh():
    """docs/catalogue.md says what the classes say."""
    fresh = PAGE.read_text(encoding="utf-8") == page(CATALOGUE)
    assert fresh, "docs/catalogue.md is stale: keyconform list --markdown > docs/catalogue.md"


def test_the_page_has_the_words_of_explain():
    """Every line that `explain` prints of an invariant's prose and histories stands on the page, and every heading."""
    lines = {line.strip() for line in page(CATALOGUE).splitlines()}
    for kind in CATALOGUE:
        facts, _, promise, *rest = explained(kind).splitlines()
        assert facts.startswith(f"{kind.id} ({kind.level}, since ")
        assert f"### {kind.id} {promise.rstrip('.')}" in lines
        assert {line.strip() for line in rest} <= lines
        assert heading(kind).split(maxsplit=2) == [kind.id, kind.level, kind.title()]


def test_the_histories_shown_can_be_read():
    """What `explain` shows as histories are those of the class, whole."""
    for kind in CATALOGUE:
        conforming, violating = explained(kind).partition("Conforms:\n")[2].split("\n\nViolates:\n")
        for shown, own in ((conforming, kind.CONFORMING[0]), (violating, kind.VIOLATING[0])):
            text = "\n".join(line.removeprefix("  ") for line in shown.splitlines())
            assert repr(read(text)) == repr(read(own))
