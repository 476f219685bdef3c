"""What a run reached of a backend, as figures by file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_keyconform.engine.measuring import made, scratch
from pytest_keyconform.report import Coverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import coverage


def figures(measured: Iterable[bytes], packages: Sequence[str]) -> dict[str, Coverage]:
    """Answer lines and branches by file, relative to the working directory; ``measured`` is as `Gauge.data` has it."""
    whole = made(packages)
    data = whole.get_data()
    tops = {package.partition(".")[0] for package in packages}
    try:
        for told in measured:
            with scratch() as there:
                there.loads(told)
                data.update(there)
        names = sorted(data.measured_files())
        return {_told(Path(name), tops): one for name in names if (one := _figures(whole, name)) is not None}
    finally:
        data.close(force=True)


def _figures(whole: coverage.Coverage, name: str) -> Coverage | None:
    """Answer the figures of one file; None where it has nothing to be reached, or is gone."""
    import coverage

    try:
        _, statements, _, missing, told = whole.analysis2(name)
    except coverage.exceptions.CoverageException:
        return None
    ways = whole.branch_stats(name)
    branches, taken = sum(total for total, _ in ways.values()), sum(some for _, some in ways.values())
    every, reached = len(statements) + branches, len(statements) - len(missing) + taken
    if not every:
        return None
    halves = (f"{line} ({some} of {total} ways)" for line, (total, some) in sorted(ways.items()) if 0 < some < total)
    return Coverage(
        lines=len(statements),
        reached=len(statements) - len(missing),
        branches=branches,
        taken=taken,
        percent=round(100 * reached / every, 1),
        missing=(*filter(None, told.split(", ")), *halves),
    )


def _told(path: Path, tops: set[str]) -> str:
    """Answer a file relative to the working directory; elsewhere relative to the folder that its package is in."""
    here = Path.cwd()
    if path.is_relative_to(here):
        return path.relative_to(here).as_posix()
    home = next((folder.parent for folder in path.parents if folder.name in tops), path.parent)
    return path.relative_to(home).as_posix()
