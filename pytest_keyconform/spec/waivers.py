"""Waivers: deviations that somebody accepted, with a reason and an end, in a TOML file that strangers write."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pytest_keyconform.errors import WaiverError
from pytest_keyconform.spec.settings import nearest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

LONGEST = 180  # days that a waiver may last
SHORTEST_REASON = 15  # characters
SCENARIO = "scenario["
HEADER = re.compile(r"\s*\[\[\s*waiver\s*\]\]")
Day = Annotated[dt.date, BeforeValidator(lambda value: value if isinstance(value, (dt.date, str)) else str(value))]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

EXPECTED = {
    "id": "the id of an invariant, such as ACQ01",
    "reason": f"at least {SHORTEST_REASON} characters that say why the deviation is accepted",
    "owner": "who answers for it",
    "added": "a date such as 2026-03-01",
    "expires": f"a date after `added`, at most {LONGEST} days later",
    "target": "the name of a target",
    "signature": "the signature of a violation, as a report has it",
    "version": "version = 1",
    "waiver": "tables [[waiver]]",
}


class WaiverModel(BaseModel):
    """One table ``[[waiver]]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=r"^([A-Z]+[0-9]+|scenario\[.+\])$")]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=SHORTEST_REASON)]
    owner: Text
    added: Day
    expires: Day
    target: Text | None = None
    signature: Text | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if not 0 < (self.expires - self.added).days <= LONGEST:
            raise ValueError("expires")
        return self


class WaiversModel(BaseModel):
    """The whole file: ``version = 1`` and the tables, which are validated one by one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    waiver: list[dict[str, Any]] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A deviation that is accepted until ``expires``; ``where`` is the file and line of its table.

    Without a ``target`` it is about each, without a ``signature`` about each violation of its invariant.
    """

    id: str
    reason: str
    owner: str
    added: dt.date
    expires: dt.date
    target: str | None = None
    signature: str | None = None
    where: str = ""

    def days_left(self, today: dt.date) -> int:
        """Answer how many days it lasts; below 0 it is expired. On the day it expires it still stands."""
        return (self.expires - today).days

    def __str__(self) -> str:
        """Say why, by whom and until when."""
        return f"{self.reason} ({self.owner}, expires {self.expires.isoformat()})"


def read(path: Path, *, ids: Collection[str], today: dt.date) -> tuple[Waiver, ...]:
    """Read a file of waivers for the invariants with these ids; raises `WaiverError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"--keyconform-waivers: expected a file of waivers, found {path} ({why}); name one that is there"
        raise WaiverError(message) from error
    return parse(text, path=path, ids=ids, today=today)


def parse(text: str, *, path: Path, ids: Collection[str], today: dt.date) -> tuple[Waiver, ...]:
    """Read the text of a file of waivers; ``path`` is what messages call it."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        end = text.count("\n") + 1
        message = f"{path}:{line[1] if line else end}: expected TOML, but {error}; mend the syntax"
        raise WaiverError(message) from None
    lines = Lines(text)
    try:
        content = WaiversModel.model_validate(plain)
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        name, number = str(place[0]), next((part for part in place if isinstance(part, int)), None)
        raise WaiverError(f"{path}:{lines.of(number, name)}: {_complaint(name, plain)}") from None
    found: dict[object, Waiver] = {}
    for number, table in enumerate(content.waiver):
        waiver = _waiver(
            table, path=path, line=lambda name, number=number: lines.of(number, name), ids=ids, today=today
        )
        earlier = found.setdefault((waiver.id, waiver.target, waiver.signature), waiver)
        if earlier is not waiver:
            raise WaiverError(
                f"{waiver.where}: {waiver.id} is waived already at {earlier.where}; remove one of the two, "
                "or tell them apart by target or signature"
            )
    return tuple(found.values())


def _waiver(table: dict[str, Any], *, path: Path, line: Any, ids: Collection[str], today: dt.date) -> Waiver:  # noqa: ANN401
    try:
        model = WaiverModel.model_validate(table)
    except ValidationError as error:
        place = error.errors()[0]["loc"]
        name = str(place[0]) if place else "expires"
        raise WaiverError(f"{path}:{line(name)}: {_complaint(name, table)}") from None
    if model.id not in ids and not model.id.startswith(SCENARIO):  # which this run may not have been given
        raise WaiverError(
            f"{path}:{line('id')}: id: expected {EXPECTED['id']}, found {model.id!r}{nearest(model.id, ids)}; "
            "`keyconform list` shows them all"
        )
    if model.added > today + dt.timedelta(days=1):  # a day, for those who live ahead of this machine
        raise WaiverError(
            f"{path}:{line('added')}: added: expected a day that has come, found {model.added}; write today's date"
        )
    return Waiver(**model.model_dump(), where=f"{path}:{line('')}")


def _complaint(name: str, table: dict[str, Any]) -> str:
    """Say what was expected in the place of a value and what was found."""
    if name not in EXPECTED:
        return f"unknown key {name!r}{nearest(name, EXPECTED) or '; remove it'}"
    found = f"found {table[name]!s:.60}" if name in table else "found none"
    if name == "expires" and "added" in table and name in table:
        found += f" with added = {table['added']!s:.60}"
    return f"{name}: expected {EXPECTED[name]}, {found}"


class Lines:
    """Where the tables and keys of a file stand: the reader of the standard library does not tell."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        self._tables = [
            number for number, line in enumerate(self._lines) if HEADER.match(line) and self._begins(number)
        ]

    def _begins(self, number: int) -> bool:
        """Tell whether a line begins a table, and is none of a string over several lines."""
        try:
            tomllib.loads("\n".join(self._lines[:number]))
        except tomllib.TOMLDecodeError:
            return False
        return True

    def of(self, table: int | None, key: str) -> int:
        """Answer the line, from 1 on, of a key in the table of this number (None: before any); else of the table."""
        if table is not None and table >= len(self._tables):
            return 1
        first = 0 if table is None else self._tables[table]
        last = next((start for start in self._tables if start > first), len(self._lines))
        named = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=""") if key else None
        for number in range(first, last):
            if named is not None and named.match(self._lines[number]):
                return number + 1
        return first + 1


def written(waiver: Waiver, text: str) -> str:
    """Answer the text of a file with one more waiver at its end."""
    before = text.rstrip("\n") if text.strip() else "version = 1"
    lines = ["", "[[waiver]]"]
    for name in ("id", "reason", "owner", "target", "signature"):
        value = getattr(waiver, name)
        if value is not None:
            lines.append(f"{name} = {_quoted(value)}")
    lines += [f"added = {waiver.added.isoformat()}", f"expires = {waiver.expires.isoformat()}"]
    return "\n".join([before, *lines, ""])


def _quoted(value: str) -> str:
    """Answer a basic string of TOML, which escapes as JSON does; DEL besides."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
