"""What a backend raised: whether a caller can have agreed to it, its place, and a message without keys."""

from __future__ import annotations

import asyncio
import functools
import re
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from pytest_keyconform.adapters.base import Adapter
from pytest_keyconform.operation import Raised

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pytest_keyconform.spec.policies import Policies

HARNESS: Final = "pytest_keyconform"
_LONGEST: Final = 200
_NOT_ITS_OWN: Final = sys.stdlib_module_names | {HARNESS, "builtins", "pydantic", "pydantic_core"}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Which errors of a backend are typed: those it declares and those of its own packages."""

    policies: Policies
    packages: frozenset[str]

    def is_typed(self, error: BaseException, *, bad_input: bool) -> bool:
        """Tell whether a caller can have agreed to this error (catalogue: *Typed error*)."""
        kind = type(error)
        if self._declared(error) or top_of(kind.__module__) in self.packages:
            return True
        if isinstance(error, OSError):  # TimeoutError and ConnectionError too, but none that a library derives
            return top_of(kind.__module__) in sys.stdlib_module_names
        return bad_input and kind in (TypeError, ValueError)

    def _declared(self, error: BaseException) -> bool:
        for declared in self.policies.errors:
            if isinstance(declared, type):
                if isinstance(error, declared):
                    return True
            elif type(error).__name__ == declared[0] and re.search(declared[1], message_of(error)):
                return True
        return False


def raised(error: BaseException, agreement: Agreement, redact: Callable[[str], str], *, bad_input: bool) -> Raised:
    """Answer the record of an error: its class, a message without keys, whether it is typed, its place."""
    message = " ".join(redact(message_of(error)).split())
    return Raised(
        kind=type(error).__name__,
        message=message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…",
        typed=agreement.is_typed(error, bad_input=bad_input),
        where=place_of(error, agreement.packages),
    )


def message_of(error: BaseException) -> str:
    """Answer an error's message, also where making it fails."""
    try:
        return str(error)
    except Exception as second:  # noqa: BLE001 - a backend's __str__ may raise anything
        return f"<its message raised {type(second).__name__}>"


def is_harness(error: BaseException) -> bool:
    """Tell whether an error is the harness' own, which no backend is to be blamed for."""
    return isinstance(error, KeyboardInterrupt) or top_of(type(error).__module__) == HARNESS


def packages_of(manager: object, module: object = None) -> frozenset[str]:
    """Answer the top-level packages that a backend is made of.

    Those of its class, and of the module of its factory; for an `Adapter` those of what it wraps, too.
    """
    wrapped = list(vars(manager).values()) if isinstance(manager, Adapter) else []
    owner = manager if isinstance(manager, type) else type(manager)
    homes = map(_home, (manager, *owner.__mro__, *wrapped, module))
    return frozenset(map(top_of, homes)) - _NOT_ITS_OWN - {""}


def place_of(error: BaseException, packages: frozenset[str] = frozenset()) -> str:
    """Answer ``file:line`` of the innermost frame of the backend, else of a library, else "".

    Paths are relative to the working directory, or to the site-packages folder.
    """
    found: dict[bool, str] = {}
    trace = error.__traceback__
    while trace is not None:
        top = top_of(str(trace.tb_frame.f_globals.get("__name__", "")))
        if top not in sys.stdlib_module_names and top != HARNESS and not _is_frozen(trace.tb_frame):
            found[top in packages] = f"{short(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        return f"{short(error.filename)}:{error.lineno or 0}"
    return found.get(True) or found.get(False, "")


def top_of(module: object) -> str:
    """Answer the top-level package of a module's name."""
    return str(module).partition(".")[0]


def _home(value: object) -> str:
    return value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", None) or "")


def _is_frozen(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<")


def short(filename: str) -> str:
    """Answer a path relative to the working directory or to the site-packages folder, where it is below one."""
    path = Path(filename)
    base = next((base for base in (Path.cwd(), *_installed()) if path.is_relative_to(base)), None)
    return str(path if base is None else path.relative_to(base))


@functools.cache  # asked for each error that a backend raises, and slow
def _installed() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    return Path(paths["purelib"]), Path(paths["platlib"])


def is_cancellation(error: object) -> bool:
    """Tell whether a task was cancelled so, in asyncio or in trio."""
    kind = type(error)
    return isinstance(error, asyncio.CancelledError) or (
        kind.__name__ == "Cancelled" and top_of(kind.__module__) == "trio"
    )


def cancelled_from_outside(error: BaseException) -> bool:
    """Tell whether a call was ended by a cancellation that did not come from within it."""
    if not isinstance(error, asyncio.CancelledError):
        return is_cancellation(error)  # trio keeps what comes from within inside its own scope
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop: nobody could have cancelled
        return False
    return task is not None and task.cancelling() > 0
