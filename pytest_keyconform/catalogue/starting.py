"""SRC03 and SRC04: a start that the source of limits does not hold up, and one without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import broken
from pytest_keyconform.catalogue.published import refused
from pytest_keyconform.catalogue.sourced import FLOOD, LATER, MUCH, WHILE, Sourced, asked, boundless
from pytest_keyconform.catalogue.steps import advance, restart, state
from pytest_keyconform.limits_page import Published
from pytest_keyconform.model.linearize import Undecided
from pytest_keyconform.model.windows import DAY, SLACK
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.limits_page import Asked
    from pytest_keyconform.operation import Operation


@final
class OpensInTime(Sourced):
    """Opening waits no longer than the source's time-out and never blocks the event loop.

    Why: a start that hangs is killed by the deployment, and one that blocks the loop answers no health check (001-7).
    How it breaks: a request without a time-out; a blocking client in a coroutine; a future waited for by its result.
    Fix: an asynchronous client with a time-out for all of it, or a thread that is awaited with one.
    """

    id = "SRC03"
    audits = ("001-7",)
    subject = ("open",)
    timed = False
    CONFORMING = (
        "given source.state=slow\nasked requests=1",
        "given source.state=slow\nopen() -> None after 5\nasked requests=1",
        "given source.state=slow\nopen() -> raises typed ReadTimeout after 5\nasked requests=1",
    )
    VIOLATING = (
        "given source.state=slow\nopen() -> None after 30\nasked requests=1",
        "given source.state=slow\nasked requests=1 blocked=manager.py:7",
        "given source.state=slow\nasked requests=1 outlasted=for-ever",
    )

    def workloads(self) -> Iterator[Workload]:
        """A source that takes the request and says nothing, and one that sends the beginning of an answer."""
        for held in ("slow", "stuck"):
            given = Given(regular=("key-1",), source=Published(state=held))
            yield Workload(name=held, given=given, finale=(asked(),), whole=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at how long the opening took, and at what it did meanwhile."""
        first, seen = next(history.named("open"), None), history.asked
        if seen is None:
            return
        deadline = self.policies.deadline
        if first is None:
            yield from self._endless(seen)
            return
        if seen.blocked:
            expected = f"the event loop goes on while the source does not answer: {seen.blocked} blocks it"
            yield broken(first, expected, "opening blocks the event loop")
        elif seen.outlasted:
            expected = f"an end within {deadline:g} s while the source does not answer: {seen.outlasted}"
            yield broken(first, expected, "opening waits too long for the source")
        elif first.until is not None and first.until - first.at > deadline + SLACK:
            expected = (
                f"an end within {deadline:g} s while the source does not answer, not {first.until - first.at:g} s"
            )
            yield broken(first, expected, "opening waits too long for the source")
        elif seen.undecided:
            raise Undecided(seen.undecided)

    def _endless(self, seen: Asked) -> Iterator[Violation]:
        """Say of an opening that there is no record of, since it never ended, whether the source kept it."""
        if not seen.outlasted or not seen.requests:
            raise Undecided(seen.undecided or "the opening never ended, and the source was not asked")
        expected = f"an end within {self.policies.deadline:g} s while the source does not answer"
        signature = "opening waits too long for the source"
        yield Violation(observed=f"open() never answered: {seen.outlasted}", expected=expected, signature=signature)


@final
class HasDefaults(Sourced):
    """A fresh install with no network has a limits table; opening twice does not duplicate or overwrite it.

    Why: a first start behind a firewall is a start without limits, and a seed that runs twice counts double (001-6).
    How it breaks: the table is filled by the source alone; seeding inserts what is there already.
    Fix: ship a table, and insert a row of it only where there is none.
    """

    id = "SRC04"
    audits = ("001-6",)
    CONFORMING = (
        (
            "given regular=key-1 source.state=down m1.rpm=1\nacquire() -> key-1\nrecord(lease=key-1) -> True\n"
            'acquire() -> ""\nrestart()\nadvance(seconds=200000)\nacquire() -> key-1\nrecord(lease=key-1) -> True\n'
            'acquire() -> ""'
        ),
    )
    VIOLATING = (
        (
            "given regular=key-1 source.state=down m1.rpm=1\nacquire() -> key-1\nrecord(lease=key-1) -> True\n"
            'acquire() -> ""\nrestart()\nadvance(seconds=200000)\nacquire() -> key-1\nrecord(lease=key-1) -> True\n'
            'acquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> ""'
        ),
        (
            'given source.state=down\nstate() -> {"models": {"m1": {"regular_keys": {"available": '
            '({"api_key": "key-1"},)}}}}\nrestart()\nstate() -> {"models": {"m1": {"regular_keys": {"available": '
            '({"api_key": "key-1"}, {"api_key": "key-1"})}}}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """No network at the first opening: a flood of calls; limits and rows before and after another opening."""
        given = self.unsupplied("down")
        twice = (state(), restart(), advance(LATER), restart(), advance(LATER), state())
        yield Workload(name="rows", given=given, setup=twice, finale=self.calls((1,)), whole=True)
        if not self.shows:
            return
        flood = (state(), *self.calls((MUCH,) * FLOOD))
        yield Workload(name="flood", given=given, setup=(advance(LATER),), finale=flood, whole=True)
        if self.policies.exhaustion != "blocks":
            before, after = self.calls((1,) * 10), self.calls((1,) * 10, tag="d")
            again = (restart(down=2 * DAY + WHILE), advance(LATER))
            yield Workload(name="again", given=given, setup=(*before, *again), finale=after, whole=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for no limits, other limits after a restart, and rows that are there twice."""
        yield from boundless(history)
        yield from self._otherwise(history)
        rows = [op for op in history.named("state") if isinstance(op.value, dict)]
        if len(rows) > 1 and not _doubled(rows[0].value) and _doubled(rows[-1].value):
            yield broken(rows[-1], "each key once in its list, as before", "opening again duplicates rows")

    def _otherwise(self, history: History) -> Iterator[Violation]:
        """Compare how many calls were served before the first refusal, in each of the two runs."""
        at = next((op.called for op in history.named("restart")), None)
        calls = list(history.named("acquire"))
        before = [op for op in calls if at is not None and op.called < at]
        after = [op for op in calls if at is not None and op.called > at]
        if not before or not any(map(refused, before)):
            return
        first, second = _run(before), _run(after)
        if first and first != second:
            expected = f"{first} calls before a refusal, as before the restart, and not {second}"
            yield broken(after[0], expected, "opening again changes the default limits")


def _run(calls: list[Operation]) -> int:
    return next((place for place, call in enumerate(calls) if refused(call)), len(calls))


def _doubled(shown: object) -> bool:
    """Tell whether any list in an answer names a key twice."""
    if isinstance(shown, dict):
        return any(map(_doubled, shown.values()))
    if not isinstance(shown, tuple | list):
        return False
    keys = [row.get("api_key") for row in shown if isinstance(row, dict) and "api_key" in row]
    return len(keys) != len(set(map(str, keys))) or any(map(_doubled, shown))
