"""The example in JavaScript is run where there is Node.js."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.spec.settings import Settings
from pytest_keyconform.spec.target_setting import TargetSetting

ROOT = Path(__file__).parents[2]
EXAMPLE = "docs/wire/key_manager.mjs"
NODE = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js, which runs the example, is not installed")
SELECT = (
    "ACQ01",
    "ACQ03",
    "ACQ11",
    "QUO01",
    "QUO02",
    "QUO04",
    "EXH01",
    "UNK01",
    "VTX03",
    "TIME01",
    "TIME02",
    "TIME05",
    "SEC01",
)


@NODE
def test_the_example_in_javascript_conforms() -> None:
    """What it claims it keeps, with its time told."""
    setting = TargetSetting(name="example", target=f"stdio:node {EXAMPLE}", asked="example")
    conformance = Conformance(Settings(targets=(setting,), search=(ROOT,), select=SELECT, profile="smoke"), setting)
    conformance.start()
    results = [conformance.judge(kind.id) for kind in conformance.invariants()]
    conformance.end()
    assert {one.status for one in results} == {"conforms"}, [(one.id, one.status, one.reason) for one in results]
    assert {one.engines for one in results} == {("wire",)}


def test_the_example_is_the_one_that_the_page_shows() -> None:
    """The page leads to a file that is there."""
    assert (ROOT / EXAMPLE).is_file()
    assert "(wire/key_manager.mjs)" in (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
