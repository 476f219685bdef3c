"""Where reports go: a format and a path each, tried before anything is judged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict

from pytest_keyconform.errors import ReportError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable

Format: TypeAlias = Literal["json", "junit", "html", "sarif", "markdown", "badge"]
BADGES = (".svg", ".json")  # what a badge may be: a picture, or an endpoint of those who draw pictures
FORMATS: tuple[Format, ...] = get_args(Format)


class ReportSetting(BaseModel):
    """Where to write a report: a format, and a path in which ``{target}`` stands for the target's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format
    path: Path

    def path_for(self, name: str) -> Path:
        """Answer the path of one target's report."""
        return for_target(self.path, name)


def for_target(path: Path, name: str) -> Path:
    """Put a target's name in the place of ``{target}``, without what a file's name cannot have."""
    return Path(str(path).replace("{target}", re.sub(r"[^\w.-]+", "_", name)))


def read(text: str, *, called: str, folder: Path) -> ReportSetting:
    """Read ``FORMAT:PATH``; ``called`` is what a message calls the setting, ``folder`` where the path begins."""
    form, colon, path = text.partition(":")
    found = next((known for known in FORMATS if known == form), None)
    if found is None or not colon or not path:
        raise SettingError(
            f"{called}: expected FORMAT:PATH with one of the formats {', '.join(FORMATS)}, "
            f"such as json:report.json, found {text!r}"
        )
    if found == "badge" and Path(path).suffix not in BADGES:
        raise SettingError(f"{called}: expected a badge to be called {' or '.join(BADGES)}, found {text!r}; rename it")
    return ReportSetting(format=found, path=folder / path)


def check(reports: Iterable[ReportSetting], targets: Iterable[str]) -> None:
    """Refuse, before anything is judged, a report that could not be written afterwards."""
    names = tuple(targets)
    for report in reports:
        if len(names) > 1 and "{target}" not in str(report.path):
            raise ReportError(
                f"--keyconform-report: {len(names)} targets would be written to {report.path}; "
                "put {target} into its name, as in json:report-{target}.json"
            )
        for name in names:
            _try_to_write(report.path_for(name))


def _try_to_write(path: Path) -> None:
    existed = path.exists()
    try:
        with path.open("a", encoding="utf-8"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        raise ReportError(
            f"--keyconform-report: expected a path that can be written, found {path} ({error.strerror}); "
            "make its folder, or name another path"
        ) from error
