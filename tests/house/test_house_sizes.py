"""The sizes and docstrings that no linter rule holds."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "pytest_keyconform", ROOT / "reference_impl")
CATALOGUE = ROOT / "pytest_keyconform" / "catalogue"
FILE_LINES, CATALOGUE_FILE_LINES, FUNCTION_LINES = 300, 400, 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: Path, pattern: str = "*.py") -> Iterator[tuple[Path, str]]:
    """Each module below the folders, with its source."""
    for folder in folders:
        for path in sorted(folder.rglob(pattern)):
            yield path, path.read_text(encoding="utf-8")


def functions(source: str) -> Iterator[Function]:
    """Each function of a module, nested ones and methods too."""
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))


def length(function: Function) -> int:
    """Lines of a function besides its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


def test_files_are_short():
    """A file of the packages ends at 300 lines, one of the catalogue at 400."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path, source in modules(*PACKAGES)
        if (lines := len(source.splitlines()))
        > (CATALOGUE_FILE_LINES if path.is_relative_to(CATALOGUE) else FILE_LINES)
    }
    assert not long


def test_functions_are_short():
    """A function of the packages ends at 40 lines besides its docstring."""
    long = {
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}": lines
        for path, source in modules(*PACKAGES)
        for function in functions(source)
        if (lines := length(function)) > FUNCTION_LINES
    }
    assert not long


def test_every_test_states_its_promise():
    """Every test function has a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"
        for path, source in modules(ROOT / "tests", pattern="test_*.py")
        for function in functions(source)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]
    assert not silent


def test_the_packages_are_found():
    """The measures are taken of something: both packages and the tests are where they are looked for."""
    assert all(list(modules(folder)) for folder in (*PACKAGES, ROOT / "tests"))
