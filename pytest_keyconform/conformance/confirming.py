"""From a breach that was seen to the counterexample that is told: made smaller, run again, compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_keyconform.engine.explore import Found, explore
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.shrink import again, shrink
from pytest_keyconform.report import switches_in
from pytest_keyconform.schedule import Base
from pytest_keyconform.verdict import Violation

if TYPE_CHECKING:
    from pytest_keyconform.engine.explore import Judge, Runner
    from pytest_keyconform.workload import Workload

READABLE = 6  # switches that a reader follows without effort
FEW = 2  # deviations that a schedule may have without a search for one with fewer
CALMING = 200  # executions spent on a schedule with fewer of them
TRIES = 10  # runs in which a breach of a backend that is not deterministic may show again
IN_REAL_TIME = "seen in real time: a replay may need several tries; what is below is what was recorded"
BY_CHANCE = (
    "two runs of this schedule differed, so the backend depends on chance or real time that the harness does not "
    "control: a replay may need several tries"
)
ONCE = (
    "seen once, and not in {tries} more runs of the same schedule, so the backend depends on chance or real time that "
    "the harness does not control; what is below is what was recorded"
)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The smallest execution that shows the breach, which steps of the workload it leaves out, and a word on it.

    ``note`` says why running it again may show something else; None: it will not.
    """

    dropped: frozenset[int]
    found: Found
    note: str | None


def confirmed(runner: Runner, workload: Workload, found: Found, judge: Judge) -> Confirmed:
    """Make a breach smaller, and run it twice more with a timeline; what cannot be repeated stands as recorded."""
    if not runner.repeatable:
        return Confirmed(frozenset(), found, IN_REAL_TIME)
    dropped, smallest = shrink(runner, workload, found, judge)
    program = workload.without(dropped)
    smallest = _calmer(runner, program, fewer(runner, program, smallest, judge), judge)
    shown: Found | None = None
    steady = True
    for number in range(TRIES):
        execution = again(runner, program, smallest.execution.schedule)
        steady &= execution.history.operations == smallest.execution.history.operations
        judgement = judge(execution.history)
        if shown is None and isinstance(judgement, Violation) and judgement.signature == smallest.violation.signature:
            shown = Found(execution, judgement)
        if shown is not None and number:
            return Confirmed(dropped, shown, None if steady else BY_CHANCE)
    return Confirmed(dropped, smallest, ONCE.format(tries=TRIES))


def fewer(runner: Runner, program: Workload, found: Found, judge: Judge) -> Found:
    """Answer the breach with few deviations instead of a walk's many: searched anew, else without those not needed."""
    if len(found.execution.schedule.deviations) <= FEW:
        return found
    searched = explore(runner, program, Bounded(last=FEW), judge, budget=CALMING).found
    if searched is not None and searched.violation.signature == found.violation.signature:
        return searched
    for deviation in reversed(found.execution.schedule.deviations[-CALMING:]):
        schedule = found.execution.schedule
        left = tuple(one for one in schedule.deviations if one != deviation)
        execution = again(runner, program, replace(schedule, deviations=left))
        judgement = judge(execution.history)
        if isinstance(judgement, Violation) and judgement.signature == found.violation.signature:
            found = Found(execution, judgement)
    return found


def _calmer(runner: Runner, program: Workload, found: Found, judge: Judge) -> Found:
    """Answer the breach with few switches instead, where clients that take turns all the time show it."""
    if found.execution.schedule.base is not Base.FIFO:
        return found
    observed = again(runner, program, found.execution.schedule)
    if switches_in(observed.moments) <= READABLE:
        return found
    calmer = explore(runner, program, Bounded(last=2, bases=(Base.RUN,)), judge, budget=CALMING).found
    return calmer if calmer is not None and calmer.violation.signature == found.violation.signature else found
