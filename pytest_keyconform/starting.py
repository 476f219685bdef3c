"""What `keyconform init` writes: where a project begins. It never overwrites anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pytest_keyconform.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLACEHOLDER: Final = "app.keys:make_manager"
CONFIGURATION: Final = """\
# What `pytest` and `keyconform check` judge, and how; flags and KEYCONFORM_* variables come first.
# It does nothing for a run of pytest without --keyconform, KEYCONFORM_TARGET or the key `target`.

profile = "ci"       # smoke, ci or deep
level = "must"       # what gates: must or should
# require = "in-process"    # or shared-store, service: `keyconform doctor app` suggests one

[targets.app]
target = {target}  # or stdio:command line, http://127.0.0.1:8000

# What this key manager does differently, see `keyconform explain EXH01` and the page of the catalogue.
[targets.app.policies]
# exhaustion = "typed-error"
# tenure = "lease"
"""
TEST: Final = """\
\"\"\"The key manager keeps what an API-key manager has to keep.\"\"\"

import subprocess
import sys


def test_the_key_manager_conforms():
    \"\"\"A short run; the whole one is a step of CI: keyconform check app.\"\"\"
    command = [sys.executable, "-m", "pytest_keyconform.cli", "check", "app", "--profile", "smoke"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
"""
STEP: Final = """\
# .github/workflows: a step of a job that has the project and pytest-keyconform installed
- name: key manager
  run: keyconform check app --report html:keyconform.html --report markdown:keyconform.md
- name: what it says
  if: always()
  run: cat keyconform.md >> "$GITHUB_STEP_SUMMARY"
"""


def begin(folder: Path, target: str | None) -> Iterator[str]:
    """Write the files that are not there yet, and yield what was done and what comes next.

    Raises `SettingError` where nothing can be written.
    """
    text = CONFIGURATION.replace("{target}", json.dumps(target or PLACEHOLDER))
    test = folder / "tests" / "test_key_manager.py" if (folder / "tests").is_dir() else folder / "test_key_manager.py"
    for path, content in ((folder / "keyconform.toml", text), (test, TEST)):
        yield f"{'wrote' if _written(path, content) else 'left as it is'}: {path.relative_to(folder)}"
    yield ""
    yield STEP.rstrip()
    yield ""
    first = "" if target else f"put your factory in the place of {PLACEHOLDER} in keyconform.toml; then "
    yield f"next: {first}keyconform doctor app, and keyconform check app"


def _written(path: Path, content: str) -> bool:
    """Write a file where there is none; tell whether that was so."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror}") from None
    return True
