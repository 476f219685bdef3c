"""The report as Markdown, for the summary of a CI job or a comment on a merge request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_keyconform.render import timeline
from pytest_keyconform.render.telling import Telling, cleaned
from pytest_keyconform.report import FAILING

if TYPE_CHECKING:
    from pytest_keyconform.report import InvariantReport, Report, Status

COLUMNS: tuple[Status, ...] = ("conforms", "violated", "inconclusive", "waived", "not-applicable")
SPECIAL = re.compile(r"[\\`*_{}\[\]<>#+!|~&@$]|:(?=//)|(?<=www)[.]")
BREAKS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}


def render(report: Report, telling: Telling | None = None) -> str:
    """Write a report as Markdown: the verdict, what failed with its counterexample, what is accepted, the families."""
    report, telling = cleaned(report), telling or Telling()
    standing = {result.id: telling.standing(result) for result in report.invariants}
    failed = [one for one in report.invariants if standing[one.id] in FAILING]
    accepted = [one for one in report.invariants if standing[one.id] in {"advisory", "known", "waived"}]
    facts = f"spec {report.spec}, profile {report.profile}, seed {report.seed}, {report.run.duration:.1f} s"
    lines = [
        f"## keyconform: {text(report.target)} {report.verdict}",
        "",
        f"{timeline.plural(len(report.invariants), 'invariant')}, {text(facts)}",
    ]
    if report.error is not None:
        lines += ["", f"**Error:** {text(report.error)}"]
    for result in failed:
        lines += _broken(result, telling.target(report))
    if accepted:
        lines += ["", "### Accepted", "", *(_accepted(one, standing[one.id]) for one in accepted)]
    if telling.changes():
        lines += ["", "### Since the baseline", "", *(f"- {word}: {text(line)}" for word, line in telling.changes())]
    return "\n".join([*lines, *_families(report), ""])


def _broken(result: InvariantReport, asked: str) -> list[str]:
    lines = ["", f"### {result.id} {result.status}", "", text(result.title)]
    if result.reason is not None:
        lines += ["", text(result.reason)]
    if result.counterexample is None:
        return lines
    page = timeline.page(result, asked=asked)
    return [*lines, "", *fenced(timeline.replay_command(asked, result.counterexample.replay)), "", *fenced(page)]


def _accepted(result: InvariantReport, standing: str) -> str:
    why = result.waiver if result.waiver is not None else result.title
    return f"- **{result.id}** {standing}: {text(why)}"


def _families(report: Report) -> list[str]:
    if not report.invariants:
        return []
    rows = ["", "| family | " + " | ".join(status.replace("-", " ") for status in COLUMNS) + " |"]
    rows.append("|" + "---|" * (len(COLUMNS) + 1))
    for family in dict.fromkeys(result.family for result in report.invariants):
        found = [result.status for result in report.invariants if result.family == family]
        rows.append(f"| {text(family)} | " + " | ".join(str(found.count(status)) for status in COLUMNS) + " |")
    return rows


def text(plain: str) -> str:
    """Answer a text that means itself: no mark, no tag, no mention, no link."""
    return SPECIAL.sub(lambda found: BREAKS.get(found[0], f"\\{found[0]}"), plain)


def fenced(block: str) -> list[str]:
    """Put a block between fences that are longer than any in it."""
    longest = max((len(run) for run in re.findall(r"`+", block)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", block, fence]
