"""Making a counterexample smaller: first the program, then the schedule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.engine.explore import Found, explore
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.search.replay import Replay

if TYPE_CHECKING:
    from pytest_keyconform.engine.explore import Judge, Runner
    from pytest_keyconform.execution import Execution
    from pytest_keyconform.schedule import Schedule
    from pytest_keyconform.workload import Workload

SEARCH = 40  # executions spent on a smaller program before it is taken to hold
STEPS = 10_000  # steps of smaller programs run at most
LONG, FEWER = 200, 2000  # steps from which a program is long, and those that are run for one


def shrink(runner: Runner, workload: Workload, found: Found, judge: Judge) -> tuple[frozenset[int], Found]:
    """Drop steps while the same breach shows; answer which were dropped, by their places in `Workload.steps`.

    A smaller program is searched again with few deviations, so that its schedule is a smallest one too.
    """
    total = sum(1 for _ in workload.steps())
    most = STEPS if total < LONG else FEWER
    dropped: frozenset[int] = frozenset()
    spent, size = 0, 0 if workload.whole else max(1, total // 2)
    while size:
        at, smaller = 0, False
        while at < total and spent < most:
            candidate = dropped | frozenset(range(at, min(at + size, total)))
            at += size
            if candidate == dropped or len(candidate) == total:
                continue
            spent += total - len(candidate)
            better = _still(runner, workload.without(candidate), found, judge)
            if better is not None:
                dropped, found, smaller = candidate, better, True
        if not smaller or size > 1:
            size //= 2
    return dropped, found


def _still(runner: Runner, workload: Workload, found: Found, judge: Judge) -> Found | None:
    exploration = explore(runner, workload, Bounded(last=2), judge, budget=SEARCH if workload.clients else 1)
    again = exploration.found
    return again if again is not None and again.violation.signature == found.violation.signature else None


def again(runner: Runner, workload: Workload, schedule: Schedule) -> Execution:
    """Run one schedule again, with a timeline."""
    scheduler = Replay(schedule)
    scheduler.begin()
    return runner.run(workload, scheduler, observed=True)
