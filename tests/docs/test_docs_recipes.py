"""The recipes for CI are run as a CI server would run them, on a backend that conforms."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).parents[2] / "docs" / "gate.md").read_text(encoding="utf-8")
IN_CI = PAGE[PAGE.index("## In CI") :]
BLOCKS = re.findall(r"^```(sh|yaml)\n(.*?)^```$", IN_CI, re.MULTILINE | re.DOTALL)
BACKEND = "import keyconform_reference\n\n\ndef make(pool):\n    return keyconform_reference.make_manager(pool)\n"


def commands() -> list[str]:
    """Answer each command of ours in the recipes: of shells, of jobs, of hooks."""
    found = [text for kind, text in BLOCKS if kind == "sh"]
    for recipe in (yaml.safe_load(text) for kind, text in BLOCKS if kind == "yaml"):
        jobs = recipe.get("jobs", {}).values()
        found += [step["run"] for job in jobs for step in job["steps"] if "run" in step]
        found += [line for job in recipe.values() if isinstance(job, dict) for line in job.get("script", ())]
        found += [hook["entry"] for repo in recipe.get("repos", ()) for hook in repo["hooks"]]
    joined = (re.sub(r"\s*\\\n\s*", " ", text).partition("||")[0] for text in found)
    return [text.strip() for text in joined if text.startswith(("pytest", "keyconform"))]


def test_every_recipe_has_a_command() -> None:
    """The recipes are for a shell, GitHub Actions, GitLab, a deploy and a commit."""
    assert len(commands()) == len(BLOCKS) == 5


@pytest.mark.parametrize("command", commands(), ids=lambda text: " ".join(text.split()[:3]))
def test_a_recipe_runs(command: str, tmp_path: Path) -> None:
    """Each command passes on a backend that conforms, on a small part of the catalogue, and writes what it names."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "keys.py").write_text(BACKEND, encoding="utf-8")
    (tmp_path / "keyconform-waivers.toml").write_text("version = 1\n", encoding="utf-8")
    settings = 'target = "app.keys:make"\nselect = ["FMT01"]\ncov_fail_under = 50\n'
    (tmp_path / "keyconform.toml").write_text(settings, encoding="utf-8")
    module, *words = shlex.split(command)
    done = subprocess.run(
        [sys.executable, "-m", {"pytest": "pytest", "keyconform": "pytest_keyconform.cli"}[module], *words],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = re.findall(r"(?:json|html|junit|sarif|markdown):(\S+)", command)
    assert [name for name in written if not (tmp_path / name).is_file()] == []
