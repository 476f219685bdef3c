"""QUO08, QUO11 and FMT07: a usage and a state that are whole, and no more handed out than the limit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import failing, limited, reported
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import hurt
from pytest_keyconform.catalogue.steps import acquire, advance, record, state, tick, usage
from pytest_keyconform.model.outcome import outcome_of
from pytest_keyconform.model.state import Tri
from pytest_keyconform.model.windows import FREE_AFTER
from pytest_keyconform.operation import Answered, Opaque
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

GROUPS = ("available", "exhausted", "inactive")
POOLS = {"regular_keys": "regular", "vertex_keys": "vertex"}


@final
class UsageIsWhole(Invariant):
    """`usage` is a copy, JSON-serialisable, and consistent in itself.

    Why: it goes to a dashboard as JSON, and a number of requests beside the tokens of another moment misleads (002-C2).
    How it breaks: the row itself is answered; requests and tokens are read one after the other; a datetime is in it.
    Fix: build a new dict of plain numbers in one step, under the lock or in one statement.
    """

    id = "QUO08"
    audits = ("002-C2",)
    requires = ("usage", "record")
    subject = ("usage",)
    overlap = True
    CONFORMING = (
        '| record(lease=key-1, tokens=5) -> True\n| usage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        '| record(lease=key-1, tokens=5) -> True\n| usage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        (
            'record(lease=key-1, tokens=5) -> True\nusage(key=key-1, mutate=True) -> {"rpm": 1}\n'
            'usage(key=key-1) -> {"rpm": 1}'
        ),
    )
    VIOLATING = (
        '| record(lease=key-1, tokens=5) -> True\n| usage(key=key-1) -> {"rpm": 1, "tpm": 0}',
        'record(lease=key-1, tokens=5) -> True\nusage(key=key-1, mutate=True) -> {"rpm": 1}\nusage(key=key-1) -> {}',
        'usage(key=key-1) -> {"rpm": 0, "not JSON": "datetime"}',
        "usage(key=key-1) -> raises KeyError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Read beside one report and beside two, of a used key and of a fresh one; an answer emptied by its reader."""
        five, seven = record("key-1", tokens=5), record("key-1", tokens=7)
        read = (usage("key-1"),)
        emptied = usage("key-1", mutate=True)
        yield Workload(name="fresh", given=Given(), setup=read)
        yield Workload(name="copy", given=Given(), setup=(*self._told(), emptied, *read, *self._told("t"), *read))
        if self.policies.tenure == "lease":
            return
        yield Workload(name="one", given=Given(), clients=((five,), read), finale=read)
        yield Workload(name="after-one", given=Given(), setup=(five,), clients=((seven,), read), finale=read)
        yield Workload(name="two", given=Given(), clients=((five,), (seven,), read), finale=read)
        yield Workload(name="read-twice", given=Given(), clients=((five, seven), read * 2), finale=read)

    def _told(self, tag: str = "s") -> tuple[Step, ...]:
        return reported(self, [("key-1", lambda lease: record(lease, tokens=5))], tag=tag)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that was so at no moment, and one that a copy does not explain."""
        if moment.name == "usage" and isinstance(moment.value, dict) and "not JSON" in moment.value:
            kind = moment.value["not JSON"]
            return moment.refusal("numbers, and nothing that JSON does not know", f"usage holds a {kind}")
        emptied = moment.name == "usage" and moment.answered and moment.value == {}
        if emptied and moment.operation.get("mutate") is None and moment.state.spent.get(moment.cell):
            return moment.refusal("what was recorded: its reader changed a copy", "usage answers what a reader changed")
        return wrong_usage(moment)


@final
class NoMoreThanTheLimit(Invariant):
    """Counted on acquire: parallel acquires hand out no more than the limit, and a refused one spends nothing.

    Why: who counts when a key is handed out promises the limit itself, also to callers at once (003-B2b, 002-C1).
    How it breaks: the count is looked at, something is awaited, and it is raised; a refused call has raised it too.
    Fix: look and raise in one step, and raise only where a key is answered.
    """

    id = "QUO11"
    audits = ("003-B2b", "002-C1")
    applies: ClassVar = {"counted_on": ("acquire",)}
    overlap = True
    CONFORMING = (
        'policy counted_on=acquire\ngiven regular=key-1 m1.rpm=1\n| acquire() -> key-1\n| acquire() -> ""',
        (
            'policy counted_on=acquire\ngiven regular=key-1 m1.rpm=1\nacquire() -> key-1\nacquire() -> ""\n'
            "advance(seconds=61)\nacquire() -> key-1"
        ),
    )
    VIOLATING = (
        "policy counted_on=acquire\ngiven regular=key-1 m1.rpm=1\n| acquire() -> key-1\n| acquire() -> key-1",
        'policy counted_on=acquire\ngiven regular=key-1 m1.rpm=1\n| acquire() -> ""\n| acquire() -> ""',
        (
            'policy counted_on=acquire\ngiven regular=key-1 m1.rpm=1\nacquire() -> key-1\nacquire() -> ""\n'
            'usage(key=key-1) -> {"rpm": 2}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """One acquire more than the limit, and several more, on one key and on two; and again a window later."""
        ask = self.policies.tenure == "rotation"
        later = (advance(FREE_AFTER), tick())
        for name, keys, limit, callers in (("two", 1, 1, 2), ("three", 1, 2, 3), ("two-keys", 2, 1, 3)):
            given = limited(Limits(rpm=limit), keys=keys)
            clients = tuple(self.taking(f"a{number}") for number in range(callers))
            read = tuple(usage(key, optional=True) for key in given.regular)
            last = (*later, *(step for number in range(keys * limit) for step in self.taking(f"z{number}")))
            yield Workload(name=name, given=given, clients=clients, finale=(*read, *last))
        if ask and self.policies.exhaustion != "blocks":
            day = limited(Limits(rpd=2), keys=1)
            refused = (acquire(), acquire(), acquire(), acquire(), usage("key-1", optional=True))
            yield Workload(name="refused", given=day, setup=refused)
            many = limited(Limits(rpm=2), keys=1)
            again = (*refused, *later, acquire(), acquire(), acquire())
            yield Workload(name="refused-later", given=many, setup=again)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse one key too many, one too few, and a count of what was refused."""
        if moment.name == "acquire":
            return unusable_served(moment) or nothing_served(moment)
        return wrong_usage(moment)


@final
class StateIsWhole(Invariant):
    """`get_state()` lists every model, those added on the fly too; its summary equals its lists, and JSON takes it.

    Why: the overview is read by people and by dashboards; a model that is missing looks as if nobody used it (000-R).
    How it breaks: models added on the fly are left out; totals are counted elsewhere, at another time; a set is in it.
    Fix: build the lists in one step, and count the totals from them.
    """

    id = "FMT07"
    audits = ("000-R", "002-C2", "002-O3")
    requires = ("state",)
    subject = ("state",)
    overlap = True
    CONFORMING = (
        (
            "given regular=key-1 vertex=\n"
            'state() -> {"models": {"m1": {"regular_keys": {"available": [{"api_key": "key-1"}], '
            '"exhausted": [], "inactive": []}}, "m2": {}}, "summary": {"total_models": 2, "total_available": 1}}'
        ),
        (
            "given regular=key-1,key-2 vertex=\nfail(lease=key-1, status=429) -> key-2\n"
            'state() -> {"models": {"m1": {"regular_keys": {"available": [{}], "exhausted": [{}]}}, '
            '"m2": {"regular_keys": {"available": [{}, {}]}}}, "summary": {"total_keys": 2, "total_available": 3}}'
        ),
        (
            "given regular=key-1 vertex=\n"
            'state() -> {"models": {"m1": {"regular_keys": {"available": [{}]}}, '
            '"m2": {"regular_keys": {"available": [{}]}}}, "summary": {"total_keys": 2}}'
        ),
    )
    VIOLATING = (
        'state() -> {"models": {"m1": {}}, "summary": {}}',
        'state() -> {"models": {"m1": {}, "m2": {}}, "summary": {"total_models": 3}}',
        (
            'state() -> {"models": {"m1": {"regular_keys": {"available": [{"api_key": "key-1"}]}}, "m2": {}}, '
            '"summary": {"total_available": 2}}'
        ),
        "state() -> None",
        "state() -> <set>",
        "state() -> raises RuntimeError",
        'record(lease=key-1, model=m9) -> True\nstate() -> {"models": {"m1": {}, "m2": {}}}',
        'fail(lease=key-1, model=m9, status=429) -> key-2\nstate() -> {"models": {"m1": {}, "m2": {}}}',
        (
            "given regular=key-1,key-2 vertex=vertex-1\n"
            'state() -> {"models": {"m1": {"regular_keys": {"available": [{}, {}]}, '
            '"vertex_keys": {"available": [{}]}}, "m2": {}}, "summary": {"total_keys": 2}}'
        ),
        (
            "given regular=key-1,key-2 vertex=\nfail(lease=key-1, status=429) -> key-2\n"
            'state() -> {"models": {"m1": {"regular_keys": {"available": [{}, {}]}}, "m2": {}}}'
        ),
        (
            'given regular=key-1 vertex=\n| fail(lease=key-1, status=401) -> ""\n'
            '| state() -> {"models": {"m1": {"regular_keys": {"available": [{}], "inactive": []}}, "m2": {}}, '
            '"summary": {"total_available": 0}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """The state with keys spent, marked, taken out, with a model added on the fly, and beside reports of each."""
        read = (state(),)
        spent = (
            reported(self, [("key-1", lambda lease: record(lease, tokens=5))])
            if self.claims.operations.get("record")
            else ()
        )
        failed = self.claims.operations.get("fail")
        out = (*hurt(self, "key-2", status=401), *hurt(self, "key-3", status=429)) if failed else ()
        yield Workload(name="fresh", given=Given(), setup=read)
        yield Workload(name="used", given=Given(), setup=(*spent, *read, *out, *read))
        yield Workload(name="later", given=Given(), setup=(*spent, *out, advance(FREE_AFTER), tick(), *read))
        yield Workload(name="limited", given=limited(Limits(rpm=1)), setup=(*spent, *read))
        yield Workload(name="no-vertex", given=Given(vertex=()), setup=read)
        if self.policies.empty_pools != "refuse":
            yield Workload(name="empty", given=Given(regular=(), vertex=()), setup=read)
            yield Workload(name="no-regular", given=Given(regular=()), setup=read)
        if spent and self._on_the_fly("record"):
            new = reported(self, [("key-1", lambda lease: record(lease, model="m9", tokens=5))])
            yield Workload(name="on-the-fly", given=Given(), setup=(*new, *read))
        for pool, key in (("regular", "key-1"), ("vertex", "vertex-1")):
            if failed and self._on_the_fly("fail"):
                marked = hurt(self, key, status=429, model="m9", pool=pool)
                yield Workload(name=f"{pool}-marked-on-the-fly", given=Given(), setup=(*marked, *read))
            for name, changing in self._changes(key, pool):
                clients = (read, (changing,))
                yield Workload(name=f"{pool}-beside-{name}", given=Given(), clients=clients, finale=read)

    def _on_the_fly(self, name: str) -> bool:
        return self.policies.unknown_model == "on-the-fly" and self.claims.takes(name, "model")

    def _changes(self, key: str, pool: str) -> Iterator[tuple[str, Step]]:
        """Yield what moves a row from one list to another, or adds a model."""
        for code in (401, 429):
            yield f"{code}", failing(self, status=code, pool=pool)(key)
        yield "unheard-of", record(key, model="m9", pool=pool)

    def violations(self, history: History) -> Iterator[Violation]:
        """Hold each state against the pool, the reports before it, and itself."""
        yield from self.accidents(history)
        models = [model for model, _ in history.given.limits] if self.oracle(history).told("limits") else []
        for operation in history.named("state"):
            if isinstance(operation.response, Answered):
                before = (one for one in history.operations if self._adds(one) and one.precedes(operation))
                added = [str(one.get("model")) for one in before]
                yield from self._wrong(operation, [*models, *added], history.given)
        for moment in self.moments(history) if history.sequential else ():
            if moment.name == "state" and moment.answered:
                yield from _misplaced(moment)

    def _adds(self, operation: Operation) -> bool:
        """Tell whether a report is to be remembered for its model, whatever that is: usage, or a 429."""
        if self.policies.unknown_model != "on-the-fly" or operation.get("model") is None:
            return False
        marks = operation.name == "fail" and outcome_of(operation.get("status")) == "quota"
        told = (marks and isinstance(operation.response, Answered)) or operation.value is True
        return operation.name in ("fail", "record") and told

    def _wrong(self, operation: Operation, models: list[str], given: Given) -> Iterator[Violation]:
        told = operation.value
        stranger = _stranger(told)
        if not isinstance(told, dict) or stranger:
            kind = stranger or type(told).__name__
            yield broken(operation, "a dict that JSON takes", f"state answers a {kind}")
            return
        listed = told.get("models")
        names = list(listed) if isinstance(listed, dict | list) else []
        missing = [model for model in dict.fromkeys(models) if model not in names]
        if missing:
            yield broken(operation, f"the models {', '.join(missing)} too", "state leaves a model out")
            return
        summary = told.get("summary")
        if isinstance(summary, dict) and isinstance(listed, dict):
            for name, lawful in _totals(listed, given).items():
                if name in summary and summary[name] not in lawful:
                    expected = f"{name} {' or '.join(map(str, lawful))}, as its lists have it"
                    yield broken(operation, expected, f"the summary's {name} is wrong")
                    return


def _groups(pools: object) -> Iterator[tuple[str, Mapping[str, Collection[object]]]]:
    """Yield the lists that a state has for a model, with the pool that they are of."""
    for name, pool in POOLS.items():
        group = pools.get(name) if isinstance(pools, dict) else None
        if isinstance(group, dict):
            yield pool, {kind: rows for kind, rows in group.items() if isinstance(rows, list | tuple | dict)}


def _totals(models: Mapping[str, object], given: Given) -> dict[str, list[int]]:
    """Answer the totals that the lists of a state add up to: rows, and the keys, which a row may stand for."""
    groups = [[group for _, group in _groups(pools)] for pools in models.values()]
    rows = {kind: [sum(len(group.get(kind, ())) for group in pools) for pools in groups] for kind in GROUPS}
    of_each = [sum(counts) for counts in zip(*rows.values(), strict=True)]
    totals = {"total_models": [len(models)], **{f"total_{kind}": [sum(rows[kind])] for kind in GROUPS}}
    if any(groups):
        keys = len(given.keys("regular")) + len(given.keys("vertex"))
        totals["total_keys"] = sorted({keys, max(of_each), sum(of_each)})
    return totals


def _misplaced(moment: Moment) -> Iterator[Violation]:
    """Yield where more keys are listed as available than are neither taken out nor marked."""
    listed = moment.value.get("models") if isinstance(moment.value, dict) else None
    for model, pools in listed.items() if isinstance(listed, dict) else ():
        for pool, group in _groups(pools):
            able = [key for key in moment.state.members[pool] if _able(moment, (pool, key, moment.oracle.entry(model)))]
            if len(group.get("available", ())) > len(able):
                expected = f"{len(able)} of the {pool} pool available for {model}: the others are out"
                yield broken(moment.operation, expected, "state lists a key as available that is out")
                return


def _able(moment: Moment, cell: tuple[str, str, str]) -> bool:
    """Tell whether a key may be valid and unmarked for a model, at the call or at the return."""
    oracle, state = moment.oracle, moment.state
    times = {moment.operation.at, moment.operation.at if moment.operation.until is None else moment.operation.until}
    return any(
        oracle.valid(state, cell[:2], now) is not Tri.NO and oracle.marked(state, cell, now) is not Tri.YES
        for now in times
    )


def _stranger(value: object) -> str:
    """Answer the type of what JSON does not take, or an empty string."""
    if isinstance(value, Opaque):
        return value.type_name
    if isinstance(value, float) and not math.isfinite(value):
        return "float that is no number"
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return next(filter(None, map(_stranger, inside)), "")
