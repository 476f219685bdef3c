"""One run of a workload under one schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_keyconform.history import History
    from pytest_keyconform.schedule import Schedule
    from pytest_keyconform.workload import Workload


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a timeline: client ``client`` (0: setup, finale; -1: a background task) did ``text``.

    ``kind`` is ``call``, ``return``, ``suspend`` (an await gave the turn away) or ``advance``.
    ``where`` is ``file:line`` of the backend for a suspension, with the source line in ``text``.
    """

    client: int
    kind: str
    text: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Spelled:
    """How a script makes the call that was the ``called``-th event; ``code`` is "" where none can make it.

    ``bind`` is the name that its answer has in later calls, None: none.
    """

    called: int
    code: str
    awaited: bool
    bind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What ran, under which schedule, what came of it, and (on a replay) what each task did and how calls are spelled.

    ``overlapped`` tells whether two clients ever both stood at a choice point; None where every order of calls that
    do not suspend is all there is.
    """

    workload: Workload
    schedule: Schedule
    history: History
    moments: tuple[Moment, ...] = ()
    spelled: tuple[Spelled, ...] = ()
    seconds: float = 0.0
    overlapped: bool | None = None
