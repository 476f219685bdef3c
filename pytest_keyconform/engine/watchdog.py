"""A bound on the real time of a block."""

from __future__ import annotations

import _thread
import ctypes
import signal
import sys
import threading
from typing import TYPE_CHECKING, Self

from pytest_keyconform.engine.clock import real_monotonic

if TYPE_CHECKING:
    from types import FrameType, TracebackType

AGAIN = 0.2  # seconds: a backend may swallow the first interruption

_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)


class TimedOut(BaseException):
    """The block took longer than it may. No Exception: a backend must not take it for a trouble of its own."""


class Watchdog:
    """Raises `TimedOut` inside its block after ``seconds`` of real time, and every 0.2 s until it is left.

    In the main thread a signal does it, which also ends waits in C such as a lock's; the handler and the timer that
    were set before are back afterwards, and a timer that is due earlier fires in its time. Elsewhere a thread of
    its own does it, which cannot end a wait in C but only what follows it. ``fired`` tells whether it happened: the
    exception itself may not come out, since a backend may swallow it. Raises ValueError unless ``seconds`` > 0.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            message = f"a time-out of {seconds} s: expected more than 0"
            raise ValueError(message)
        self.fired = False
        self._seconds = seconds
        self._guard: _Signal | _Watcher | None = None

    def __enter__(self) -> Self:
        self.fired = False
        by_signal = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
        self._guard = (_Signal if by_signal else _Watcher)(self)
        self._guard.start(self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._guard is not None:
            self._guard.stop()
