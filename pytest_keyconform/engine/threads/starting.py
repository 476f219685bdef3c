"""Threads that a backend starts itself: they take their turns like the clients."""

from __future__ import annotations

import _thread
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pytest_keyconform.engine.threads.standing import AllDone, Controlled
from pytest_keyconform.engine.threads.turns import Turns, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARK: Final = "_keyconform_turn"  # the attribute of a thread that is controlled
_real_start: Final = threading.Thread.start
_real_join: Final = threading.Thread.join
_real_is_alive: Final = threading.Thread.is_alive
entered: list[Callable[[], None]] = []
left: list[Callable[[], None]] = []


def _turns() -> Turns | None:
    return running[-1] if running and running[-1].mine() else None


def start(self: threading.Thread) -> None:
    """Stand for `threading.Thread.start`."""
    turns = _turns()
    if turns is None:
        _real_start(self)
        return
    if MARK in vars(self) or self._started.is_set():  # type: ignore[attr-defined] # of threading's own
        raise RuntimeError("threads can only be started once")
    vars(self)[MARK] = turns.spawn(lambda: _run(self), self.name)
    self._started.set()  # type: ignore[attr-defined] # likewise


@contextmanager
def registered(thread: Any) -> Iterator[None]:  # noqa: ANN401 - a thread, with what threading keeps to itself
    """Make a thread the current one of `threading`, as its own bootstrap does, and put back what was there before.

    Without that `current_thread` makes one up, with locks, unless one is left of an earlier thread of the same number.
    """
    ident = _thread.get_ident()
    active: dict[int, Any] = threading._active  # type: ignore[attr-defined] # noqa: SLF001 - as its own bootstrap does
    before = active.get(ident)
    thread._ident = ident  # noqa: SLF001 - likewise
    thread._started._flag = True  # noqa: SLF001 - likewise, and without its lock
    active[ident] = thread
    try:
        yield
    finally:
        if before is None:
            active.pop(ident, None)
        else:
            active[ident] = before


def _run(thread: Any) -> None:  # noqa: ANN401 - likewise
    with registered(thread):
        for call in entered:
            call()
        try:
            thread.run()
        except Exception:  # noqa: BLE001 - as its own bootstrap does; what ends the execution goes through
            thread._invoke_excepthook(thread)  # noqa: SLF001 - likewise
        finally:
            for call in left:
                call()


def join(self: threading.Thread, timeout: float | None = None) -> None:
    """Stand for `threading.Thread.join`; the time-out is virtual."""
    controlled: Controlled | None = vars(self).get(MARK)
    if controlled is None:
        _real_join(self, timeout)
        return
    turns = _turns()
    if turns is None or turns.ending or controlled.done:
        return
    if controlled is turns.current:
        raise RuntimeError("cannot join current thread")
    turns.wait(AllDone([controlled]), timeout)


def is_alive(self: threading.Thread) -> bool:
    """Stand for `threading.Thread.is_alive`."""
    controlled: Controlled | None = vars(self).get(MARK)
    return _real_is_alive(self) if controlled is None else not controlled.done
