"""What a planted bug is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from managers.filed import FileManager
from managers.kept import KeptManager
from managers.rich import RichManager
from managers.stored import AsyncSqliteManager, SqliteManager
from managers.threaded import ThreadedManager

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Mutant:
    """A manager with one planted bug, and the id that has to catch it. ``note`` says what is wrong."""

    id: str
    name: str
    base: Literal["rich", "poor", "sqlite", "async-sqlite", "file", "kept", "threads"]
    factory: Callable[..., object]
    note: str

    @property
    def target(self):
        """The target string of its factory."""
        return f"{self.factory.__module__}:{self.factory.__name__}"


def planted(id, factory):
    """Answer the mutant of a class: its base is that of the class, its note the first line of the docstring."""
    bases = {
        KeptManager: "kept",
        RichManager: "rich",
        AsyncSqliteManager: "async-sqlite",
        SqliteManager: "sqlite",
        FileManager: "file",
        ThreadedManager: "threads",
    }
    base = next((base for kind, base in bases.items() if issubclass(factory, kind)), "poor")
    return Mutant(id, factory.__name__, base, factory, factory.__doc__.strip().splitlines()[0])
