"""The commands about files of earlier runs: waive a deviation, join reports. Each answers what is to be printed."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_keyconform.errors import ReportError, WaiverError
from pytest_keyconform.gate import Policy, decide
from pytest_keyconform.merging import merged
from pytest_keyconform.render.telling import Telling
from pytest_keyconform.render.writing import text_of
from pytest_keyconform.spec import report_schema, report_setting, waivers

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pytest_keyconform.gate import Decision
    from pytest_keyconform.report import Level, Report


def waive(asked: argparse.Namespace, path: Path) -> str:
    """Add a waiver to the file at ``path``; nothing is written unless the whole file can stand afterwards."""
    today = dt.datetime.now().astimezone().date()
    waiver = waivers.Waiver(
        id=asked.id if asked.id.startswith(waivers.SCENARIO) else asked.id.upper(),
        reason=asked.reason.strip(),
        owner=asked.owner.strip(),
        added=today,
        expires=today + dt.timedelta(days=asked.days),
        target=asked.target,
        signature=asked.signature,
    )
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        text = waivers.written(waiver, before)
        ids = _ids()
        if before:
            waivers.parse(before, path=path, ids=ids, today=today)
        waivers.parse(text, path=path, ids=ids, today=today)
        write(path, text)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"--waivers: expected a file that can be read and written, found {path} ({why})"
        raise WaiverError(message) from error
    return f"{path}: {waiver.id} is waived until {waiver.expires}"


def _ids() -> list[str]:
    from pytest_keyconform.catalogue import CATALOGUE

    return [kind.id for kind in CATALOGUE]


def merge(shards: Sequence[str], wanted: Sequence[str], level: Level) -> tuple[Report, Decision]:
    """Join JSON reports, write the whole in each format that is ``wanted``, and say whether it passes."""
    here = Path.cwd()
    targets = [report_setting.read(one, called="--report", folder=here) for one in wanted]
    found = [(name, report_schema.read(Path(name), called=name)) for name in shards]
    report = merged(found, _ids(), level)
    report_setting.check(targets, [report.target])
    for one in targets:
        path = one.path_for(report.target)
        try:
            write(path, text_of(report, one.format, path.suffix, Telling(level=level)))
        except OSError as error:
            raise ReportError(f"--report: {path} could not be written ({error.strerror})") from error
    return report, decide(report, Policy(today=dt.datetime.now().astimezone().date(), level=level))


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all, where it is a file in a folder that lets us; raises `OSError`."""
    if (path.exists() and not path.is_file()) or not os.access(path.parent, os.W_OK):
        path.write_text(text, encoding="utf-8")  # a pipe, a device
        return
    path = path.resolve()  # what a link points to
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    there = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        there.chmod(path.stat().st_mode if path.exists() else 0o644)
        there.replace(path)
    except BaseException:
        there.unlink(missing_ok=True)
        raise
