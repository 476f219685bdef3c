"""COST01 and COST02: neither work nor memory grows with what has been."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.steps import advance, fail, memory, record, step, tick
from pytest_keyconform.model.windows import FREE_AFTER
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

FEW, MANY = 20, 160  # calls before the one that is measured
STEADY, ALLOWED = 1.5, 40  # how much more a call may do, and how many lines more in any case
ROUND = 15  # calls in one minute
MORE = 75 * ROUND  # calls between two measurings: more than a ring buffer of usual length holds
STRANGERS = (1, 10, 1110, 2210)  # the numbers of keys that nobody knows, between which memory is measured
LIGHT = 12.0  # bytes for each further call, below which memory is taken to be flat
SLACK = 4096  # bytes that a table may take in one go

LATER = (advance(FREE_AFTER), tick())


class _Growing(Invariant, shared=True):
    """What the rules share: many calls, and a window that ends after each fifteen of them."""

    def calls(self, count: int, tag: str) -> tuple[Step, ...]:
        """Answer so many calls, each reported."""
        keys = Given().regular
        told = bool(self.claims.operations.get("record"))
        steps: list[Step] = []
        for number in range(count):  # under one name, so that nobody here keeps what was answered
            steps += self.taking(tag)
            if told:
                key = keys[number % len(keys)]
                steps += reported(self, [(key, lambda lease: record(lease, tokens=5))], tag=f"{tag}r")
            if number % ROUND == ROUND - 1:
                steps += LATER
        return tuple(steps)

    @property
    def bounded(self) -> bool:
        """Whether what has to be remembered ends within minutes."""
        return self.policies.day_zone != "rolling"


@final
class WorkStaysTheSame(_Growing):
    """The work of acquire, record and status does not grow with the history.

    Why: what is quick in a test takes seconds after a week (002-O3, 002-O1).
    How it breaks: a list of all calls is gone through; what has ended is filtered out, and never dropped.
    Fix: keep counts for each window, and drop what belongs to none.
    """

    id = "COST01"
    audits = ("002-O3", "002-O1")
    requires = ("acquire|record|status",)
    CONFORMING = ("status(measured=True) -> {} weighing 40\nstatus(measured=True) -> {} weighing 41",)
    VIOLATING = ("status(measured=True) -> {} weighing 40\nstatus(measured=True) -> {} weighing 400",)

    def workloads(self) -> Iterator[Workload]:
        """Each operation measured after twenty calls and after eight times as many, when their windows have ended."""
        if not self.bounded:
            return
        leases = self.policies.tenure == "lease"
        calls = {
            "acquire": step("acquire", "m", model=DEFAULT_MODEL, pool="regular", measured=True),
            "record": step("record", lease="key-1", model=DEFAULT_MODEL, pool="regular", tokens=5, measured=True),
            "status": step("status", pool="regular", measured=True),
            "usage": step("usage", key="key-1", model=DEFAULT_MODEL, pool="regular", measured=True),
            "state": step("state", measured=True),
        }
        for name, call in calls.items():
            if not self.claims.operations.get(name) or (leases and name in ("acquire", "record")):
                continue
            few, many = self.calls(FEW, "a"), self.calls(MANY - FEW, "b")
            yield Workload(name=name, given=Given(), setup=(*few, *LATER, call, *many, *LATER, call))

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare the first that was measured with the last."""
        weights = dict(history.weights)
        measured = [op for op in history.operations if op.called in weights]
        if len(measured) > 1:
            first, last = weights[measured[0].called], weights[measured[-1].called]
            if last > first * STEADY + ALLOWED:
                expected = f"about {first} lines, as after fewer calls, and not {last}"
                yield broken(measured[-1], expected, f"the work of {measured[-1].name} grows with the history")


@final
class MemoryStaysFlat(_Growing):
    """Memory stays flat over n calls on known names and with stranger keys.

    Why: a service that grows by a little with each request is killed at night (002-O2, 000-33).
    How it breaks: stamps of all calls are kept; an entry is made for each key that anybody names.
    Fix: drop what belongs to no window, and make no entry for a key of no pool.
    """

    id = "COST02"
    audits = ("002-O2", "000-33")
    requires = ("acquire|record",)
    CONFORMING = ("memory() -> 0\nmemory() -> 900\nacquire() -> key-1\nmemory() -> 1000",)
    VIOLATING = ("memory() -> 0\nmemory() -> 900\nacquire() -> key-1\nmemory() -> 90000",)

    def workloads(self) -> Iterator[Workload]:
        """Measured after thirty calls, after many more, and after as many again; likewise with keys nobody knows."""
        if not self.bounded:
            return
        few, many = (*self.calls(2 * ROUND, "a"), *LATER), (*self.calls(MORE, "b"), *LATER)
        known = (memory(), *few, memory(), *many, memory(), *many, memory())
        yield Workload(name="known", given=Given(), setup=known)
        if self.policies.tenure == "lease" or self.policies.unknown_key == "typed-error":
            return
        for name in ("record", "fail"):
            if self.claims.operations.get(name):
                first, second, third = (self._strange(name, STRANGERS[at], STRANGERS[at + 1]) for at in range(3))
                strangers = (memory(), *first, memory(), *second, memory(), *third, memory())
                yield Workload(name=f"strange-{name}", given=Given(), setup=strangers)

    def _strange(self, name: str, first: int, last: int) -> tuple[Step, ...]:
        keys = [f"stranger-{number}" for number in range(first, last)]
        if name == "record":
            return tuple(record(key) for key in keys)
        return tuple(fail(key, status=500, retries=Given().max_retries) for key in keys)

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare what is held at the end with what was held before; what grows once and then stays is no leak."""
        measured = list(history.named("memory"))[1:]  # at the first the counting begins
        grown = [self._grown(history, before, after) for before, after in pairwise(measured)]
        if grown and all(grown):
            calls = sum(measured[0].called < op.called < measured[-1].called for op in history.operations)
            expected = f"about {measured[0].value} bytes, as {calls} calls before"
            yield broken(measured[-1], expected, "memory grows with each call")

    def _grown(self, history: History, before: Operation, after: Operation) -> bool:
        calls = sum(before.called < op.called < after.called for op in history.operations)
        return float(str(after.value)) - float(str(before.value)) > SLACK + LIGHT * calls
