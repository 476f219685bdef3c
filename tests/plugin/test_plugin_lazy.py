"""Without a target the plugin adds nothing, changes nothing and imports nothing heavy."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_keyconform.plugin

ALLOWED = {"pytest_keyconform", "pytest_keyconform.hookspecs", "pytest_keyconform.plugin"}
# Autoload is off, so that no other plugin imports what ours must not.
PROBE = """
import atexit, sys, pytest
atexit.register(lambda: print("modules:", *sys.modules))
sys.exit(pytest.main(sys.argv[1:]))
"""


def probe(folder: Path, *arguments: str) -> tuple[int, list[str], set[str]]:
    """Run pytest in a child process; answer its exit status, its output and the modules it had at exit."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("KEYCONFORM_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    *output, modules = done.stdout.splitlines()
    assert modules.startswith("modules:"), done.stdout + done.stderr
    # pytest's own header names every registered plugin, and its last line tells the seconds.
    said = [re.sub(r"in \d+\.\d+s", "in _s", line) for line in output if not line.startswith("plugins: ")]
    return done.returncode, [*said, done.stderr], set(modules.split()[1:])


@pytest.mark.parametrize("source", ["", "def test_one(): pass\n"], ids=["empty", "one-test"])
@pytest.mark.parametrize("flags", [(), ("--collect-only", "-q")], ids=["run", "collect"])
def test_no_target_no_difference(tmp_path, source, flags):
    """Without a target pytest exits, prints, collects and imports as it does without the plugin."""
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    status, output, modules = probe(tmp_path, "-p", "keyconform", *flags)
    bare_status, bare_output, bare_modules = probe(tmp_path, "-p", "no:keyconform", *flags)
    assert (status, output) == (bare_status, bare_output)
    added = {name for name in modules - bare_modules if name.partition(".")[0] not in sys.stdlib_module_names}
    assert added - ALLOWED == set()
    assert "pytest_keyconform.plugin" in added


def test_plugin_module_imports_pytest_only():
    """At module level the plugin imports pytest, the standard library and its own hook specifications."""
    tree = ast.parse(Path(pytest_keyconform.plugin.__file__).read_text(encoding="utf-8"))
    imported = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    beyond = {name for name in imported if name.partition(".")[0] not in {"pytest", *sys.stdlib_module_names}}
    assert beyond <= {"pytest_keyconform.hookspecs"}
