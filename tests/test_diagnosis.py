"""`keyconform doctor`: what a target has and lacks, before anything is judged."""

from __future__ import annotations

import shlex
import sys

import pytest

from pytest_keyconform.cli import main

TINY = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    hello = {"protocol": 1, "name": "tiny", "operations": ["acquire", "record", "usage"]}
    answer = {"hello": hello, "acquire": "k"}.get(asked["op"])
    print(json.dumps({"seq": asked["seq"], "ok": answer}), flush=True)
"""


def told(capsys, target):
    assert main(["doctor", target]) == 0
    return capsys.readouterr().out


def test_the_reference_is_told_as_it_is(capsys):
    """How it resolves, what each operation is called, which kind it is of, and that its clock can be moved."""
    said = told(capsys, "reference")
    assert "target: reference is keyconform_reference:make_manager" in said
    assert "factory: takes the Pool" in said
    assert "  acquire: get_key(model, pool); get_next_working_key(model)" in said
    assert "kind: suggested is --keyconform-require service" in said
    assert "clock: moved with the clocks of this process" in said
    assert "versions: Python" in said
    assert " ms, with" in said


def test_a_backend_in_another_process_is_told_as_it_is(capsys, tmp_path):
    """What it lacks for each kind, and that its clock cannot be moved."""
    (tmp_path / "tiny.py").write_text(TINY, encoding="utf-8")
    said = told(capsys, f"stdio:{sys.executable} {shlex.quote(str(tmp_path / 'tiny.py'))}")
    assert "reached: another process, tiny" in said
    assert "to be in-process it lacks status or state, reset or reset_all or reactivate" in said
    assert "to be shared-store it lacks status or state, reset or reset_all or reactivate\n" in said
    assert "judged by wire" in said
    assert "clock: cannot be moved: its hello does not say so" in said


@pytest.mark.parametrize("target", ["no_such_module:make", "stdio:no-such-program", "json:JSONDecoder"])
def test_what_cannot_be_used_is_refused(capsys, target):
    """The refusal is that of a run, and the exit status is that of usage."""
    assert main(["doctor", target]) == 4
    assert "ERROR: " in capsys.readouterr().err
