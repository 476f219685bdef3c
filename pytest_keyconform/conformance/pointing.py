"""What one invariant tells of another: where calls never answered, the one that is about it does not conform."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_keyconform.history import Ending
from pytest_keyconform.judging import SEE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_keyconform.report import InvariantReport

POINTED = SEE.removeprefix("see ")


def pointed(results: Sequence[InvariantReport]) -> tuple[InvariantReport, ...]:
    """Answer the results; the invariant that others point to is inconclusive where it found nothing itself."""
    found = next((one for one in results if _never_answered(one)), None)
    if found is None:
        return tuple(results)
    why = f"{found.id} met it: {(found.reason or '').removesuffix(f'; {SEE}')}"
    return tuple(
        replace(one, status="inconclusive", reason=why, cut_short=True)
        if one.id == POINTED and one.status == "conforms"
        else one
        for one in results
    )


def _never_answered(one: InvariantReport) -> bool:
    reason = one.reason or ""
    return one.id != POINTED and reason.endswith(SEE) and f"({Ending.DEADLOCK.value}:" in reason
