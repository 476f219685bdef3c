"""The summary of a run: a table by family, what is advisory, what broke and how to run it again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.render.telling import visible
from pytest_keyconform.render.timeline import plural, replay_command
from pytest_keyconform.report import FAILING, coverage_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.report import InvariantReport, Level, Report, Status

COLUMNS: tuple[Status, ...] = ("conforms", "violated", "inconclusive", "not-applicable")
WAIVED: tuple[Status, ...] = ("waived",)  # a column where there is one


def render(
    report: Report,
    *,
    level: Level = "must",
    asked: str | None = None,
    replay: str | None = None,
    scenarios: Sequence[str] = (),
) -> str:
    """Sum up a report.

    ``asked`` is what the user named as target, where it differs from its name; ``replay`` is the token of a
    counterexample that was run again, ``scenarios`` are the paths of the scenario files.
    """
    blocks = [
        _table(report),
        _advisory(report, level),
        _accepted(report),
        _broken(report, level, asked or report.target, scenarios),
        [] if replay is None else [_replayed(result, replay) for result in report.invariants],
        _coverage(report),
        _verdict(report),
    ]
    return "\n".join(visible(line) for block in blocks for line in block)


def _replayed(result: InvariantReport, token: str) -> str:
    """Say what came of a replay."""
    if result.status == "conforms":
        return f"replay {token}: {result.id} conforms, the counterexample no longer shows"
    return f"replay {token}: {result.id} {result.status}"


def _table(report: Report) -> list[str]:
    if not report.invariants:
        return []
    families = list(dict.fromkeys(result.family for result in report.invariants))
    rows = [[family, *_counts(report, family)] for family in families]
    columns = _columns(report)
    total = ["total", *(str(report.counts[status]) for status in columns)]
    head = ["family", *(status.replace("-", " ") for status in columns)]
    lines = [head, *rows, *([total] if len(rows) > 1 else [])]
    widths = [max(len(line[index]) for line in lines) for index in range(len(head))]
    return ["  ".join([line[0].ljust(widths[0]), *_right(line[1:], widths[1:])]).rstrip() for line in lines]


def _right(cells: list[str], widths: list[int]) -> list[str]:
    return [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]


def _counts(report: Report, family: str) -> list[str]:
    statuses = [result.status for result in report.invariants if result.family == family]
    return [str(statuses.count(status)) if status in statuses else "·" for status in _columns(report)]


def _columns(report: Report) -> tuple[Status, ...]:
    return COLUMNS + (WAIVED if report.counts["waived"] else ())


def _accepted(report: Report) -> list[str]:
    """Name what does not hold the run back although it failed."""
    waived = [f"waived: {one.id}: {one.waiver}" for one in report.invariants if one.status == "waived"]
    return waived + [f"known: {one.id} {one.status}: {one.title}" for one in report.invariants if one.known]


def _advisory(report: Report, level: Level) -> list[str]:
    return [
        f"advisory: {result.id} {result.status}: {result.title}"
        for result in report.invariants
        if _failing(result) and not result.gates(level) and not result.known
    ]


def _broken(report: Report, level: Level, asked: str, scenarios: Sequence[str]) -> list[str]:
    return [
        line
        for result in report.invariants
        if _failing(result) and result.gates(level)
        for line in (f"{result.id} {result.status}: {result.title}", f"  {_mend(result, asked, scenarios)}")
    ]


def _mend(result: InvariantReport, asked: str, scenarios: Sequence[str]) -> str:
    if result.counterexample is not None:
        return replay_command(asked, result.counterexample.replay, scenarios)
    return result.reason or "no reason was given"


def _failing(result: InvariantReport) -> bool:
    return result.status in FAILING


def _coverage(report: Report) -> list[str]:
    """Say of each file how much of it was reached, and what of it no workload reached."""
    if not report.coverage:
        return []
    lines = [f"coverage: {coverage_of(report.coverage.values()):.1f} % of lines and branches"]
    for name, one in sorted(report.coverage.items()):
        missing = f": no workload reached {', '.join(one.missing)}" if one.missing else ""
        lines.append(f"  {name} {one.percent:g} %{missing}")
    return lines


def _verdict(report: Report) -> list[str]:
    lines = []
    if report.policies:
        declared = ", ".join(f"{name}={value}" for name, value in sorted(report.policies.items()))
        lines.append(f"policies: {declared}")
    engines = dict.fromkeys(engine for result in report.invariants for engine in result.engines)
    if engines:
        lines.append(f"engines: {', '.join(sorted(engines))}")
    ran = sum(result.executions for result in report.invariants)
    lines.append(
        f"{report.target}: {report.verdict.upper()} "
        f"({plural(len(report.invariants), 'invariant')}, {plural(ran, 'execution')}, "
        f"profile {report.profile}, seed {report.seed}, spec {report.spec}, {report.run.duration:.1f} s)"
    )
    return lines
