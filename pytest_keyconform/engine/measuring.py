"""Which lines and branches of a backend the workloads reach: measured by coverage, beside whatever else it measures.

Another coverage that runs in the same process (pytest-cov, `coverage run`) pauses meanwhile, and is given its share of
what was measured afterwards, so that its figures are what they would have been.
"""

from __future__ import annotations

import inspect
import os
import sys
import warnings
import weakref
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coverage import Coverage, CoverageData

# What coverage would warn of is said by the gate, or is so by design.
_SILENT: Final = (
    *("module-not-imported", "module-not-measured", "module-not-python", "already-imported", "no-data-collected"),
    *("trace-changed", "couldnt-parse", "no-sysmon", "no-sysmon-context", "include-ignored", "fork"),
)
RESUMED: Final = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_entered: Final[list[Gauge]] = []


class Gauge:
    """Measures packages while it is entered, which it may be again and again; all that was seen adds up.

    ``arcs`` are steps from line to line that others saw, where a tracer of theirs stood in coverage's place. ``folder``
    is where other processes leave what they measured; None: they measure nothing.
    """

    def __init__(self, packages: Sequence[str], folder: Path | None = None) -> None:
        """Measure these packages or modules, by their dotted names."""
        self.packages = tuple(packages)
        self.arcs: dict[str, set[tuple[int, int]]] = {}
        self.folder = folder
        self._coverage: Coverage | None = None
        self._before = frozenset[str]()

    def __enter__(self) -> Self:
        """Begin, or go on."""
        if self._coverage is None:
            self._before = frozenset(sys.modules)
            self._coverage = made(self.packages, beside=running())
            weakref.finalize(self, self._coverage.get_data().close, force=True)
        _entered.append(self)
        self._coverage.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Pause, and give another coverage its share."""
        if self._coverage is not None:
            self._coverage.stop()
        _entered.remove(self)
        other, found = running(), self._whole()
        if other is not None and found is not None:
            _share(found, other, _files(self.packages))

    def data(self) -> bytes:
        """Answer what was measured of the packages so far, as coverage writes it."""
        found, mine = self._whole(), frozenset(_files(self.packages))
        with scratch() as kept:
            if found is not None:
                kept.add_arcs({name: found.arcs(name) or [] for name in found.measured_files() if name in mine})
            kept.touch_files(sorted(mine - kept.measured_files()))
            return kept.dumps()

    def _whole(self) -> CoverageData | None:
        """Put together what was measured here, by tracers of others, in other processes, and at import before."""
        if self._coverage is None:
            return None
        data = self._coverage.get_data()
        mine = frozenset(_files(self.packages))
        data.add_arcs({name: arcs for name, arcs in self.arcs.items() if name in mine})
        for path in () if self.folder is None else self.folder.iterdir():
            with suppress(Exception):  # of a process that was killed while it wrote
                there = type(data)(basename=str(path))
                there.read()
                data.update(there)
                there.erase()
        data.add_arcs(dict(_imported(self.packages, self._before)))
        return data


def gauge() -> Gauge | None:
    """Answer what measures in this process; None where nothing does."""
    return _entered[-1] if _entered else None


def made(packages: Sequence[str], *, beside: Coverage | None = None, folder: Path | None = None) -> Coverage:
    """Make a coverage of these packages, with the exclusions that the user configured for others.

    ``beside`` is one that is to have its share; in ``folder`` it leaves its data, which else are kept in memory.
    """
    import coverage

    name = None if folder is None else str(folder / "measured")
    suffix = None if folder is None else True
    new = coverage.Coverage(data_file=name, data_suffix=suffix, branch=True, messages=False, check_preimported=False)
    sources, modules = ([], []) if beside is None else (_option(beside, "source"), _option(beside, "source_pkgs"))
    everything = beside is not None and not sources and not modules
    new.set_option("run:source", sources)
    new.set_option("run:source_pkgs", [] if everything else [*modules, *packages])
    new.set_option("run:include", [])
    new.set_option("run:disable_warnings", list(_SILENT))
    for name in ("patch", "dynamic_context", "context", "debug", "sigterm"):
        new.set_option(f"run:{name}", [] if name in {"patch", "debug"} else None)
    if "multiprocessing" in _option(new, "concurrency"):
        new.set_option("run:concurrency", ["thread"])
    return new


def _option(of: Coverage, name: str) -> list[str]:
    value: Any = of.get_option(f"run:{name}")
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else []


def running() -> Coverage | None:
    """Answer another coverage that measures in this process; coverage is not imported to find out."""
    coverage = sys.modules.get("coverage")
    return None if coverage is None else coverage.Coverage.current()


@contextmanager
def scratch() -> Iterator[CoverageData]:
    """Lend data that are kept in memory, whose database is closed afterwards."""
    from coverage import CoverageData

    data = CoverageData(no_disk=True)
    try:
        yield data
    finally:
        data.close(force=True)


def _share(found: CoverageData, other: Coverage, mine: Iterable[str]) -> None:
    """Give another coverage what it would have measured itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has seen nothing yet
        theirs = other.get_data()
    own = frozenset(mine)
    kept = [name for name in found.measured_files() if name not in own or _is_wanted(name, other)]
    with scratch() as share:
        if other.get_option("run:branch"):
            share.add_arcs({name: found.arcs(name) or [] for name in kept})
        else:
            share.add_lines({name: found.lines(name) or [] for name in kept})
        if share:
            theirs.update(share)


def _is_wanted(name: str, other: Coverage) -> bool:
    """Tell whether a file of our packages is one that the other coverage was asked for too."""
    sources, packages = _option(other, "source"), _option(other, "source_pkgs")
    folders = [str(Path(source).resolve()) for source in sources if Path(source).is_dir()]
    modules = [*packages, *(source for source in sources if not Path(source).is_dir())]
    below = any(Path(name).is_relative_to(folder) for folder in folders)
    return not (sources or packages) or below or name in _files(modules)


def _files(packages: Iterable[str]) -> list[str]:
    """Answer the files of packages that are imported, those of their modules that nobody imported too."""
    found: list[str] = []
    for package in packages:
        module = sys.modules.get(package)
        file = getattr(module, "__file__", None)
        found += [str(Path(file).resolve())] if isinstance(file, str) and file.endswith(".py") else []
        for folder in getattr(module, "__path__", ()):
            found += [str(path.resolve()) for path in sorted(Path(folder).rglob("*.py"))]
    return list(dict.fromkeys(found))


def _imported(packages: Sequence[str], before: frozenset[str]) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Yield for each file of ours that was imported before it could be measured the steps that its import took."""
    for name in before:
        if any(name == one or name.startswith(f"{one}.") for one in packages):
            file = getattr(sys.modules.get(name), "__file__", None)
            if isinstance(file, str) and file.endswith(".py"):
                yield str(Path(file).resolve()), list(_import_of(file))


def _import_of(file: str) -> Iterator[tuple[int, int]]:
    with suppress(OSError, SyntaxError, ValueError):
        code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        for body in _bodies(code):
            lines = sorted({line for _, _, line in body.co_lines() if line})
            yield from pairwise([-body.co_firstlineno, *lines, -body.co_firstlineno])


def _bodies(code: CodeType) -> Iterator[CodeType]:
    """Yield a module and its classes: what runs at import."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType) and not const.co_flags & inspect.CO_OPTIMIZED:
            yield from _bodies(const)


class Stepping:
    """Follows one frame from line to line, for a `Gauge`, where another tracer stands in coverage's place."""

    def __init__(self, gauge: Gauge, code: CodeType, line: int, *, begins: bool) -> None:
        """Follow the code from ``line`` on; ``begins`` tells that it is called, and not gone on with."""
        self._arcs = gauge.arcs.setdefault(os.path.realpath(code.co_filename), set())
        self._code = code
        self._last = -code.co_firstlineno if begins else line

    def line(self, number: int) -> None:
        """Go on to a line."""
        self._arcs.add((self._last, number))
        self._last = number

    def back(self) -> None:
        """Return; a generator may only give its turn away."""
        if not self._code.co_flags & RESUMED:
            self._arcs.add((self._last, -self._code.co_firstlineno))
