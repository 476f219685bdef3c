"""COST03 and COST04: what calls cost on pools of more keys and models, in lines and in statements."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.growth import FEW, LATER, MANY, Growing
from pytest_keyconform.catalogue.invariant import broken
from pytest_keyconform.catalogue.provoking import failing, limit_of
from pytest_keyconform.catalogue.steps import acquire, advance, record, resized, statements, step
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

SIZES: Final = (
    15,
    60,
    240,
)  # of a pool: what costs n costs four times as much with each, what costs n * n sixteen times
MODELS: Final = (10, 40, 160)  # likewise, for pools of one key, so that what models cost stands out
FACTOR: Final = 6.5  # how much steeper the second step may be: n log n is below 5.3, linear is 4
FREE: Final = 10  # lines for each further key that are allowed anyhow: a larger pool may take another way
AGAIN: Final = 5  # times that a call is measured: the median of them counts, so that a rebuilding now and then is free
FEWER: Final = 2  # likewise, the cheaper one, for a call that tells of all keys
VIEWS: Final = ("status", "all_keys", "state")
ONCE: Final = Given(limits=((DEFAULT_MODEL, limit_of("rpm", 1)), ("m2", limit_of("rpm", 1))), max_failures=1)

PER_KEY: Final = 0.1  # statements for each further key, from which on there is no bound
ROOM: Final = 8  # statements that a call may issue more in any case
HOUR: Final = 3600.0
HOURS: Final = 4
RATE: Final = 1.5  # how many times the statements there may be after many calls, or in a later idle hour


class _Sized(Growing, shared=True):
    """What the rules share: a pool of some size, and ways in which its keys stand."""

    def stands(self, keys: int) -> Iterator[tuple[str, tuple[Step, ...]]]:
        """Yield ways in which the keys stand: untouched, used, or all but one out, marked or spent."""
        yield "fresh", ()
        for name, status in (("out", 401), ("marked", 429)):
            if self.claims.operations.get("fail"):
                report = failing(self, status=status, last=self.claims.takes("fail", "retries"))
                yield name, self.rounds(keys - 1, report(Ref("out")))
        if self.claims.operations.get("record"):
            yield "spent", self.rounds(keys - 1, record(Ref("out"), tokens=5))

    def rounds(self, count: int, report: Step) -> tuple[Step, ...]:
        """Answer steps that take as many keys, whichever come, and report on each."""
        return (acquire("out"), report, *self.back(Ref("out"))) * count

    def taken(self, **more: object) -> tuple[Step, ...]:
        """Answer the steps of one acquire that leaves the pool as it was."""
        asked, *back = self.taking("a")
        return (step("acquire", "a", **dict(asked.invocation.arguments), **more), *back)


@final
class WorkGrowsWithKeys(_Sized):
    """Acquire grows no faster than the number of keys, status no faster than keys times models.

    Why: what is quick with ten keys takes seconds with a thousand, and a dashboard asks each minute (000-33, 002-O1).
    How it breaks: for each key all others are gone through: a look into a list, a count, a sum over all rows.
    Fix: look keys up in a dict; go through the keys once, and through the rows of each key once.
    """

    id = "COST03"
    level = "should"
    audits = ("000-33", "002-O1")
    requires = ("acquire|status|all_keys|state",)
    CONFORMING = (
        (
            "restart(keys=15)\nacquire(measured=True) -> key-1 weighing 40\nrestart(keys=60)\n"
            "acquire(measured=True) -> key-1 weighing 160\nrestart(keys=240)\n"
            "acquire(measured=True) -> key-1 weighing 640"
        ),
        (
            "restart(keys=15)\nstatus(measured=True) -> {} weighing 100\nrestart(keys=60)\n"
            "status(measured=True) -> {} weighing 110\nrestart(keys=240)\nstatus(measured=True) -> {} weighing 900"
        ),
        (
            "restart(keys=3, models=5)\nstate(measured=True) -> {} weighing 100\nrestart(keys=3, models=20)\n"
            "state(measured=True) -> {} weighing 400\nrestart(keys=3, models=80)\n"
            "state(measured=True) -> {} weighing 1600"
        ),
    )
    VIOLATING = (
        (
            "restart(keys=15)\nacquire(measured=True) -> key-1 weighing 100\nrestart(keys=60)\n"
            "acquire(measured=True) -> key-1 weighing 1600\nrestart(keys=240)\n"
            "acquire(measured=True) -> key-1 weighing 25600"
        ),
        (
            "restart(keys=3, models=5)\nstate(measured=True) -> {} weighing 100\nrestart(keys=3, models=20)\n"
            "state(measured=True) -> {} weighing 1600\nrestart(keys=3, models=80)\n"
            "state(measured=True) -> {} weighing 25600"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each call on pools of ever more keys, however those stand, and of ever more models; after a first one."""
        for name in [name for name, _ in self.stands(2)]:
            sizes = (resized(SIZES[0]), *self._on(name, SIZES[0]), resized(SIZES[1]), *self._on(name, SIZES[1]))
            setup = (*sizes, resized(SIZES[2]), *self._on(name, SIZES[2]))
            yield Workload(name=name, given=ONCE, setup=setup, weighed=True, whole=True)
        if self.claims.operations.get("record"):
            each = (
                step for models in MODELS for step in (resized(1, models=models), *self._used(models), *self._views())
            )
            limits = tuple((model, limit_of("rpm", 1000)) for model in (DEFAULT_MODEL, "m2"))
            yield Workload(
                name="models",
                given=Given(vertex=("vertex-1",), limits=limits),
                setup=tuple(each),
                weighed=True,
                whole=True,
            )

    def _on(self, name: str, keys: int) -> tuple[Step, ...]:
        measured = self.taken(measured=True) if self.claims.operations.get("acquire") else ()
        return (*dict(self.stands(keys))[name], *self.taken(), *measured * AGAIN, *self._views())

    def _used(self, models: int) -> Iterator[Step]:
        for number in range(1, models + 1):
            name = f"m{number}"
            yield from (acquire("a", model=name), record(Ref("a"), model=name, tokens=5), *self.back(Ref("a")))

    def _views(self) -> tuple[Step, ...]:
        views = (((step(name),) + (step(name, measured=True),) * FEWER) for name in VIEWS)
        return optional(*(one for view in views for one in view))

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare what the largest pool costs more than the middle one with what that costs more than the least."""
        weights = dict(history.weights)
        found = _by_size([op for op in history.operations if op.called in weights or op.name == "restart"])
        for name, sizes in found.items():
            if len(sizes) != len(SIZES):
                continue
            costs = [median_low([weights[op.called] for op in calls]) for _, calls in sizes]
            counts = [size for size, _ in sizes]
            first, second = costs[1] - costs[0], costs[2] - costs[1]
            if second > FACTOR * max(first, 0) + FREE * (counts[2] - counts[1]):
                told = ", ".join(f"{cost} with {count}" for cost, count in zip(costs, counts, strict=True))
                of = "keys" if name == "acquire" or counts == list(SIZES) else "keys times models"
                expected = f"a cost that grows no faster than the number of {of}; in lines it is {told}"
                yield broken(sizes[-1][1][-1], expected, f"the work of {name} grows faster than the number of {of}")


def _by_size(operations: Sequence[Operation]) -> dict[str, list[tuple[int, list[Operation]]]]:
    """Group calls by their names, and by the pools that they were made on, which have so many keys, or models."""
    found: dict[str, list[tuple[int, list[Operation]]]] = defaultdict(list)
    number, size = -1, 0
    for operation in operations:
        if operation.name == "restart":
            number, size = number + 1, int(str(operation.get("models") or operation.get("keys")))
        elif number >= 0:
            groups = found[operation.name]
            if not groups or groups[-1][0] != size:
                groups.append((size, []))
            groups[-1][1].append(operation)
    return found


@final
class StatementsAreBounded(_Sized):
    """Store statements per call are bounded; an idle manager issues none that grow.

    Why: a statement for each key makes the store a bottleneck; a sweeper without rest is another (000-33, 003-1.1).
    How it breaks: the usage of each key is read by a statement of its own; all rows are written again at each report;
    each round of a background task asks once more than the last.
    Fix: read all keys of a pool in one statement, write one row a report, and let a sweep be one statement too.
    """

    id = "COST04"
    level = "should"
    audits = ("000-33", "003-1.1")
    requires = ("acquire|record|status",)
    CONFORMING = (
        (
            "restart(keys=15)\nstatements() -> 9\nacquire() -> key-1\nstatements() -> 11\nrestart(keys=60)\n"
            "statements() -> 20\nacquire() -> key-1\nstatements() -> 22\nrestart(keys=240)\nstatements() -> 30\n"
            "acquire() -> key-1\nstatements() -> 32"
        ),
        (
            "statements() -> 9\nadvance(seconds=3600)\nstatements() -> 69\nadvance(seconds=3600)\n"
            "statements() -> 129\nadvance(seconds=3600)\nstatements() -> 189\nadvance(seconds=3600)\n"
            "statements() -> 249"
        ),
        "statements() -> 9\nstatus() -> {}\nstatements() -> 12\nstatus() -> {}\nstatements() -> 15",
    )
    VIOLATING = (
        (
            "restart(keys=15)\nstatements() -> 9\nacquire() -> key-1\nstatements() -> 24\nrestart(keys=60)\n"
            "statements() -> 40\nacquire() -> key-1\nstatements() -> 100\nrestart(keys=240)\nstatements() -> 120\n"
            "acquire() -> key-1\nstatements() -> 360"
        ),
        (
            "statements() -> 9\nadvance(seconds=3600)\nstatements() -> 69\nadvance(seconds=3600)\n"
            "statements() -> 189\nadvance(seconds=3600)\nstatements() -> 369\nadvance(seconds=3600)\n"
            "statements() -> 609"
        ),
        "statements() -> 9\nstatus() -> {}\nstatements() -> 29\nstatus() -> {}\nstatements() -> 189",
    )

    def workloads(self) -> Iterator[Workload]:
        """Each call on pools of ever more keys, after few and many calls; and hours in which nothing is called."""
        for name in [name for name, _ in self.stands(2)]:
            each = ((resized(size), *dict(self.stands(size))[name], *self._counted()) for size in SIZES)
            yield Workload(name=name, given=ONCE, setup=tuple(one for steps in each for one in steps), whole=True)
        quiet = (*self.calls(FEW, "a"), *LATER, advance(HOUR))
        yield Workload(
            name="idle", given=Given(), setup=(*quiet, statements(), *((advance(HOUR), statements()) * HOURS))
        )
        if self.bounded:
            few, many = self.calls(FEW, "a"), self.calls(MANY - FEW, "b")
            later = (*LATER, *self._counted())
            yield Workload(name="history", given=Given(), setup=(*few, *later, *many, *later), whole=True)

    def _counted(self) -> tuple[Step, ...]:
        """Answer each call a few times, with a count before and after it."""
        asked, *back = self.taken()
        told = record(Ref("a"), tokens=5), failing(self, status=None)(Ref("a"))
        views = (step("usage", key="key-1", model=DEFAULT_MODEL, pool="regular"), *(step(name) for name in VIEWS))
        each: list[Step] = [statements(), asked, statements(), *back] if self._has(asked) else []
        for one in filter(self._has, told):
            each += [asked, statements(), one, statements(), *back]
        for one in filter(self._has, views):
            each += [statements(), one, statements()]
        return tuple(each) * FEWER

    def _has(self, call: Step) -> bool:
        return bool(self.claims.operations.get(call.name))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what calls issued on each pool, before and after many calls, and at what idle hours did."""
        counts = list(_issued(history))
        for name in dict.fromkeys(operation.name for operation, _, _ in counts):
            sizes: dict[int, list[int]] = defaultdict(list)
            for operation, size, count in counts:
                if operation.name == name:
                    sizes[size].append(count)
            last = next(operation for operation, _, _ in reversed(counts) if operation.name == name)
            if set(sizes) == {0}:
                yield from self._with_calls(last, sizes[0])
            elif set(sizes) == set(SIZES):
                yield from self._with_keys(last, [min(sizes[size]) for size in SIZES])
        yield from self._idle(history)

    def _with_keys(self, operation: Operation, costs: Sequence[int]) -> Iterator[Violation]:
        growing = costs[0] < costs[1] < costs[2]
        if growing and costs[2] - costs[0] > ROOM + PER_KEY * (SIZES[2] - SIZES[0]):
            told = ", ".join(f"{cost} with {size}" for cost, size in zip(costs, SIZES, strict=True))
            expected = f"a number of statements that has a bound, however many keys there are, and not {told}"
            yield broken(operation, expected, f"the statements of {operation.name} grow with the number of keys")

    def _with_calls(self, operation: Operation, costs: Sequence[int]) -> Iterator[Violation]:
        half = len(costs) // 2
        if half and min(costs[half:]) > ROOM + min(costs[:half]) * RATE:
            expected = f"about {min(costs[:half])} statements, as after fewer calls, and not {min(costs[half:])}"
            yield broken(operation, expected, f"the statements of {operation.name} grow with the history")

    def _idle(self, history: History) -> Iterator[Violation]:
        readings = [op for op in history.operations if op.name == "statements" and isinstance(op.value, int)]
        spans = [(a, b) for a, b in pairwise(readings) if b.at - a.at >= HOUR]
        rates = [int(str(after.value)) - int(str(before.value)) for before, after in spans]
        growing = len(rates) == HOURS and all(before < after for before, after in pairwise(rates))
        if growing and rates[-1] > ROOM + rates[0] * RATE:
            told = ", ".join(map(str, rates))
            expected = f"as few statements in each hour in which nothing is called, and not {told}"
            yield broken(spans[-1][1], expected, "the statements of an idle manager grow with time")


def _issued(history: History) -> Iterator[tuple[Operation, int, int]]:
    """Yield each call between two counts, with the number of keys of a resized pool, or 0, and its statements."""
    size = 0
    for before, operation, after in zip(
        history.operations, history.operations[1:], history.operations[2:], strict=False
    ):
        if before.name == "restart":
            size = int(str(before.get("keys", 0)))
        counts = before.value, after.value
        if before.name == after.name == "statements" != operation.name and all(isinstance(one, int) for one in counts):
            yield operation, size, int(str(counts[1])) - int(str(counts[0]))
