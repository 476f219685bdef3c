"""Judging in a process of its own, so that whatever a backend does to it, the run goes on and says what happened.

A call that blocks in C with the interpreter's lock, `os._exit`, a crash of the interpreter: the process that judges
is then ended, the invariant is inconclusive, and the next one is judged in a fresh copy of this process, in which the
backend has never run.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import socket
import sys
import warnings
import weakref
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from pytest_keyconform.conformance import Conformance, Facts, told
from pytest_keyconform.engine.clock import real_monotonic, real_sleep
from pytest_keyconform.engine.run_coverage import add_measured, measured_here
from pytest_keyconform.errors import TargetError, UsageError
from pytest_keyconform.verdict import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.report import InvariantReport, Report

GRACE = 10.0  # seconds, beyond the time-out that the process itself keeps, in which it has to answer
HURRIED = 3.0  # the same once a process had to be ended
STOPPING = 60.0  # seconds in which a service that was started is stopped
OPENINGS = 4  # importing, and opening in three ways, each within the time-out
SUPPORTED: Final = sys.platform == "linux" and hasattr(os, "fork")  # elsewhere a fork is not safe to go on from
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

Telling: TypeAlias = "Callable[[BaseException], str]"
_ours: Final[weakref.WeakSet[Child]] = weakref.WeakSet()


class Fault(Exception):
    """The harness itself failed, in a process that judges; the text says what and where."""


class Lost(Exception):
    """The process that judges is gone; the text says how it ended."""


class Supervised:
    """A `Conformance` in a process of its own; ``make`` makes one."""

    def __init__(self, make: Callable[[], Conformance], *, timeout: float, fault: Telling) -> None:
        """Supervise; ``timeout`` (seconds) is that of the settings, ``fault`` tells of an error that is our own."""
        self._make = make
        self._here = make()  # never started: it knows the catalogue
        self._timeout = timeout
        self._fault = fault
        self._grace = GRACE
        self._child: Child | None = None
        self._facts = Facts()
        self._measured: tuple[bytes, ...] = ()  # by processes that are gone, and last by the one that judges

    def invariants(self) -> tuple[type[Invariant], ...]:
        """Answer the selected invariants, in the order of the catalogue."""
        return self._here.invariants()

    def start(self) -> None:
        """Resolve and open the target; raises `UsageError` where that cannot be done."""
        child = self._child = Child(self._make, self._fault, self._here.timed_out)
        try:
            self._facts = Facts(*child.ask("start", (), within=OPENINGS * self._timeout + self._grace))
        except Lost as lost:
            self._end()
            message = f"{self._here.name}: opening it failed: {lost}"
            raise TargetError(message) from None

    def judge(self, id: str) -> InvariantReport:  # noqa: A002 - the word of the catalogue
        """Judge one invariant; where the process ends over it, it is inconclusive, and the next has a fresh one."""
        kind = next(kind for kind in self.invariants() if kind.id == id)
        began = real_monotonic()
        if self._child is None:
            self.start()
        if self._child is None:
            raise RuntimeError("start leaves a process or raises")
        try:
            answered, self._here.timed_out = self._child.ask("judge", (id,), within=self._here.limit() + self._grace)
        except Lost as lost:
            self._end()
            self._here.timed_out += 1
            self._grace = HURRIED
            why = f"{lost}; what follows is judged in a fresh process"
            return told(kind, Inconclusive(why=why, cut_short=True), seconds=round(real_monotonic() - began, 3))
        report: InvariantReport = answered
        return report

    def replay(self, text: str) -> InvariantReport:
        """Run the one execution that a token leads to; raises `TokenError` where it leads to none."""
        if self._child is None:
            self.start()
        if self._child is None:
            raise RuntimeError("start leaves a process or raises")
        try:
            report: InvariantReport = self._child.ask("replay", (text,), within=self._here.limit() + self._grace)
        except Lost as lost:
            self._end()
            kind = next(kind for kind in self.invariants() if kind.id == text.partition(":")[0])
            return told(kind, Inconclusive(why=str(lost), cut_short=True), seconds=0.0)
        return report

    def report(self, results: Iterable[InvariantReport]) -> Report:
        """Fold what came of the invariants, and end the process."""
        self._end()
        return self._here.report(results, self._facts)

    def measured(self) -> tuple[bytes, ...]:
        """Answer what was measured, in each process that judged: a process that was lost told until its last answer."""
        return (*self._measured, *(() if self._child is None else self._child.measured))

    def _end(self) -> None:
        if self._child is not None:
            self._measured = self.measured()
            if self._facts.launched:
                with suppress(Lost, Fault, OSError):
                    self._child.ask("end", (), within=STOPPING)
            self._child.end()
            self._child = None


class Child:
    """The process that judges: a copy of this one. ``timed_out`` is that of its `Conformance`."""

    def __init__(self, make: Callable[[], Conformance], fault: Telling, timed_out: int) -> None:
        ours, theirs = socket.socketpair()
        for stream in (sys.stdout, sys.stderr):  # or what they hold is written twice
            with suppress(Exception):
                stream.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: none of theirs is waited for
            self.pid = os.fork()
        if self.pid == 0:
            _live(ours, theirs, lambda: _Served(make(), fault, timed_out))
        theirs.close()
        with suppress(OSError):
            os.setpgid(self.pid, self.pid)
        self.connection = Connection(ours.detach())
        self._ended = False
        self.measured: tuple[bytes, ...] = ()  # what is to be covered, as of its last answer
        _ours.add(self)
        self._last = weakref.finalize(self, _kill, self.pid, os.getpid())

    def ask(self, what: str, arguments: tuple[object, ...], *, within: float) -> Any:  # noqa: ANN401 - what it answers
        """Ask for something and answer it; raises what it raised there, and `Lost` where no answer comes."""
        try:
            self.connection.send((what, arguments))
            if not self.connection.poll(within):
                raise Lost(f"a call could not be interrupted: nothing was heard for {within:g} s of real time")
            answer, error, measured, self.measured = self.connection.recv()
        except (EOFError, OSError):
            raise Lost(self._how_it_ended()) from None
        except KeyboardInterrupt:
            self.end()
            raise
        add_measured(measured)
        if error is not None:
            raise error
        return answer

    def end(self) -> None:
        """End it, and whatever it started."""
        if not self._ended:
            self._ended = True
            self.connection.close()
            self._last()

    def _how_it_ended(self) -> str:
        self._ended = True
        self._last.detach()
        self.connection.close()
        ended, status = _reaped(self.pid)
        if not ended:  # it let go of the connection, and lives on
            _kill(self.pid, os.getpid())
            return "a call closed the connection to the process that judges"
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        if os.WIFSIGNALED(status):
            return f"a call ended the process ({signal.Signals(os.WTERMSIG(status)).name})"
        return f"a call ended the process (exit status {os.waitstatus_to_exitcode(status)})"


def _reaped(pid: int) -> tuple[int, int]:
    """Answer what `os.waitpid` does, of a process that is about to end; 0 first where it does not within a while."""
    end = real_monotonic() + HURRIED
    found = os.waitpid(pid, os.WNOHANG)
    while not found[0] and real_monotonic() < end:
        real_sleep(0.01)
        found = os.waitpid(pid, os.WNOHANG)
    return found


def _kill(pid: int, parent: int) -> None:
    if os.getpid() != parent:  # in a copy of the process that it is a child of
        return
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
    with suppress(OSError):
        os.waitpid(pid, 0)


class _Served:
    """What the process does."""

    def __init__(self, conformance: Conformance, fault: Telling, timed_out: int) -> None:
        self._conformance = conformance
        self._fault = fault
        conformance.timed_out = timed_out

    def measured(self) -> tuple[bytes, ...]:
        return self._conformance.measured()

    def answer(self, what: str, arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
        try:
            return self._done(what, arguments), None
        except UsageError as error:
            return None, error
        except KeyboardInterrupt:
            return None, Fault("the backend interrupted the run as a user does (KeyboardInterrupt)")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told over there
            return None, Fault(self._fault(error))

    def _done(self, what: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as asked
        conformance = self._conformance
        if what == "start":
            conformance.start()
            facts = conformance.facts()
            return facts.policies, facts.operations, facts.launched
        if what == "end":
            conformance.end()
            return None
        if what == "judge":
            return conformance.judge(*arguments), conformance.timed_out
        return conformance.replay(*arguments)


def _live(ours: socket.socket, theirs: socket.socket, serving: Callable[[], _Served]) -> NoReturn:
    """Serve until nobody asks any more; never to come back into the code that was copied with the process."""
    status = 1
    try:
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it
        ours.close()
        for other in _ours:
            other.connection.close()
        gc.freeze()  # what was there before is not looked through at each collection
        connection = Connection(theirs.detach())
        served = serving()
        with suppress(EOFError):
            while True:
                what, arguments = connection.recv()
                answer, error = served.answer(what, arguments)
                connection.send((answer, _portable(error), measured_here(), served.measured()))
        status = 0
    finally:
        os._exit(status)


def _portable(error: Exception | None) -> Exception | None:
    """Answer an error that can be sent; one of a kind that is known here only is told by its text."""
    if error is None:
        return None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever its constructor wants
        return TargetError(str(error))
    return error
