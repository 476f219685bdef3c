"""The README is run: its files are written, its commands executed, and what they print is compared."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(match["kind"], match["text"]) for match in BLOCK.finditer(README.read_text(encoding="utf-8"))]
CONSOLES = [text for kind, text in BLOCKS if kind == "console"]


def pattern(lines: list[str]) -> str:
    """Answer a regular expression for expected output: ``...`` stands for anything, blanks for any blanks."""
    parts = [re.escape(part) for part in "\n".join(lines).split("...")]
    return re.sub(r"(?:\\ )+", r"[ ]+", ".*".join(parts))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the README shows."""
    for kind, text in BLOCKS:
        named = re.match(r"# (\S+\.py)\n", text)
        if kind == "python" and named:
            (tmp_path / named[1]).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("text", CONSOLES, ids=[text.splitlines()[0] for text in CONSOLES])
def test_what_the_readme_shows_is_what_is_printed(text: str, folder: Path) -> None:
    """Each command of the README prints what the README says it prints."""
    command, *expected = text.splitlines()
    words = shlex.split(command.removeprefix("$ "))
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
    printed = done.stdout + done.stderr
    assert re.search(pattern(expected), printed, re.DOTALL), printed


def test_the_readme_begins_with_the_two_commands() -> None:
    """Who opens the README sees first how to judge and how to test."""
    kind, text = BLOCKS[0]
    assert kind == "sh"
    assert text.splitlines() == [
        "python -m venv .venv && .venv/bin/pip install . && .venv/bin/pytest --keyconform=reference --keyconform-only",
        "pip install tox && tox",
    ]
