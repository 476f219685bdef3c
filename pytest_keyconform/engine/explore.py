"""Running a workload under one schedule after the other, until a judge objects or the budget ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from pytest_keyconform.engine.tally import TALLY

if TYPE_CHECKING:
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.execution import Execution
    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Workload


ENOUGH = 10  # executions of one workload that could not be judged, after which more would only cost time


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A history that could not be judged, and why.

    ``mild`` tells that it only says less than it could: a step had nothing to act on. ``lacking`` is the operation
    that the backend turned out not to have. ``cut_short`` tells of a crash, or of a call without an end.
    """

    why: str
    mild: bool = False
    lacking: str = ""
    cut_short: bool = False


Judgement: TypeAlias = "Violation | Unjudged | None"
Judge: TypeAlias = Callable[["History"], "Violation | Unjudged | None"]


class Runner(Protocol):
    """Runs one execution of a workload on a fresh manager."""

    @property
    def name(self) -> str:
        """The engine's name, as reports have it."""

    @property
    def repeatable(self) -> bool:
        """Whether the same schedule makes the same execution; else what was seen stands as it was recorded."""

    @property
    def complete(self) -> bool:
        """Whether its choices make every order there can be; else trying them all exhausts nothing."""

    @property
    def cost(self) -> int:
        """How many executions of the quickest engine take as long as one of this: it runs that much less."""

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:
        """Run it under the scheduler's next schedule; ``observed`` executions have moments."""


@dataclass(frozen=True, slots=True)
class Found:
    """An execution in which the judge objected."""

    execution: Execution
    violation: Violation


@dataclass(slots=True)
class Exploration:
    """What came of exploring one workload. ``judged`` counts the histories that could be judged.

    ``overlapped`` tells whether in any execution two clients both stood at a choice point; None where that is no
    question (`Execution`).
    """

    executions: int = 0
    judged: int = 0
    exhausted: bool = False
    found: Found | None = None
    unjudged: list[Unjudged] = field(default_factory=list)
    overlapped: bool | None = None

    def count(self, execution: Execution) -> None:
        """Count an execution."""
        TALLY.add()
        self.executions += 1
        if execution.overlapped is not None:
            self.overlapped = execution.overlapped or bool(self.overlapped)


def explore(runner: Runner, workload: Workload, scheduler: Scheduler, judge: Judge, *, budget: int) -> Exploration:
    """Run at most ``budget`` executions; stop at the first violation, or where nothing can be judged."""
    exploration = Exploration()
    hindered = 0
    while exploration.executions < budget:
        if not scheduler.begin():
            break
        execution = runner.run(workload, scheduler, observed=not runner.repeatable)
        exploration.count(execution)
        match judge(execution.history):
            case None:
                exploration.judged += 1
            case Unjudged() as unjudged:
                if unjudged not in exploration.unjudged:
                    exploration.unjudged.append(unjudged)
                hindered += not unjudged.mild
                if hindered >= ENOUGH:
                    return exploration
            case violation:
                exploration.found = Found(execution, violation)
                return exploration
    exploration.exhausted = runner.complete and bool(getattr(scheduler, "exhausted", False))
    return exploration
