"""Whose turn it is: real threads that run one at a time, and stand still wherever a choice can be made."""

from __future__ import annotations

import _thread
import ctypes
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from pytest_keyconform.engine.clock import MICROSECONDS
from pytest_keyconform.engine.threads.standing import BOUNDARY, PAUSE, AllDone, Awaited, Controlled
from pytest_keyconform.engine.watchdog import UNINTERRUPTED, drain

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.search import Chooser

MAIN: Final = 0
PATIENCE: Final = 1.0  # seconds of real time in which a thread that is to end has to reach its end
POINTS_OF_A_SECOND: Final = 8  # that a pause may take: a worker of the backend's may wake up each second
HORIZON: Final = 7200.0  # virtual seconds that may be let pass by itself, waiting, before that is a livelock


running: list[Turns] = []  # of the execution that goes on, the last one; empty between two


class Ended(BaseException):
    """The execution is over: raised in a thread that still stands somewhere. No Exception: it is not to be handled."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why an execution could not go on: ``kind`` is ``deadlock`` or ``livelock``; who stood where.

    ``told`` says for each of these threads, by its number, what it waited for.
    """

    kind: str
    threads: tuple[Controlled, ...]
    told: dict[int, str]


class Turns:
    """The threads of one execution. The one that makes it is thread 0; the others are started by `spawn`.

    ``exploring``: only while it is True is the chooser asked; otherwise the current thread runs until it has to wait.
    ``order`` are those that have not ended, the one that ran longest ago first. ``quiet`` tells that no visible
    instruction ran since the last call came back: only then are calls begun, since beginning one later is the same.
    """

    def __init__(
        self, clock: VirtualClock, chooser: Chooser | None = None, *, preempt: bool = True, max_points: int = 20_000
    ) -> None:
        self.clock = clock
        self.exploring = False
        self.preempt = preempt
        self.standstill: Standstill | None = None
        self.switched: Callable[[Controlled], None] | None = None
        self.overlapped = False
        self.ending = False
        self.points = 0
        self._chooser = chooser
        self._most = max_points
        self._horizon = HORIZON
        main = Controlled(MAIN, "main", _closed(), ident=_thread.get_ident(), daemon=False)
        self.current = main
        self.threads = [main]
        self.order = [main]
        self.quiet = True
        self._starting = False
        self.leaked: list[str] = []

    # -- for the thread whose turn it is ---------------------------------------------------------------------

    def mine(self) -> bool:
        """Tell whether the calling thread is one of these, and not one of the test runner's."""
        return self.current.ident == _thread.get_ident()

    def point(self) -> None:
        """Stand before a visible instruction: somebody else may come first."""
        if self.ending:
            raise Ended
        if not self.exploring:
            return
        self._turn(self.current)
        self.quiet = False

    def begin(self) -> None:
        """Stand before a call."""
        self.quiet = True
        self.current.calls += 1
        self.wait(BOUNDARY)

    def wait(self, awaited: Awaited, seconds: float | None = None) -> bool:
        """Stand until what is awaited lets this thread on; False: ``seconds`` of virtual time are over."""
        if self.ending:
            raise Ended
        me = self.current
        me.awaits, me.expired = awaited, False
        me.deadline = None if seconds is None else self.clock.ticks + max(0, round(seconds * MICROSECONDS))
        try:
            self._turn(me)
        finally:
            me.awaits = me.deadline = None
        if awaited is not BOUNDARY:
            self.quiet = False
        return not me.expired

    def spawn(self, body: Callable[[], None], name: str, *, daemon: bool = True) -> Controlled:
        """Start a thread, which stands before its first call; it begins once it is chosen."""
        thread = Controlled(len(self.threads), name, _closed(), daemon=daemon, awaits=None if daemon else BOUNDARY)
        self.threads.append(thread)
        self.order.append(thread)

        def run() -> None:
            thread.ident = _thread.get_ident()
            sys.settrace(threading.gettrace())  # as the bootstrap of `threading` does: coverage measures here too
            thread.gate.acquire()
            thread.awaits = None
            try:
                if not self.ending:
                    body()
            except Ended:
                pass
            finally:
                self._finish(thread)

        _start_new_thread(run, ())
        return thread

    def start(self, thread: Controlled) -> None:
        """Let a thread run up to its first visible instruction, or its first wait; by the main thread."""
        self._starting = True
        try:
            self._hand(self.current, thread)
        finally:
            self._starting = False

    def advance(self, seconds: float) -> None:
        """Let time pass, and everybody run whose waiting it ends."""
        self.allow(seconds)
        self.wait(PAUSE, seconds)

    def allow(self, seconds: float) -> None:
        """Let so much more time pass before that is a livelock, and workers run in it."""
        self._horizon += seconds
        self._most += POINTS_OF_A_SECOND * int(seconds)

    # -- giving the turn away --------------------------------------------------------------------------------

    def _stop(self, kind: str) -> NoReturn:
        if self.standstill is None:
            waiting = [one for one in self.order if not one.daemon and not isinstance(one.awaits, AllDone)]
            threads = tuple(waiting or self.order)
            told = {one.number: "its turn" if one.awaits is None else one.awaits.told() for one in threads}
            self.standstill = Standstill(kind, threads, told)
        self.ending = True
        raise Ended

    def _turn(self, me: Controlled) -> None:
        """Choose who goes on, and stand still unless it is this one."""
        self.order.remove(me)
        self.order.append(me)
        self.points += 1
        try:
            chosen = self.threads[MAIN] if self._starting else self._choose(me)
        except Ended:
            if me.number != MAIN:  # who unwinds there may take long; the main thread bounds it
                self._hand(me, self.threads[MAIN])
            raise
        if chosen is not me:
            self._hand(me, chosen)
        if self.ending:
            raise Ended

    def _choose(self, me: Controlled | None) -> Controlled:
        if self.points > self._most:
            self._stop("livelock")
        ready = self._ready()
        if len(ready) == 1:
            return ready[0]
        if not self.exploring or self._chooser is None:
            return me if me in ready else ready[0]
        inside = sum(not one.daemon and one.awaits is not BOUNDARY for one in ready)
        self.overlapped = self.overlapped or inside > 1
        # Before anybody's first step it is free to choose who begins: else a schedule would have to spend deviations
        # on letting two calls begin, and have none left for going from one to the other amid it.
        starting = self.preempt and self.quiet
        if starting and me in ready and me.calls > 1:  # who has come first goes on with its next call
            ready.sort(key=lambda one: one is not me)
        current = ready.index(me) if me in ready and not starting else None
        return ready[self._chooser([one.number for one in ready], current)]

    def _ready(self) -> list[Controlled]:
        while True:
            able = [one for one in self.order if one.awaits is None or one.awaits.open_to(one.number)]
            if not self.quiet:
                begun = [one for one in able if one.awaits is not BOUNDARY]
                able = begun or able
            if able:
                return able
            self._pass_time()

    def _pass_time(self) -> None:
        """Let time pass until the first of those that wait so long goes on; raises `Ended` where nobody does."""
        sleeping = [one for one in self.order if one.deadline is not None]
        if not sleeping:
            self._stop("deadlock")
        first = min(sleeping, key=lambda one: one.deadline or 0)
        until = first.deadline or 0
        if until > self._horizon * MICROSECONDS:
            self._stop("livelock")
        self.clock.ticks = max(self.clock.ticks, until)
        first.expired, first.awaits, first.deadline = True, None, None

    def _hand(self, me: Controlled, chosen: Controlled) -> None:
        if self.switched is not None:
            self.switched(me)
        self.current = chosen
        chosen.gate.release()
        me.gate.acquire()

    def _finish(self, thread: Controlled) -> None:
        """End a thread, and give its turn to another one."""
        if thread.done:  # given up: it is nobody's turn any more
            return
        thread.done = True
        self.order.remove(thread)
        self.quiet = self.quiet or not thread.daemon
        chosen = self.threads[MAIN]
        if not self.ending and not self._starting:
            with suppress(Ended):
                chosen = self._choose(None)
        self.current = chosen
        chosen.gate.release()

    # -- the end ---------------------------------------------------------------------------------------------

    def end(self) -> None:
        """End every thread, by the thread that made this; one that does not end in time is named in ``leaked``."""
        self.ending = True
        self.exploring = False
        main = self.threads[MAIN]
        if self.current is not main:  # interrupted while another one has the turn
            self._wrest(self.current, main)
        main.gate.acquire(blocking=False)  # it was opened for a wait that was interrupted
        for thread in [one for one in self.threads[1:] if not one.done]:
            self.current = thread
            thread.gate.release()
            self._wrest(thread, main)
        self.current = main

    def _wrest(self, thread: Controlled, main: Controlled) -> None:
        """Wait until a thread gives the turn back, interrupting it once if need be."""
        if main.gate.acquire(timeout=PATIENCE):
            return
        _set_async_exc(thread.ident, Ended)
        if not main.gate.acquire(timeout=PATIENCE):
            self.leaked.append(thread.name)
            thread.done = True
            if thread in self.order:
                self.order.remove(thread)
        drain()


class AnotherStep:
    """Waits until another thread has made a step: for what only a further attempt can tell."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._since = turns.points + 1

    def open_to(self, number: int) -> bool:  # noqa: ARG002 - as asked of what is awaited
        """Tell whether there was one."""
        return self._turns.points > self._since

    def told(self) -> str:
        """Say what it is."""
        return "a file lock"


def _closed() -> _thread.LockType:
    gate = _allocate_lock()
    gate.acquire()
    return gate


_allocate_lock = _thread.allocate_lock
_start_new_thread = _thread.start_new_thread
_set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
_set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)

UNINTERRUPTED.update(function.__code__ for function in (Turns.end, Turns._wrest))  # noqa: SLF001 - of this module
