"""Whether a run may pass: a report and a level in, an exit status and the reasons out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_keyconform.report import judged_nothing

if TYPE_CHECKING:
    from pytest_keyconform.report import Level, Report

PASSED, FAILED, UNUSABLE = 0, 1, 4


@dataclass(frozen=True, slots=True)
class Decision:
    """The exit status, and a sentence for each thing that made it so."""

    exit: int
    reasons: tuple[str, ...] = ()


def decide(report: Report, level: Level) -> Decision:
    """Let a report pass, or say why not.

    A target that could not be judged at all, or to which nothing applies, is unusable: exit 4. What was
    deselected is not held against anybody.
    """
    if report.error is not None:
        return Decision(UNUSABLE, (report.error,))
    if report.invariants and judged_nothing(report.invariants):
        return Decision(UNUSABLE, (_nothing(report),))
    reasons = tuple(
        f"{result.id} {result.status}: {result.reason or result.title}"
        for result in report.invariants
        if result.gates(level) and result.status in {"violated", "inconclusive"}
    )
    return Decision(FAILED if reasons else PASSED, reasons)


def _nothing(report: Report) -> str:
    lacking = sorted({name for result in report.invariants for name in result.lacking})
    lacks = f" lacks {', '.join(lacking)}" if lacking else " has nothing they are about"
    return (
        f"{report.target}: none of the {len(report.invariants)} invariants could be judged: it{lacks}. "
        "Expected a key manager with an audited acquire and an audited report or status; for other names "
        "write an Adapter subclass"
    )
