"""Putting controlled locks and threads in the place of the real ones, wherever a backend holds them, and back."""

from __future__ import annotations

import _thread
import concurrent.futures.thread
import importlib
import logging
import os
import queue
import threading
from contextlib import ExitStack, contextmanager
from types import BuiltinMethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from pytest_keyconform.engine.clock import real_monotonic
from pytest_keyconform.engine.rebinding import Rebinder
from pytest_keyconform.engine.threads import starting
from pytest_keyconform.engine.threads.primitives import ControlledLock, ControlledRLock, made_lock, made_rlock
from pytest_keyconform.engine.threads.turns import AnotherStep, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None
_real_flock: Any = None if fcntl is None else fcntl.flock
_RealLock: Final = type(_thread.allocate_lock())
_RealRLock: Final = type(_thread.RLock())
_MADE_OF_LOCKS: Final = ("threading", "queue", "concurrent.futures.thread", "concurrent.futures._base")
_MAKERS: Final[dict[int, Callable[..., object]]] = {
    id(_thread.allocate_lock): made_lock,
    id(threading.Lock): made_lock,
    id(_thread.RLock): made_rlock,
    id(threading.RLock): made_rlock,
    id(queue.SimpleQueue): queue._PySimpleQueue,  # type: ignore[attr-defined] # noqa: SLF001 - C's knows no turns
}


class _Replacing:
    """Answers what stands for a real lock, the same for the same one: a condition and its queue share theirs."""

    def __init__(self) -> None:
        self._locks: dict[int, tuple[object, object]] = {}

    def __call__(self, value: object) -> object:
        if isinstance(value, (_RealLock, _RealRLock)):
            return self._lock(value)
        if isinstance(value, BuiltinMethodType) and isinstance(value.__self__, (_RealLock, _RealRLock)):
            return getattr(self._lock(value.__self__), value.__name__)
        return _MAKERS.get(id(value), value)

    def _lock(self, real: object) -> Any:  # noqa: ANN401 - a lock of one kind or the other
        known = self._locks.get(id(real))
        if known is None:
            made: object = ControlledRLock() if isinstance(real, _RealRLock) else ControlledLock()
            known = self._locks[id(real)] = (real, made)
        return known[1]


@contextmanager
def controlled(modules: Iterable[ModuleType]) -> Iterator[None]:
    """Replace locks and threads, while inside, for what is made there and for what these modules hold already."""
    with ExitStack() as stack:
        replacing = _Replacing()
        put = _Putting(stack)
        put(threading, "Lock", made_lock)
        put(threading, "RLock", made_rlock)
        put(threading, "_allocate_lock", made_lock)
        put(_thread, "allocate_lock", made_lock)
        put(_thread, "RLock", made_rlock)
        put(queue, "SimpleQueue", _MAKERS[id(_RealSimpleQueue)])
        put(threading, "_time", _monotonic)
        put(queue, "time", _monotonic)
        put(concurrent.futures._base, "time", SimpleNamespace(monotonic=_monotonic))  # noqa: SLF001 - where it is kept
        if fcntl is not None:
            put(fcntl, "flock", _flock)
        put(threading.Thread, "start", starting.start)
        put(threading.Thread, "join", starting.join)
        put(threading.Thread, "is_alive", starting.is_alive)
        put(concurrent.futures.thread, "_global_shutdown_lock", ControlledLock())
        put(logging, "_lock", ControlledRLock())
        for reference in list(logging._handlerList):  # type: ignore[attr-defined] # noqa: SLF001 - logging has no other
            handler = reference() if callable(reference) else reference
            if handler is not None and getattr(handler, "lock", None) is not None:
                put(handler, "lock", ControlledRLock())
        Rebinder(stack, replacing, inside=_MADE_OF_LOCKS).rebind(modules)
        yield


_RealSimpleQueue: Final = queue.SimpleQueue


def _flock(descriptor: Any, operation: int) -> None:  # noqa: ANN401 - a file or its number
    """Stand for `fcntl.flock`: who would wait in the kernel gives its turn away, and tries again."""
    while running and running[-1].mine() and not operation & fcntl.LOCK_NB and not operation & fcntl.LOCK_UN:
        try:
            _real_flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            running[-1].wait(AnotherStep(running[-1]))
        else:
            return
    _real_flock(descriptor, operation)


def _monotonic() -> float:
    """Answer the seconds that time-outs are reckoned by: virtual ones for threads under control."""
    return running[-1].clock.monotonic() if running and running[-1].mine() else real_monotonic()


class _Putting:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, owner: object, name: str, value: object) -> None:
        self._stack.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)
