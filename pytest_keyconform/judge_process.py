"""The process that judges: how it is started, asked, and ended, and what it does."""

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

from pytest_keyconform.engine.clock import real_monotonic, real_sleep
from pytest_keyconform.engine.run_coverage import add_measured, measured_here
from pytest_keyconform.errors import TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_keyconform.conformance import Conformance

HURRIED = 3.0  # seconds in which a process that is about to end has to
GLANCE = 1.0  # seconds, after which who waits looks about
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG

Telling: TypeAlias = "Callable[[BaseException], str]"
_ours: Final[weakref.WeakSet[Child]] = weakref.WeakSet()


class Fault(Exception):
    """The harness itself failed, in a process that judges; the text says what and where."""


class Lost(Exception):
    """The process that judges is gone; the text says how it ended."""


def wait_idly() -> None:
    """Do nothing while waiting."""


class Child:
    """The process that judges, as who started it sees it.

    ``body`` is what it does with its end of the connection, in a copy of this process. ``meanwhile`` is called now and
    then while an answer is waited for.
    """

    def __init__(self, body: Callable[[socket.socket], NoReturn], meanwhile: Callable[[], None] = wait_idly) -> None:
        self._meanwhile = meanwhile
        ours, theirs = socket.socketpair()
        for stream in (sys.stdout, sys.stderr):  # or what they hold is written twice
            with suppress(Exception):
                stream.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: none of theirs is waited for
            self.pid = os.fork()
        if self.pid == 0:
            _begin(ours, theirs, body)
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
            if not self._heard(within):
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

    def _heard(self, within: float) -> bool:
        end = real_monotonic() + within
        while (left := end - real_monotonic()) > 0:
            if self.connection.poll(min(left, GLANCE)):
                return True
            self._meanwhile()
        return False

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


def fault(error: BaseException) -> str:
    """Say in one line what of ours failed and where."""
    if isinstance(error, Fault):  # told where it happened
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"the harness itself failed: {type(error).__name__}{where}; please report it"


class Served:
    """What the process does; ``timed_out`` is how many invariants ran into the time-out before."""

    def __init__(self, conformance: Conformance, fault: Telling, timed_out: int) -> None:
        self._conformance = conformance
        self._fault = fault
        conformance.timed_out = timed_out

    def measured(self) -> tuple[bytes, ...]:
        """Answer what was measured of the packages that are to be covered."""
        return self._conformance.measured()

    def answer(self, what: str, arguments: tuple[Any, ...]) -> tuple[Any, Exception | None]:
        """Do what is asked, and answer what came of it, or the error."""
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


def _begin(ours: socket.socket, theirs: socket.socket, body: Callable[[socket.socket], NoReturn]) -> NoReturn:
    """Do what it is there for; never to come back into the code that was copied with the process."""
    try:
        if sys.platform == "linux":  # elsewhere it ends with its connection
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it
        ours.close()
        for other in _ours:
            other.connection.close()
        body(theirs)
    finally:
        os._exit(1)


def live(number: int, serving: Callable[[], Served]) -> NoReturn:
    """Serve until nobody asks any more; ``number`` is that of this end of the connection."""
    gc.freeze()  # what was there before is not looked through at each collection
    connection = Connection(number)
    served = serving()
    with suppress(EOFError):
        while True:
            what, arguments = connection.recv()
            answer, error = served.answer(what, arguments)
            connection.send((answer, _portable(error), measured_here(), served.measured()))
    os._exit(0)


def _portable(error: Exception | None) -> Exception | None:
    """Answer an error that can be sent; one of a kind that is known here only is told by its text."""
    if error is None:
        return None
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever its constructor wants
        return TargetError(str(error))
    return error
