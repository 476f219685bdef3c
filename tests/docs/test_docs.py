"""The README and the docs are run: files are written, commands executed, and what they print is compared."""

from __future__ import annotations

import datetime as dt
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keyconform.plugin import OPTIONS
from pytest_keyconform.spec.waivers import parse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "scenarios" / "README.md"]
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {
    page: [(match["kind"], match["text"]) for match in BLOCK.finditer(page.read_text(encoding="utf-8"))]
    for page in PAGES
}
CONSOLES = [
    pytest.param(page, text, id=f"{page.parent.name}/{page.stem}: {text.splitlines()[0]}")
    for page, blocks in BLOCKS.items()
    for kind, text in blocks
    if kind == "console"
]


def pattern(lines: list[str]) -> str:
    """Answer a regular expression for expected output: ``...`` stands for anything, blanks for any blanks."""
    parts = [re.escape(part) for part in "\n".join(lines).split("...")]
    return re.sub(r"(?:\\ )+", r"[ ]+", ".*".join(parts))


def write(page: Path, folder: Path) -> None:
    """Write the files that a page shows."""
    for kind, text in BLOCKS[page]:
        named = re.match(r"# (\S+\.(?:py|yaml))\n", text)
        if kind in ("python", "yaml") and named:
            (folder / named[1]).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("page, text", CONSOLES)
def test_what_a_page_shows_is_what_is_printed(page: Path, text: str, tmp_path: Path) -> None:
    """Each command of the README and of the docs prints what they say it prints."""
    write(page, tmp_path)
    for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE)[1:]:
        printed, expected = run(part, tmp_path), pattern(part.splitlines()[1:])
        assert re.search(expected, printed, re.DOTALL), printed


def run(part: str, folder: Path) -> str:
    """Run the command that a part of a page begins with; answer what it prints."""
    words = shlex.split(part.splitlines()[0].removeprefix("$ "))
    words[:1] = [sys.executable, "-m", {"pytest": "pytest", "keyconform": "pytest_keyconform.cli"}[words[0]]]
    done = subprocess.run(
        [*words, *(["-p", "no:cacheprovider"] if "pytest" in words else [])],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


FLAG = re.compile(r"--keyconform[\w-]*")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_flag_of_a_page_is_one(page: Path) -> None:
    """Each flag that a page names is one that pytest knows."""
    known = {
        "--keyconform",
        *(f"--keyconform-{name}" for name in ("only", "isolate")),
        *(f"--keyconform-{name.replace('_', '-')}" for name, *_ in OPTIONS),
    }
    assert {*FLAG.findall(page.read_text(encoding="utf-8"))} <= known


def test_the_waiver_that_is_shown_can_stand() -> None:
    """The file of waivers that a page shows is one that is read."""
    (text,) = (text for kind, text in BLOCKS[ROOT / "docs" / "gate.md"] if kind == "toml")
    (waiver,) = parse(text, path=Path("w.toml"), ids=["ACQ01"], today=dt.date(2026, 1, 1))
    assert waiver.target == "staging"


def test_the_readme_begins_with_the_two_commands() -> None:
    """Who opens the README sees first how to judge and how to test."""
    kind, text = BLOCKS[ROOT / "README.md"][0]
    assert kind == "sh"
    assert text.splitlines() == [
        "python -m venv .venv && .venv/bin/pip install . && .venv/bin/pytest --keyconform=reference --keyconform-only",
        "pip install tox && tox",
    ]
