"""OS threads that are kept from one execution to the next: making one takes longer than a small execution."""

from __future__ import annotations

import _thread
import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_allocate_lock = _thread.allocate_lock
_start_new_thread = _thread.start_new_thread
_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)
MOST = 32  # that are kept


class Worker:
    """An OS thread that does one job after the other. ``prepare`` and ``tidy`` surround each."""

    def __init__(self) -> None:
        self._work = _allocate_lock()
        self._work.acquire()
        self._job: Callable[[], None] | None = None
        _start_new_thread(self._loop, ())

    def do(self, job: Callable[[], None]) -> None:
        """Begin a job."""
        self._job = job
        self._work.release()

    def _loop(self) -> None:
        while True:
            self._work.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            with suppress(BaseException):  # an interruption that came late: the job has told what it had to
                job()
            if len(_idle) >= MOST:
                return
            del job
            _idle.append(self)


_idle: list[Worker] = []


def hire(job: Callable[[], None]) -> Worker:
    """Do a job in a thread of its own."""
    worker = _idle.pop() if _idle else Worker()
    worker.do(job)
    return worker


def dismiss() -> None:
    """End the threads that have nothing to do."""
    while _idle:
        _idle.pop()._work.release()  # noqa: SLF001 - of this module's own


def interrupt(ident: int, error: type[BaseException]) -> None:
    """Raise an error in a thread, at its next instruction; nothing ends a wait in C."""
    _set_async_exc(ident, error)
