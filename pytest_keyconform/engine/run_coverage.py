"""What the coverage of the run itself measured, in this process and in those that judge."""

from __future__ import annotations

import sys
import warnings
from typing import Any


def measured_here() -> bytes | None:
    """Answer what coverage measured here so far; None where it measures nothing."""
    running = _coverage()
    if running is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing was collected: not here
        found: bytes = running.get_data().dumps()
    return found


def add_measured(measured: bytes | None) -> None:
    """Add what was measured in the process that judges: it does not live to write it down itself."""
    running = _coverage()
    if running is None or measured is None:
        return
    there = type(running.get_data())(no_disk=True)
    there.loads(measured)
    running.get_data().update(there)


def _coverage() -> Any:  # noqa: ANN401 - of a package that is not imported for this
    coverage = sys.modules.get("coverage")
    return None if coverage is None else coverage.Coverage.current()
