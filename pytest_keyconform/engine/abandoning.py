"""What a backend leaves behind where it is given up: threads, connections, and what is said of them."""

from __future__ import annotations

import gc
import sys
import threading
import warnings
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_start: Final = threading.Thread.start
_started: Final[weakref.WeakSet[threading.Thread]] = weakref.WeakSet()


def threads_left() -> bool:
    """Tell whether a thread is alive that a backend started, in whatever execution."""
    return any(thread.is_alive() for thread in _started)


class Abandoning:
    """Lets a backend leave things behind: its threads end with the process, its connections without a word.

    A manager whose call is cancelled or never answers may leave a thread that waits for ever (aiosqlite has one for
    each connection); the interpreter would wait for it at its exit. What is left open is the backend's own matter,
    unless a rule asks for it. A context manager, to be entered again and again.
    """

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._left = False  # whether anything may have been left

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", ResourceWarning)
            stack.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
            sys.unraisablehook = lambda _trouble: None
            stack.callback(setattr, threading.Thread, "start", threading.Thread.start)
            threading.Thread.start = self._starting()  # type: ignore[assignment, method-assign] # taken back on exit
            stack.callback(self._collect)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._left |= error != (None, None, None)
        self._undo.close()

    def _starting(self) -> Callable[[threading.Thread], None]:
        def start(thread: threading.Thread) -> None:
            self._left = True
            thread._daemonic = True  # type: ignore[attr-defined] # noqa: SLF001 - the property refuses it for some kinds
            _started.add(thread)
            _start(thread)

        return start

    def _collect(self) -> None:
        """Collect what was left, while nobody hears what it says."""
        if self._left:
            gc.collect()
