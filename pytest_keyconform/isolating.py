"""Judging in fresh interpreters, in which nothing is left of pytest, of a conftest or of an earlier invariant.

A copy of this process becomes a new interpreter, which reads from the connection what to judge.
"""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, NoReturn

from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.conformance import Conformance
from pytest_keyconform.conformance.scenarios import rules
from pytest_keyconform.conformance.scenarios.rule import ScenarioRule
from pytest_keyconform.errors import SettingError
from pytest_keyconform.judge_process import Child, Served, fault, live
from pytest_keyconform.supervising import Supervised

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.report import InvariantReport
    from pytest_keyconform.spec.settings import Settings
    from pytest_keyconform.spec.target_setting import TargetSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a fresh interpreter is told. ``extra`` are invariants by the names they are imported by."""

    settings: Settings
    target: TargetSetting
    extra: tuple[type[Invariant], ...]
    folder: Path | None
    timed_out: int = 0

    def make(self) -> Conformance:
        """Make what judges; the scenarios are read again."""
        extra = self.extra
        if self.settings.scenarios:
            extra = (*extra, *rules(self.settings.scenarios, (*CATALOGUE, *extra)))
        return Conformance(self.settings, self.target, extra, folder=self.folder)


class Isolated(Supervised):
    """A `Conformance` in a fresh interpreter for each invariant."""

    def __init__(self, beginning: Beginning, *, timeout: float, meanwhile: Callable[[], None]) -> None:
        """Raise `SettingError` for an invariant that a fresh interpreter cannot import."""
        _check(beginning.extra)
        super().__init__(beginning.make, timeout=timeout, fault=fault, meanwhile=meanwhile)
        self._beginning = beginning

    def judge(self, id: str) -> InvariantReport:  # noqa: A002 - the word of the catalogue
        """Judge one invariant, and end the interpreter."""
        try:
            return super().judge(id)
        finally:
            self._end()

    def replay(self, text: str) -> InvariantReport:
        """Run one execution again, and end the interpreter."""
        try:
            return super().replay(text)
        finally:
            self._end()

    def _process(self) -> Child:
        child = Child(_become, self._meanwhile)
        child.connection.send(list(sys.path))
        child.connection.send(replace(self._beginning, timed_out=self._here.timed_out))
        return child


def own(extra: Sequence[type[Invariant]]) -> tuple[type[Invariant], ...]:
    """Answer the invariants that are not made from scenario files."""
    return tuple(kind for kind in extra if not issubclass(kind, ScenarioRule))


def _check(extra: Sequence[type[Invariant]]) -> None:
    for kind in extra:
        try:
            pickle.dumps(kind)
        except (pickle.PicklingError, AttributeError, TypeError):
            message = (
                f"--keyconform-isolate: {kind.id} ({kind.__module__}.{kind.__qualname__}) cannot be imported by a "
                "fresh interpreter; define it at the top of a module"
            )
            raise SettingError(message) from None


def _become(theirs: socket.socket) -> NoReturn:
    """Put a fresh interpreter in the place of this process."""
    number = theirs.detach()
    os.set_inheritable(number, True)  # noqa: FBT003 - the signature of os
    os.execv(sys.executable, [sys.executable, "-c", f"from {__name__} import begin; begin({number})"])  # noqa: S606


def begin(number: int) -> NoReturn:
    """Begin as told, and serve: what a fresh interpreter does with its end of the connection."""
    connection = Connection(number)
    sys.path[:] = connection.recv()  # before what is imported from there is told of
    beginning: Beginning = connection.recv()
    number = os.dup(number)
    connection.close()
    live(number, lambda: Served(beginning.make(), fault, beginning.timed_out))
