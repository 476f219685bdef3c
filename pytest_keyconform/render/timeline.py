"""The page of one violated invariant: the promise, who did what, and what should have come of it."""

from __future__ import annotations

import os
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_keyconform.execution import Moment
from pytest_keyconform.render.telling import visible
from pytest_keyconform.report import SCENARIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_keyconform.report import CounterexampleReport, InvariantReport

WIDTH = 110
ROWS = 60  # a page with more is no longer read; its middle is left out
GUTTER = 5
WORDS = {"threads": "thread", "simulated-processes": "instance", "processes": "process"}


@dataclass(frozen=True, slots=True)
class Row:
    """One numbered row: which client, and what it did."""

    client: int
    text: str


def page(result: InvariantReport, *, asked: str, scenarios: Sequence[str] = (), width: int = WIDTH) -> str:
    """Tell what came of a violated or inconclusive invariant.

    ``asked`` is what the user named as target, ``scenarios`` the paths of the scenario files.
    """
    lines = [f"{result.id} {result.status}: {result.title}"]
    if result.reason is not None:
        lines += textwrap.wrap(result.reason, width, initial_indent="  ", subsequent_indent="  ")
    if result.counterexample is None:
        return "\n".join(map(visible, [*lines, f"  {_ran(result)}"]))
    found = result.counterexample
    lines.append(f"  {_sizes(found, result.seconds)}")
    for operation in found.operations[:1]:
        if _opening(operation.call) and operation.call != "open()":
            lines += textwrap.wrap(
                f"pool: {operation.call[5:-1]}", width, initial_indent="  ", subsequent_indent=" " * 8
            )
    lines.append(f"  replay: {replay_command(asked, found.replay, scenarios)}")
    if found.note is not None:
        lines += textwrap.wrap(f"note: {found.note}", width, initial_indent="  ", subsequent_indent=" " * 8)
    lines.append("")
    lines += _table(rows_of(moments_of(found)), word=WORDS.get(found.engine, "task"), width=width)
    lines.append("")
    for label, text in (("observed", found.observed), ("expected", found.expected)):
        lines += textwrap.wrap(f"{label}: {text}", width, initial_indent="  ", subsequent_indent=" " * 12)
    return "\n".join(map(visible, lines))


def replay_command(asked: str, token: str, scenarios: Sequence[str] = ()) -> str:
    """Answer the command that runs one counterexample again, alone; one of a scenario needs its file."""
    own = [f"--keyconform-scenarios={_near(path)}" for path in scenarios if token.startswith(f"{SCENARIO}[")]
    return shlex.join(["pytest", f"--keyconform={asked}", *own, f"--keyconform-replay={token}"])


def _near(path: str) -> str:
    """Answer a path as it is written from here, where it is below."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def plural(number: int, noun: str) -> str:
    """Answer ``1 switch`` or ``2 switches``."""
    ending = "" if number == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{ending}"


def _ran(result: InvariantReport) -> str:
    engines = f" ({', '.join(result.engines)})" if result.engines else ""
    return f"{plural(result.executions, 'execution')}{engines}"


def _sizes(found: CounterexampleReport, seconds: float) -> str:
    took = f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    asked = sum(1 for operation in found.operations if not _opening(operation.call))  # which the harness calls
    return (
        f"{plural(asked, 'operation')}, {plural(found.switches, 'switch')}, "
        f"found in {plural(found.found_after, 'execution')} on {found.engine} ({took})"
    )


def _opening(call: str) -> bool:
    return call.startswith("open(")


def moments_of(found: CounterexampleReport) -> tuple[Moment, ...]:
    """Answer what each client did; from the operations alone where the execution was not traced."""
    if found.timeline:
        return found.timeline
    calls = [(one.called, Moment(one.client, "call", one.call)) for one in found.operations]
    returns = [
        (one.returned, Moment(one.client, "return", one.answer or ""))
        for one in found.operations
        if one.returned is not None
    ]
    return tuple(moment for _, moment in sorted([*calls, *returns], key=lambda item: item[0]))


def rows_of(moments: Iterable[Moment]) -> list[Row]:
    """Put an answer on the row before it where that is of the same client; any other moment on its own."""
    rows: list[Row] = []
    open_row = False  # the last row is a call or an await that may still get its answer
    for moment in moments:
        if moment.kind != "return":
            rows.append(Row(moment.client, _text(moment)))
        else:
            answer = f"→ {moment.text.removeprefix('→').strip()}"
            if open_row and rows[-1].client == moment.client:
                answer = f"{rows.pop().text.removesuffix(' …')} {answer}"
            else:
                answer = f"  {answer}"
            rows.append(Row(moment.client, answer))
        open_row = moment.kind in {"call", "suspend"}
    return rows


def _text(moment: Moment) -> str:
    if moment.kind == "call":
        return f"{moment.text} …"
    return f"  {moment.where}  {moment.text}" if moment.where else moment.text


def table_of(moments: Iterable[Moment], *, word: str, width: int = WIDTH) -> list[str]:
    """Answer the lines of a timeline, a column for each client, headed by what ``word`` calls it."""
    return _table(rows_of(moments), word=word, width=width)


def _table(rows: Sequence[Row], *, word: str, width: int) -> list[str]:
    """Number the rows; a column for each parallel client, the whole width for what came around them."""
    clients = sorted({row.client for row in rows if row.client > 0})
    columns = [*clients, *([-1] if any(row.client < 0 for row in rows) else [])]
    cell = (width - GUTTER) // max(1, len(columns))
    heads = [*(f"{word} {chr(ord('A') + client - 1)}" for client in clients), "background"]
    heading = " " * GUTTER + "".join(head.ljust(cell) for head in heads[: len(columns)]).rstrip()
    lines: list[str] = []
    headed = False
    for number, row in _shortened(rows):
        if row.client != 0 and not headed:
            lines.append(heading)
            headed = True
        before = cell * columns.index(row.client) if row.client in columns else 0
        room = cell - 2 if row.client in columns else width - GUTTER
        lines += _cell(number, row.text, before=before, room=room)
    return lines


def _shortened(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    numbered = [(f"{number:>3}", row) for number, row in enumerate(rows, start=1)]
    if len(rows) <= ROWS:
        return numbered
    gone = Row(0, f"… {len(rows) - ROWS} rows left out …")
    return [*numbered[: ROWS // 2], ("", gone), *numbered[-(ROWS // 2) :]]


def _cell(number: str, text: str, *, before: int, room: int) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()))
    wrapped = textwrap.wrap(text.strip(), room, initial_indent=indent, subsequent_indent=f"{indent}    ")
    margins = [number.ljust(GUTTER), *[" " * GUTTER] * len(wrapped)]
    return [f"{margin}{' ' * before}{line}" for margin, line in zip(margins, wrapped, strict=False)]
