"""`keyconform init`: the files that a project begins with are ones that work, and nothing is overwritten."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_keyconform.cli import main
from pytest_keyconform.errors import SettingError
from pytest_keyconform.spec.settings import files, read
from pytest_keyconform.starting import PLACEHOLDER, begin


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, which is the working one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_written_is_read(folder, capsys):
    """The configuration names the target under the name that the commands have."""
    assert main(["init", "app.keys:make"]) == 0
    sources, table = files(folder)
    settings = read(sources, table=table, search=())
    assert table["app"]["target"] == "app.keys:make"
    assert (settings.profile, settings.level) == ("ci", "must")
    assert "next: keyconform doctor app" in capsys.readouterr().out


def test_a_factory_that_is_not_named_is_asked_for(folder, capsys):
    """Without a target the configuration has a place for one, and says so."""
    assert main(["init"]) == 0
    assert PLACEHOLDER in (folder / "keyconform.toml").read_text()
    assert f"put your factory in the place of {PLACEHOLDER}" in capsys.readouterr().out


def test_nothing_is_overwritten(folder, capsys):
    """What is there stays as it is, and the rest is written."""
    (folder / "tests").mkdir()
    (folder / "keyconform.toml").write_text("# mine", encoding="utf-8")
    assert main(["init", "app.keys:make"]) == 0
    said = capsys.readouterr().out
    assert (folder / "keyconform.toml").read_text() == "# mine"
    assert "left as it is: keyconform.toml" in said
    assert "wrote: tests/test_key_manager.py" in said


def test_where_nothing_can_be_written_it_is_said(folder):
    """The refusal names the file."""
    with pytest.raises(SettingError, match=r"keyconform\.toml cannot be written: No such file or directory"):
        list(begin(folder / "nowhere", None))


def test_the_test_that_is_written_passes_for_a_sound_manager(folder):
    """It runs the command on the configured target."""
    assert main(["init", "keyconform_reference:make_manager"]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_key_manager.py"]
    environment = {**os.environ, "KEYCONFORM_SELECT": "ACQ01"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
