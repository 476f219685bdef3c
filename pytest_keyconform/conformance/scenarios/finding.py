"""Where scenario files are: those of the user, and the shipped ones, packaged first and in the checkout second."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_keyconform
from pytest_keyconform.errors import ScenarioError
from pytest_keyconform.spec.places import BUILTIN
from pytest_keyconform.spec.scenario.parts import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIXES = (".yaml", ".yml")


def shipped() -> Path:
    """Answer the folder of the files that come with this package."""
    package = Path(pytest_keyconform.__file__).parent
    folders = (package / "scenarios", package.parent / "scenarios")
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def found(paths: Iterable[str], *, said: str) -> dict[str, Path]:
    """Answer the files by their names, in the order of the paths; raises `ScenarioError` where there is none.

    A path is a file, a folder, or ``builtin``, also with a folder or a file of those that are shipped behind it.
    """
    files: dict[str, Path] = {}
    for text in paths:
        for name, path in _named(text, said):
            if files.setdefault(name, path).resolve() != path.resolve():
                raise ScenarioError(
                    f"{said}: expected each name once, found {name!r} as {files[name]} and {path}; rename one of them"
                )
    return files


def _named(text: str, said: str) -> Iterator[tuple[str, Path]]:
    path, root = _place(text)
    if path.is_file():
        yield _name(path, root), path
        return
    files = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES and one.is_file()) if path.is_dir() else []
    if not files:
        what = "a folder without one" if path.is_dir() else "nothing there"
        raise ScenarioError(
            f"{said}: expected a scenario file, a folder of {' and '.join(SUFFIXES)} files, or {BUILTIN}, "
            f"found {what}: {text}{_hint(text)}"
        )
    for file in files:
        yield _name(file, path if root is None else root), file


def _place(text: str) -> tuple[Path, Path | None]:
    """Answer the path that is meant, and where names begin; None: at the folder of a file."""
    parts = Path(text).parts
    if parts[:1] == (BUILTIN,):
        path = shipped().joinpath(*parts[1:])
        by_name = next((file for suffix in SUFFIXES if (file := path.with_name(path.name + suffix)).is_file()), None)
        return by_name or path, shipped()
    return Path(text), None


def _name(path: Path, root: Path | None) -> str:
    """Answer what a file is called: its folder and its name, from the root on, without what ids are made of."""
    inside = path.with_suffix("").relative_to(path.parent if root is None else root)
    whole = inside if len(inside.parts) > 1 else Path(path.resolve().parent.name, inside)
    return re.sub(r"[:\[\]\s]+", "-", whole.as_posix())


def _hint(text: str) -> str:
    if not text.startswith(BUILTIN):
        return ""
    files = [path.relative_to(shipped()).with_suffix("") for path in shipped().rglob("*.yaml")]
    return nearest(text, [f"{BUILTIN}/{file.as_posix()}" for file in files])
