"""Which rendering writes which format."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from pytest_keyconform.render import badge, html, json, junit, markdown, sarif

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_keyconform.render.telling import Telling
    from pytest_keyconform.report import Report
    from pytest_keyconform.spec.report_setting import Format

Rendering: TypeAlias = "Callable[[Report, Telling | None], str]"


def as_json(report: Report, _telling: Telling | None = None) -> str:
    """Write JSON, which is told the same to everybody."""
    return json.render(report)


RENDERINGS: Mapping[Format, Rendering] = {
    "json": as_json,
    "junit": junit.render,
    "html": html.render,
    "sarif": sarif.render,
    "markdown": markdown.render,
}


def text_of(report: Report, form: Format, suffix: str, telling: Telling) -> str:
    """Write a report in a format; the ``suffix`` of the file tells which badge is meant."""
    if form == "badge":
        return (badge.endpoint if suffix == ".json" else badge.picture)(report, telling)
    return RENDERINGS[form](report, telling)
