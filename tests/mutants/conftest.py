"""The kill matrix below the results, and what stayed undecided of the twins."""

from __future__ import annotations

import pytest


def properties(terminalreporter, name):
    """The values that tests recorded under a name, sorted."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    return sorted(
        {
            value
            for report in reports
            if isinstance(report, pytest.TestReport) and report.when == "call"
            for key, value in report.user_properties
            if key == name
        }
    )


def pytest_terminal_summary(terminalreporter):
    """Print what the tests recorded."""
    kills = [row.split() for row in properties(terminalreporter, "kill")]
    if kills:
        terminalreporter.section("kill matrix")
        for id_, base, name, status, executions in kills:
            caught = "caught" if status == "violated" else status.upper()
            terminalreporter.write_line(f"{id_:<7}{base:<5} {name:<28} {caught:<10} {executions:>6} executions")
        count = sum(status == "violated" for _, _, _, status, _ in kills)
        terminalreporter.write_line(f"{count} of {len(kills)} planted bugs caught by their own id")
    undecided = properties(terminalreporter, "undecided")
    if undecided:
        terminalreporter.section("undecided twins")
        for row in undecided:
            terminalreporter.write_line(row)
