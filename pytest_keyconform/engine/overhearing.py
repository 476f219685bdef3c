"""Hearing what a backend says of its keys: logged, warned of, printed, and shown by its objects."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import sys
import traceback
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Final

from pytest_keyconform.adapters.raised import top_of
from pytest_keyconform.history import Noise, NoiseKind

if TYPE_CHECKING:
    import warnings
    from collections.abc import Iterable, Iterator

    from pytest_keyconform.adapters.keys import Keyring

MOST: Final = 5000  # objects that are looked at
OVERVIEWS: Final = ("state", "health", "usage")  # operations whose answers hand no key out
LONGEST: Final = 160  # characters of what is told
_PASSED_OVER: Final = (ModuleType, FunctionType, MethodType, type)
_USUAL: Final = frozenset((*vars(logging.makeLogRecord({})), "message", "asctime"))


class Overhearing:
    """Listens while its block lasts; ``heard`` is what was said that shows a key, or too much of one."""

    def __init__(self, keyring: Keyring, modules: Iterable[ModuleType]) -> None:
        """Listen for the keys of this ring; ``modules`` are those of the backend."""
        found = list(modules)
        self._keyring = keyring
        self._packages = frozenset(top_of(module.__name__) for module in found)
        self._files = frozenset(str(getattr(module, "__file__", None)) for module in found)
        self.heard: list[Noise] = []
        self.warnings = 0  # log records from WARNING on

    def hear(self, text: str, where: str, whole: NoiseKind) -> None:
        """Keep a text if it shows a key: ``whole`` is the kind of one that shows all of it."""
        shown = self._keyring.exposed(text)
        if not shown:
            return
        kind = whole if shown == "whole" else NoiseKind.HINTED
        plain = " ".join(self._keyring.redact(text).split())
        self.heard.append(Noise(kind, f"{where}: {plain[:LONGEST]}" if kind is whole else where))

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Listen at every level to every logger that hands on, and to what is printed."""
        root, listener = logging.getLogger(), _Listener(self)
        level, disabled = root.level, root.manager.disable
        said = io.StringIO()
        root.addHandler(listener)
        root.setLevel(1)
        logging.disable(logging.NOTSET)
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                yield
        finally:
            root.removeHandler(listener)
            root.setLevel(level)
            logging.disable(disabled)
            for line in said.getvalue().splitlines():
                self.hear(line, "printed", NoiseKind.LOGGED)

    def warned(self, warning: warnings.WarningMessage) -> None:
        """Be told of a warning; one that a form is old has its own category, and the place of who called it."""
        self.hear(str(warning.message), "a warning", NoiseKind.LOGGED)
        old = issubclass(warning.category, DeprecationWarning | PendingDeprecationWarning | FutureWarning)
        own = str(warning.filename) in self._files
        if old and (own or warning.category is not DeprecationWarning):
            place = "a line of its own" if own else "the caller's line"
            self.heard.append(Noise(NoiseKind.WARNED, f"{warning.category.__name__} at {place}"))

    def of_a_library(self, logger: str) -> bool:
        """Tell whether a logger bears the name of an installed package that is none of the backend's."""
        top = top_of(logger)
        where = str(getattr(sys.modules.get(top), "__file__", None) or "")
        return top not in self._packages and ("-packages" in where or top in sys.stdlib_module_names)

    def look(self, manager: object, packages: frozenset[str]) -> None:
        """Let every object of the backend's own classes that can be reached from a manager show itself."""
        seen: set[int] = set()
        waiting: list[object] = [manager]
        while waiting and len(seen) < MOST:
            found = waiting.pop()
            if id(found) in seen or isinstance(found, _PASSED_OVER):
                continue
            seen.add(id(found))
            waiting += gc.get_referents(found)
            if top_of(type(found).__module__) in packages:
                self.hear(_shown(found), f"the repr of a {type(found).__name__}", NoiseKind.SHOWN)

    def told(self, what: object, operation: str) -> None:
        """Be told of what a call answered or raised: an overview may show a little of a key, an error likewise."""
        if isinstance(what, BaseException):
            self._caught(what)
        elif operation in OVERVIEWS and self._keyring.exposed(text := _shown(what)) == "part":
            self.hear(text, f"an answer of {operation}", NoiseKind.SHOWN)

    def _caught(self, error: BaseException) -> None:
        """Hear an error that a caller sees: its message, its notes, and those of its causes."""
        seen: list[BaseException] = []
        waiting: list[BaseException | None] = [error]
        while waiting:
            one = waiting.pop()
            if one is None or any(one is other for other in seen):
                continue
            seen.append(one)
            said = [*map(str, getattr(one, "__notes__", ())), _shown(one)]
            self.hear(" ".join(said), f"a {type(one).__name__} that a call raised", NoiseKind.SHOWN)
            waiting += [one.__cause__, one.__context__]


def _shown(value: object) -> str:
    texts = []
    for show in (repr, str):
        with contextlib.suppress(Exception):  # what cannot be shown shows nothing
            texts.append(show(value))
    return " ".join(texts)


class _Listener(logging.Handler):
    """Hears log records."""

    def __init__(self, overhearing: Overhearing) -> None:
        super().__init__(level=1)
        self._overhearing = overhearing

    def createLock(self) -> None:  # noqa: N802 - its name in logging
        """Need none: one call of a backend runs at a time."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Hear a record, without the lock that there is none of."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Hear the message, the fields that were added, and the traceback; not what libraries say to those who ask."""
        library, grave = self._overhearing.of_a_library(record.name), record.levelno >= logging.WARNING
        self._overhearing.warnings += grave and not library
        if library and not grave:
            return
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a record that cannot be formatted is never written
            return
        added = (str(value) for name, value in vars(record).items() if name not in _USUAL)
        trace = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        where = f"{record.levelname} record of {record.name}"
        self._overhearing.hear(" ".join((text, *added, trace)), where, NoiseKind.LOGGED)
