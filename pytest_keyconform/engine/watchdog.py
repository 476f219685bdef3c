"""A bound on the real time of a block."""

from __future__ import annotations

import _thread
import ctypes
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self

from pytest_keyconform.engine.clock import real_monotonic

if TYPE_CHECKING:
    from types import CodeType, FrameType, TracebackType

UNINTERRUPTED: set[CodeType] = set()
"""Functions that put things in order after an interruption: one that comes while they run is put off."""

AGAIN = 0.2  # seconds: a backend may swallow the first interruption

_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)


class _Drained(BaseException):
    """Takes the place of what was to be raised."""


def drain() -> None:
    """Take back what is still to be raised in the calling thread, and the interpreter's mark that something is.

    Taking back alone leaves the mark, also where the thread it was meant for has ended; on 3.11 a thread that is traced
    then never gets beyond the beginning of a function.
    """
    try:
        _set_async_exc(_thread.get_ident(), _Drained)
        for _ in range(1000):  # it is raised at one of the next jumps back
            pass
    except _Drained:
        return


class TimedOut(BaseException):
    """The block took longer than it may. No Exception: a backend must not take it for one of its own."""


class _Guard(Protocol):
    def start(self, seconds: float) -> None: ...
    def stop(self) -> None: ...


class Watchdog:
    """Raises `TimedOut` inside its block after ``seconds`` of real time, and every 0.2 s until it is left.

    In the main thread a signal does it, which also ends waits in C such as a lock's. The handler and the timer
    that were set before are back afterwards, and a timer that is due earlier is heard in its time. Elsewhere a
    thread does it, which cannot end a wait in C, only what follows it. ``fired`` tells whether it happened: the
    exception itself may not come out, since a backend may swallow it. Raises ValueError unless ``seconds`` > 0.
    """

    def __init__(self, seconds: float) -> None:
        if not seconds > 0:
            message = f"a time-out of {seconds} s: expected more than 0"
            raise ValueError(message)
        self.fired = False
        self._seconds = seconds
        self._guard: _Guard | None = None

    def __enter__(self) -> Self:
        self.fired = False
        in_main = threading.get_ident() == threading.main_thread().ident
        # A handler that was not set from Python reads as None and could not be put back.
        usable = in_main and hasattr(signal, "setitimer") and signal.getsignal(signal.SIGALRM) is not None
        self._guard = _Alarm(self) if usable else _Watcher(self)
        self._guard.start(self._seconds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._guard is not None:
            self._guard.stop()
            self._guard = None


class _Alarm:
    """Rings by SIGALRM."""

    def __init__(self, dog: Watchdog) -> None:
        self._dog = dog
        self._deadline = 0.0
        self._handler = signal.getsignal(signal.SIGALRM)
        self._interval = 0.0
        self._due: float | None = None  # when the timer that was set before rings

    def start(self, seconds: float) -> None:
        now = real_monotonic()
        self._deadline = now + seconds
        left, self._interval = signal.getitimer(signal.ITIMER_REAL)
        self._due = now + left if left else None
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, min(seconds, left or seconds), AGAIN)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        if self._due is not None:
            left = max(self._due - real_monotonic(), 0.000_001)  # 0 would switch it off
            signal.setitimer(signal.ITIMER_REAL, left, self._interval)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        if _is_own(frame):  # raising while entering or leaving would leave all of this behind
            return
        now = real_monotonic()
        if self._due is not None and now >= self._due and callable(self._handler):
            self._due = now + self._interval if self._interval else None
            self._handler(number, frame)
        if now >= self._deadline:
            self._dog.fired = True
            raise TimedOut


class _Watcher:
    """Rings by an exception set from a thread. Made of raw locks: those of `threading` may be replaced."""

    def __init__(self, dog: Watchdog) -> None:
        self._dog = dog
        self._watched = _thread.get_ident()
        self._block = sys._getframe(2)  # noqa: SLF001 - the frame of the `with`
        self._left = _thread.allocate_lock()
        self._ended = _thread.allocate_lock()

    def start(self, seconds: float) -> None:
        self._left.acquire()
        self._ended.acquire()
        _thread.start_new_thread(self._watch, (seconds,))

    def stop(self) -> None:
        while True:
            try:
                with suppress(RuntimeError):  # released already
                    self._left.release()
                self._ended.acquire(timeout=1)
                drain()
            except TimedOut:  # it came while leaving
                continue
            return

    def _watch(self, seconds: float) -> None:
        wait = seconds
        try:
            while not self._left.acquire(timeout=wait):
                wait = AGAIN
                frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - the only way to see them
                if not _is_called_by(frame, self._block):
                    return
                if not _is_own(frame):
                    self._dog.fired = True
                    _set_async_exc(self._watched, TimedOut)
        finally:
            self._ended.release()


def _is_called_by(frame: FrameType | None, block: FrameType) -> bool:
    while frame is not None and frame is not block:
        frame = frame.f_back
    return frame is block


def _is_own(frame: FrameType | None) -> bool:
    """Tell whether raising here would leave something of ours, or of Hypothesis' hooks, half done."""
    if frame is None:
        return False
    if frame.f_code in UNINTERRUPTED:
        return True
    return frame.f_code.co_filename == __file__ or str(frame.f_globals.get("__name__")).startswith("hypothesis.")
