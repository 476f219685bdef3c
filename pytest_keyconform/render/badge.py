"""The verdict as a badge: a picture, or what an endpoint answers to those who draw pictures."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

from pytest_keyconform.render.telling import Telling, cleaned

if TYPE_CHECKING:
    from pytest_keyconform.report import Overall, Report

LABEL = "keyconform"
COLOURS: dict[Overall, str] = {
    "conforms": "#1a7f37",
    "partial": "#6e7781",
    "inconclusive": "#9a6700",
    "violates": "#c0303b",
}
LETTER = 6.6  # pixels that a letter of this font takes at most
MARGIN = 7

PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{label}: {message}">
<title>{label}: {message}</title>
<clipPath id="r"><rect width="{whole}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)">
<rect width="{left}" height="20" fill="#3b4148"/>
<rect x="{left}" width="{right}" height="20" fill="{colour}"/>
</g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{middle}" y="14" textLength="{room}">{label}</text>
<text x="{centre}" y="14" textLength="{space}">{message}</text>
</g>
</svg>
"""


def picture(report: Report, _telling: Telling | None = None) -> str:
    """Draw the badge as SVG."""
    message = _message(cleaned(report))
    left, right = (round(len(text) * LETTER) + 2 * MARGIN for text in (LABEL, message))
    return PICTURE.format(
        label=LABEL,
        message=html.escape(message),
        colour=COLOURS[report.verdict],
        left=left,
        right=right,
        whole=left + right,
        middle=left / 2,
        centre=left + right / 2,
        room=left - 2 * MARGIN,
        space=right - 2 * MARGIN,
    )


def endpoint(report: Report, _telling: Telling | None = None) -> str:
    """Answer the JSON that a badge service draws, schema version 1."""
    message = _message(cleaned(report))
    colour = COLOURS[report.verdict].removeprefix("#")
    answer = {
        "schemaVersion": 1,
        "label": LABEL,
        "message": message,
        "color": colour,
        "isError": report.verdict == "violates",
    }
    return json.dumps(answer, indent=2, ensure_ascii=False) + "\n"


def _message(report: Report) -> str:
    """Say the verdict, and of how many invariants it is."""
    judged = sum(count for status, count in report.counts.items() if status != "not-applicable")
    if report.verdict in {"conforms", "partial"}:
        return f"{report.verdict} · {report.counts['conforms']} of {judged}"
    return report.verdict
