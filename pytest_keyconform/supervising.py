"""Judging in a process of its own, so that whatever a backend does to it, the run goes on and says what happened.

A call that blocks in C with the interpreter's lock, `os._exit`, a crash of the interpreter: the process that judges
is then ended, the invariant is inconclusive, and the next one is judged in a fresh copy of this process, in which the
backend has never run.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pytest_keyconform.conformance import Conformance, Facts, told
from pytest_keyconform.engine.clock import real_monotonic
from pytest_keyconform.errors import TargetError
from pytest_keyconform.judge_process import HURRIED, Child, Fault, Lost, Served, live, wait_idly
from pytest_keyconform.verdict import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.judge_process import Telling
    from pytest_keyconform.report import InvariantReport, Report

GRACE = 10.0  # seconds, beyond the time-out that the process itself keeps, in which it has to answer
STOPPING = 60.0  # seconds in which a service that was started is stopped
OPENINGS = 4  # importing, and opening in three ways, each within the time-out
SUPPORTED: Final = sys.platform == "linux" and hasattr(os, "fork")  # elsewhere a fork is not safe to go on from


class Supervised:
    """A `Conformance` in a process of its own; ``make`` makes one."""

    def __init__(
        self,
        make: Callable[[], Conformance],
        *,
        timeout: float,
        fault: Telling,
        meanwhile: Callable[[], None] = wait_idly,
    ) -> None:
        """Supervise; ``timeout`` (seconds) is that of the settings, ``fault`` tells of an error that is our own.

        ``meanwhile`` is called now and then while an answer is waited for.
        """
        self._make = make
        self._meanwhile = meanwhile
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
        child = self._child = self._process()
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

    def _process(self) -> Child:
        """Start the process that judges: a copy of this one."""
        timed_out = self._here.timed_out
        return Child(
            lambda theirs: live(theirs.detach(), lambda: Served(self._make(), self._fault, timed_out)), self._meanwhile
        )

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
