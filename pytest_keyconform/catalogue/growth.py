"""COST01, COST02 and COST05: neither work nor memory grows with what has been."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.steps import acquire, advance, fail, files, memory, record, release, rows, step, tick
from pytest_keyconform.model.windows import FREE_AFTER
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
NAMED = "ever-"  # how the names of new models begin
NEW = (10, 360, 710, 1060, 1410)  # the numbers of new models between which it is measured: more than a cache holds
STORED = (10, 60, 110, 160)  # likewise for what is in a storage, where no cache is
KNOWN = 300  # calls on known models, to compare with
ENTRY = 24.0  # bytes for each further model, below which its entry is taken to be dropped
DAYS = 2 * 86_400.0
ROWS = 0.5  # rows for each further model, likewise
LISTED = 20  # new models that the whole state may list
SLACK = 4096  # bytes that a table may take in one go

LATER = (advance(FREE_AFTER), tick())


class Growing(Invariant, shared=True):
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

    def back(self, lease: Ref) -> tuple[Step, ...]:
        """Answer what gives a lease back that was reported on, where a report does not."""
        explicit = self.policies.tenure == "lease" and self.policies.release == "explicit"
        return (release(lease),) if explicit else ()

    @property
    def bounded(self) -> bool:
        """Whether what has to be remembered ends within minutes."""
        return self.policies.day_zone != "rolling"


@final
class WorkStaysTheSame(Growing):
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
class MemoryStaysFlat(Growing):
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


@final
class NewModelsAreDropped(Growing):
    """Entries of models added on the fly are dropped once their windows have passed.

    Why: a model's name comes with the request, so that whoever sends new ones fills memory and every view (002-O2).
    How it breaks: a counter, a place in the rotation or a row is made for each name, and never dropped.
    Fix: drop what belongs to a model that is not configured, once nothing counts that was reported for it.
    """

    id = "COST05"
    level = "should"
    audits = ("002-O2",)
    requires = ("acquire|record",)
    applies: ClassVar = {"unknown_model": ("on-the-fly",)}
    CONFORMING = (
        "memory() -> 0\nmemory() -> 900\nrecord(lease=key-1, model=new-a) -> True\nmemory() -> 1000",
        (
            "record(lease=key-1, model=ever-1) -> True\nadvance(seconds=172800)\n"
            'state() -> {"models": {"m1": {}}, "summary": {}}'
        ),
        'record(lease=key-1, model=ever-1) -> True\nstate() -> {"models": {"ever-1": {}}, "summary": {}}',
        (
            "rows() -> 4\nrecord(lease=key-1) -> True\nrows() -> 304\n"
            "record(lease=key-1, model=ever-1) -> True\nrows() -> 305"
        ),
    )
    VIOLATING = (
        "memory() -> 0\nmemory() -> 900\nrecord(lease=key-1, model=ever-1) -> True\nmemory() -> 90000",
        (
            "record(lease=key-1, model=ever-1) -> True\nadvance(seconds=172800)\n"
            'state() -> {"models": {"m1": {}, "ever-1": {}}, "summary": {}}'
        ),
        (
            "rows() -> 4\nrecord(lease=key-1, model=ever-1) -> True\nrows() -> 5\n"
            "record(lease=key-1, model=ever-2) -> True\nrows() -> 6"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Some models, known ones, many new ones, as many again; two days and some calls before each measuring."""
        if self.claims.operations.get("state"):
            setup = (*self._new(0, LISTED), *self.calls(MORE, "y"), *LATER, step("state"))
            yield Workload(name="state", given=Given(), setup=setup, whole=True)
        if self.policies.durability != "none":
            for name, measuring in (("rows", rows()), ("files", files())):
                yield self._measured(name, measuring, STORED)
        yield self._measured("memory", memory(), NEW)

    def _measured(self, name: str, measuring: Step, numbers: Sequence[int]) -> Workload:
        first, *more = (self._new(*pair) for pair in pairwise((0, *numbers)))
        batches = (first, self._batch([DEFAULT_MODEL] * KNOWN), *more)
        setup = (measuring, *(one for batch in batches for one in (*batch, measuring)))
        return Workload(name=name, given=Given(), setup=setup, whole=True)

    def _new(self, first: int, last: int) -> tuple[Step, ...]:
        return self._batch([f"{NAMED}{number}" for number in range(first, last)])

    def _batch(self, models: Sequence[str]) -> tuple[Step, ...]:
        """Answer two calls on each of these models, and what may drop them: two days, maintenance, further calls."""
        each = (one for model in models for one in self._calls_on(model))
        return (*each, advance(DAYS), tick(), *self.calls(2 * ROUND, "z"), *LATER)

    def _calls_on(self, model: str) -> tuple[Step, ...]:
        if not self.claims.operations.get("record"):
            return self.taking("a", model=model)
        return acquire("a", model=model), record(Ref("a"), model=model, tokens=5), *self.back(Ref("a"))

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare what new models leave behind with what as many calls on known ones do; look for them in the state."""
        for name, slack, each in (("memory", SLACK, ENTRY), ("rows", 0, ROWS), ("files", 0, ENTRY)):
            readings = [op for op in history.named(name) if isinstance(op.value, int)][name == "memory" :]
            spans = [(_between(history, *pair), pair) for pair in pairwise(readings)]
            grown = [(len(models), int(str(b.value)) - int(str(a.value))) for models, (a, b) in spans]
            known = max((growth / KNOWN for models, growth in grown if not models and growth > 0), default=0.0)
            new = [(models, growth) for models, growth in grown if models]
            if new and all(growth > slack + (known + each) * models for models, growth in new):
                unit = "" if name == "rows" else " bytes"
                expected = (
                    f"about {readings[0].value}{unit}: each model is new, and the windows of the others have passed"
                )
                yield broken(readings[-1], expected, f"{name} grows with each new model")
        yield from self._listed(history)

    def _listed(self, history: History) -> Iterator[Violation]:
        used = {str(op.get("model")): op.at for op in history.named("acquire", "record")}
        for operation in history.named("state"):
            listed = operation.value.get("models") if isinstance(operation.value, dict) else None
            old = {name for name, at in used.items() if name.startswith(NAMED) and at + DAYS <= operation.at}
            if isinstance(listed, dict) and old.intersection(listed):
                left = len(old.intersection(listed))
                expected = f"none of the {left} models that were last used two days before and are not configured"
                yield broken(operation, expected, "the state lists models whose windows have passed")


def _between(history: History, before: Operation, after: Operation) -> set[str]:
    """Answer the new models that were named between two measurings."""
    within = (op for op in history.operations if before.called < op.called < after.called)
    return {name for op in within if (name := str(op.get("model"))).startswith(NAMED)}
