"""The commands about files of earlier runs: waive a deviation, compare two reports, join several."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

DONE, WORSE = 0, 1


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add them to those of the command line."""
    waive = commands.add_parser("waive", help="accept a deviation for a while")
    waive.add_argument("id", metavar="ID", help="such as ACQ01")
    waive.add_argument("--reason", required=True, help="why it is accepted, in 15 characters or more")
    waive.add_argument("--owner", required=True, help="who answers for it")
    waive.add_argument("--days", type=int, default=90, help="how long, at most 180 (default: 90)")
    waive.add_argument("--target", metavar="NAME", help="for this target alone")
    waive.add_argument("--signature", metavar="TEXT", help="for this violation alone, as a report has it")
    waive.add_argument("--waivers", metavar="PATH", help="the file (default: keyconform-waivers.toml)")
    waive.set_defaults(run=_waive)
    diff = commands.add_parser(
        "diff", help="compare two JSON reports", description="Exit: 0, or 1 if B is worse than A."
    )
    diff.add_argument("earlier", metavar="A", help="the earlier report")
    diff.add_argument("later", metavar="B", help="the later report")
    diff.set_defaults(run=_diff)
    merge = commands.add_parser("merge", help="join the JSON reports of a run that was split")
    merge.add_argument("shards", nargs="+", metavar="REPORT", help="a JSON report of a part of the catalogue")
    merge.add_argument(
        "--report", action="append", required=True, metavar="FORMAT:PATH", help="where to write the whole"
    )
    merge.add_argument("--level", choices=["must", "should"], default="must", help="what counts (default: must)")
    merge.set_defaults(run=_merge)


def _waive(asked: argparse.Namespace) -> int:
    from pytest_keyconform.bookkeeping import waive
    from pytest_keyconform.spec.settings import WAIVERS

    print(waive(asked, root_folder() / WAIVERS if asked.waivers is None else Path(asked.waivers)))
    return DONE


def _diff(asked: argparse.Namespace) -> int:
    from pytest_keyconform.comparison import compare
    from pytest_keyconform.render.telling import visible
    from pytest_keyconform.spec.report_schema import read

    found = compare(read(Path(asked.earlier), called="A"), read(Path(asked.later), called="B"))
    print("\n".join(map(visible, found.lines())) or "nothing changed")
    return WORSE if found.worse else DONE


def _merge(asked: argparse.Namespace) -> int:
    from pytest_keyconform.bookkeeping import merge
    from pytest_keyconform.render import terminal
    from pytest_keyconform.render.telling import visible

    report, decision = merge(asked.shards, asked.report, asked.level)
    print(terminal.render(report, level=asked.level))
    for line in decision.lines():
        print(visible(line), file=sys.stderr)
    return decision.status()


def root_folder() -> Path:
    """Answer the nearest folder, from here upwards, that settings are read from; here, where there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if _is_root(folder)), here)


def _is_root(folder: Path) -> bool:
    return (folder / "keyconform.toml").is_file() or (folder / "pyproject.toml").is_file()
