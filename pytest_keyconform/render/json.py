"""The report as JSON: for other programs, and for comparing two runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_keyconform.render.telling import cleaned
from pytest_keyconform.spec.report_schema import ReportModel

if TYPE_CHECKING:
    from pytest_keyconform.report import Report


def render(report: Report) -> str:
    """Write a report, validated, with sorted keys: the same seed gives the same text but for the times."""
    model = ReportModel.model_validate(cleaned(report).to_json())
    plain = model.model_dump(mode="json", by_alias=True)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
