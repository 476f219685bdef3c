"""EXH: nothing usable, and empty pools."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import PAIR, depletions, entrances, failing, limited, strikes, worn_out
from pytest_keyconform.catalogue.reading import changed, difference
from pytest_keyconform.catalogue.serving import (
    by_exhaustion,
    late,
    nothing_served,
    unusable_served,
    usable,
)
from pytest_keyconform.catalogue.steps import (
    POOLS,
    acquire,
    advance,
    fail,
    next_key,
    random_key,
    reactivate,
    record,
    reset,
    reset_all,
    reset_usage,
    step,
    tick,
    usage,
    views,
)
from pytest_keyconform.model.state import Tri
from pytest_keyconform.model.windows import ALIGNED, SLACK
from pytest_keyconform.operation import Raised
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

ENTRY_POINTS = ("acquire", "random_key")


@final
class FollowsExhaustion(Invariant):
    """With nothing usable acquire follows `exhaustion`, raising nothing undeclared, in each pool, by every entry point.

    Why: callers test for the sentinel or catch one error; anything else ends the request (000-3, 000-11, 000-28).
    How it breaks: an exception where "" was agreed; a key known to be out; one entry point that does otherwise.
    Fix: let every entry point end in one function that answers for an exhausted pool.
    """

    id = "EXH01"
    audits = ("000-3", "000-11", "000-28")
    subject = ("acquire", "random_key")
    ends = True
    general = True
    CONFORMING = (
        'given regular=key-1 m1.rpm=0\nacquire(model=m1) -> ""',
        "policy exhaustion=typed-error\ngiven regular=key-1 m1.rpm=0\nrandom_key(model=m1) -> raises typed NoKey",
        "policy exhaustion=fallback\ngiven regular=key-1,key-2 m1.rpm=0\nacquire(model=m1) -> key-2",
        "policy sentinel=None\ngiven regular=key-1\nfail(lease=key-1, status=401) -> None\nacquire() -> None",
        'policy exhaustion=fallback\ngiven vertex=\nacquire(pool=vertex) -> ""',
    )
    VIOLATING = (
        "given regular=key-1 m1.rpm=0\nacquire(model=m1) -> raises Exception",
        "given regular=key-1 m1.rpm=0\nacquire(model=m1) -> raises typed NoKey",
        "given regular=key-1 m1.rpm=0\nacquire(model=m1) -> None",
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nrandom_key() -> key-1',
        'policy exhaustion=typed-error\ngiven regular=key-1 m1.rpm=0\nacquire(model=m1) -> ""',
        'policy exhaustion=fallback\ngiven regular=key-1 m1.rpm=0\nacquire(model=m1) -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """Every way to have nothing usable, in each pool, asked through every entry point."""
        for pool in POOLS:
            for way in depletions(self, pool):
                for name, ask in entrances(self, pool):
                    yield Workload(
                        name=f"{pool}-{way.name}-{name}", given=way.given, setup=way.steps, finale=(ask,) * 2
                    )

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what the policy does not answer, and what comes after the deadline."""
        if moment.name not in ENTRY_POINTS:
            return None
        truths = usable(moment)
        if Tri.YES in truths.values():
            return None
        return late(moment, self.policies.deadline + SLACK) or by_exhaustion(moment, truths)


@final
class FailureFollowsExhaustion(Invariant):
    """With nothing usable `fail` answers the sentinel or follows `exhaustion`, and raises nothing undeclared.

    Why: a failure is reported from an except block; what the report raises replaces the real error (000-28, 000-30).
    How it breaks: the report asks for the next key and lets its exception through, or hands the failed key out again.
    Fix: answer the sentinel where no key is left, in the report as in acquire.
    """

    id = "EXH02"
    audits = ("000-28", "000-30")
    requires = ("fail",)
    subject = ("fail",)
    ends = True
    general = True
    CONFORMING = (
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""',
        "policy exhaustion=typed-error\ngiven regular=key-1\nfail(lease=key-1, status=429) -> raises typed NoKey",
        "policy exhaustion=fallback\ngiven regular=key-1\nfail(lease=key-1, status=429) -> key-1",
        "given regular=key-1\nfail(lease=key-1, status=500) -> key-1",
    )
    VIOLATING = (
        "given regular=key-1\nfail(lease=key-1, status=401) -> key-1",
        "given regular=key-1\nfail(lease=key-1, status=429) -> None",
        "given regular=key-1\nfail(lease=key-1, status=429) -> raises typed NoKey",
        "given regular=key-1\nfail(lease=key-1, status=500) -> raises StopIteration",
    )

    def workloads(self) -> Iterator[Workload]:
        """The only key fails with each status, alone and again; both keys in turn; a stranger on an empty pool."""
        for pool, key in (("regular", "key-1"), ("vertex", "vertex-1")):
            one = Given(regular=("key-1",), vertex=("vertex-1",))
            for code in (None, 401, 403, 429, 400, 404, 408, 500, 503):
                report = fail(key, status=code, pool=pool)
                yield Workload(name=f"{pool}-{code}", given=one, setup=(report, report))
            last = replace(one, max_failures=1, needs=frozenset({"max_failures"}))
            yield Workload(name=f"{pool}-struck", given=last, setup=(fail(key, status=None, pool=pool),))
            worn = (fail(key, status=None, pool=pool),) * strikes(self)
            yield Workload(name=f"{pool}-worn", given=one, setup=worn)
            both = tuple(fail(each, status=429, pool=pool) for each in PAIR.keys(pool))
            yield Workload(name=f"{pool}-both", given=PAIR, setup=both)
        if self.policies.counted_on == "record" and self.policies.tenure == "rotation":
            spent = (record("key-1"), fail("key-1", status=500))
            yield Workload(name="spent", given=limited(Limits(rpm=1), keys=1), setup=spent)
        if self.policies.empty_pools == "warn":
            empty = Given(regular=(), vertex=())
            yield Workload(name="empty", given=empty, setup=(fail("stranger-1", status=None),))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what the policy does not answer once the failure was taken into account, and what comes too late."""
        if moment.name != "fail":
            return None
        after = Moment(moment.oracle, moment.oracle.step(moment.state, moment.operation)[0], moment.operation)
        truths = usable(after)
        if Tri.YES in truths.values():
            return None
        return late(moment, self.policies.deadline + SLACK) or by_exhaustion(after, truths)


@final
class EveryCallEnds(Invariant):
    """All invalid and many callers: every call ends.

    Why: a loop that never finds a key takes the worker with it, or the whole event loop (004-6, 000-22).
    How it breaks: a caller turns the shared cursor until its first key comes round again; another takes that turn.
    Fix: look at each key at most once in a call, over a list and not over the shared cursor.
    """

    id = "EXH05"
    audits = ("004-6", "000-22")
    subject = ("acquire", "random_key", "fail")
    overlap = True
    ends = True
    CONFORMING = (
        'given regular=key-1 m1.rpm=0\n| acquire(model=m1) -> ""\n| acquire(model=m1) -> ""',
        'policy exhaustion=blocks\ngiven regular=key-1 m1.rpm=0\n| acquire() -> "" after 5\n| acquire() -> "" after 5',
    )
    VIOLATING = (
        'given regular=key-1,key-2 m1.rpm=0\n| acquire(model=m1) -> pending\n| acquire(model=m1) -> ""',
        'given regular=key-1,key-2 m1.rpm=0\n| acquire(model=m1) -> raises RecursionError\n| acquire(model=m1) -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """Two and three callers on a pool with nothing usable, also beside reports and other entry points."""
        for pool in POOLS:
            for way in depletions(self, pool):
                ask = acquire(pool=pool)
                yield Workload(name=f"{pool}-{way.name}", given=way.given, setup=way.steps, clients=((ask,), (ask,)))
        way = next(depletions(self))
        one, other = way.given.keys("regular")
        closed = limited(Limits(rpm=0), keys=4)
        late_failure = failing(self, status=500)
        for name, given, setup, clients in (
            ("three", way.given, way.steps, ((acquire(),),) * 3),
            ("twice", way.given, way.steps, ((acquire(), acquire()),) * 2),
            ("wide", closed, (), ((acquire(), acquire()), (acquire(),))),
            ("random", way.given, way.steps, ((random_key(),), (acquire(),))),
            ("next", way.given, way.steps, ((next_key(), next_key()), (acquire(),))),
            ("fail", way.given, way.steps, ((late_failure(one),), (acquire(),))),
            ("fails", way.given, way.steps, ((late_failure(one),), (late_failure(other),))),
        ):
            yield Workload(name=name, given=given, setup=setup, clients=clients)

    def violations(self, history: History) -> Iterator[Violation]:
        """Name the calls that never ended, and those that ended in an undeclared error."""
        yield from self.accidents(history)
        for operation in history.operations:
            if operation.pending and operation.name in (*self.subject, "next_key"):
                yield broken(operation, "an end of the call", f"{operation.name} never ends with nothing usable")


@final
class ServedAgain(Invariant):
    """A key that becomes usable again is served again.

    Why: keys come back by hand, by a task that tries them, or with the next minute; if the rotation never hears of it,
    the service stays down with good keys (000-14).
    How it breaks: keys taken out are dropped from the rotation; a flag "all exhausted" outlives its reason; one entry
    point looks at a list of its own.
    Fix: let a recovery change what acquire looks at, and look at the clock in acquire, not in a task alone.
    """

    id = "EXH06"
    audits = ("000-14",)
    subject = ("acquire", "random_key")
    CONFORMING = (
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nreset(key=key-1) -> True\nacquire() -> key-1',
        (
            'given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nadvance(seconds=30)\nacquire() -> ""\n'
            "advance(seconds=62)\nacquire() -> key-1"
        ),
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nadvance(seconds=62)\nacquire() -> ""',
    )
    VIOLATING = (
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nreset(key=key-1) -> True\nacquire() -> ""',
        'given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nadvance(seconds=62)\nacquire() -> ""',
        'given regular=key-1\nfail(lease=key-1, status=429) -> ""\nadvance(seconds=62)\nrandom_key() -> ""',
        (
            "policy exhaustion=fallback\ngiven regular=key-1,key-2\nfail(lease=key-1, status=401) -> key-2\n"
            "fail(lease=key-2, status=401) -> key-1\nreset(key=key-2) -> True\nacquire() -> key-1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Nothing usable, asked once in vain; then one key comes back, or all, by each way there is."""
        for pool in POOLS:
            for way in depletions(self, pool):
                for name, back in self._recoveries(way.name, way.given.keys(pool)[1], pool):
                    # A fallback that goes round stands at the same key again after two.
                    asked = [acquire(pool=pool)] * (2 if self.policies.exhaustion == "fallback" else 1)
                    vain = (*way.steps, *asked, *back)
                    asks = (*self.taking("a", pool=pool), *self.taking("b", pool=pool))
                    yield Workload(name=f"{pool}-{way.name}-{name}", given=way.given, setup=vain, finale=asks)
                    for entry, ask in list(entrances(self, pool))[1:] if name in ("reset", "window") else ():
                        ways = f"{pool}-{way.name}-{name}-{entry}"
                        yield Workload(name=ways, given=way.given, setup=vain, finale=(ask,))

    def _recoveries(self, way: str, key: str, pool: str) -> Iterator[tuple[str, tuple[Step, ...]]]:
        """Yield what brings a key back that was taken out in this way."""
        policies = self.policies
        if way in ("auth", "struck", "marked", "mixed", "refused"):
            yield "reset", (reset(key, pool=pool),)
            yield "reset-all", (reset_all(),)
            yield "reactivate", (reactivate(key),)
        if way in ("marked", "mixed"):
            yield "reactivate-model", (reactivate(key, model="m1"),)
        if way in ("spent", "last"):
            yield "reset-usage", (reset_usage(),)
        pauses = {
            "spent": 62.0,
            "last": 62.0,
            "marked": _pause(policies.quota_recovery),
            "mixed": _pause(policies.quota_recovery),
            "struck": _pause(policies.strike_recovery),
            "auth": _pause(policies.auth_recovery),
        }
        if pauses.get(way) is not None:
            yield "window", (advance(pauses[way] or 0), tick())

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an empty answer while a key is back, and under ``fallback`` another key."""
        if moment.name not in ENTRY_POINTS:
            return None
        fallback = self.policies.exhaustion == "fallback"
        return nothing_served(moment) or (unusable_served(moment) if fallback else None)


def _pause(recovery: object) -> float | None:
    """Answer the seconds after which a key is back for sure, by itself; None where it is by hand."""
    match recovery:
        case "minute":
            return 62.0
        case "day":
            return 90_000.0
        case tuple():
            return float(recovery[0]) + 2
        case int() | float():
            return recovery + 2
    return None


@final
class VainAskChangesNothing(Invariant):
    """An acquire that finds nothing usable changes no count, no mark, no status (but a served `fallback`'s own count).

    Why: under an outage callers ask again and again; if asking repairs or spoils the keys, the state says nothing any
    more (000-3, 000-14).
    How it breaks: "all have failed, so forget the failures"; an ask in vain counts as a failure or spends a request.
    Fix: choose first, and change the state of the key that was chosen, if one was.
    """

    id = "EXH08"
    audits = ("000-3", "000-14")
    requires = ("acquire", "fail|record")
    CONFORMING = (
        (
            'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nis_valid(key=key-1) -> False\nacquire() -> ""\n'
            'acquire() -> ""\nis_valid(key=key-1) -> False\nreset(key=key-1) -> True\nacquire() -> key-1'
        ),
        (
            "policy exhaustion=fallback counted_on=acquire\ngiven regular=key-1 m1.rpm=0\nusage(key=key-1) -> {}\n"
            'acquire() -> key-1\nusage(key=key-1) -> {"rpm": 1}'
        ),
    )
    VIOLATING = (
        (
            'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nis_valid(key=key-1) -> False\nacquire() -> ""\n'
            "is_valid(key=key-1) -> True"
        ),
        'given regular=key-1\nfail(lease=key-1, status=429) -> ""\nacquire() -> ""\nacquire() -> key-1',
        (
            'given regular=key-1,key-2\nfail(lease=key-1, status=401) -> key-2\nfail(lease=key-2, status=401) -> ""\n'
            'acquire() -> ""\nreset(key=key-1) -> True\nacquire() -> key-2'
        ),
        (
            'given regular=key-1\nfail(lease=key-1, status=429) -> ""\nusage(key=key-1) -> {"rpm": 0}\n'
            'acquire() -> ""\nusage(key=key-1) -> {"rpm": 1}'
        ),
        (
            'given regular=key-1\nfail(lease=key-1, status=401) -> ""\n'
            'state() -> {"models": {"m1": {"regular_keys": {"inactive": [{"api_key": "key-1", "rpm": 0}]}}}}\n'
            'acquire() -> ""\n'
            'state() -> {"models": {"m1": {"regular_keys": {"inactive": [{"api_key": "key-1", "rpm": 1}]}}}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Nothing usable: the views are read, acquire is asked in vain, they are read again; or one key is restored."""
        for pool in POOLS:
            for way in (*depletions(self, pool), *worn_out(self, pool)):
                key, *_ = keys = way.given.keys(pool)
                seen = (*(usage(one, pool=pool, optional=True) for one in keys), step("state", optional=True))
                read = (*views(way.given, pool=pool), *seen)
                for entry, ask in entrances(self, pool):
                    steps = (*way.steps, *read, ask, ask, *read, ask)
                    yield Workload(name=f"{pool}-{way.name}-{entry}", given=way.given, setup=steps)
                if way.name not in ("spent", "last", "closed"):
                    after = (*self.taking("a", pool=pool), *self.taking("b", pool=pool))
                    restored = (*way.steps, *[acquire(pool=pool)] * 3, reset(key, pool=pool), *after)
                    yield Workload(name=f"{pool}-{way.name}-reset", given=way.given, setup=restored)

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare the readings around acquires that found nothing, and judge what is served after them."""
        failed = [op for op in history.named("fail") if isinstance(op.response, Raised)]
        if failed or not history.sequential:
            return  # whether a failure was taken into account that was answered by an error is not certain
        vain: list[Operation] = []
        for moment in self.moments(history):
            if moment.name not in ENTRY_POINTS:
                continue
            if vain:
                yield from self._unlike(moment)
            if all(truth is Tri.NO for truth in usable(moment).values()):
                vain.append(moment.operation)
        yield from self._changes(history, vain)

    def _steady(self) -> bool:
        """Tell whether what the views tell stays as it is while acquires wait, within the first minute."""
        declared = self.policies
        by_hand = declared.strike_recovery is None and declared.auth_recovery is None
        return by_hand and declared.quota_recovery in ("minute", "day", None) and declared.minute_window != "bucket"

    def _unlike(self, moment: Moment) -> Iterator[Violation]:
        refusal = unusable_served(moment) or nothing_served(moment)
        if refusal is not None:
            yield broken(moment.operation, refusal.expected, f"after asking in vain {refusal.signature}")

    def _changes(self, history: History, vain: list[Operation]) -> Iterator[Violation]:
        fallback_counts = self.policies.exhaustion == "fallback" and self.policies.counted_on == "acquire"
        within = ALIGNED if self._steady() else SLACK
        for before, after in changed(history, lambda operation: operation in vain, within=within):
            if not fallback_counts or after.name not in ("usage", "state"):
                yield broken(after, difference(before), f"asking in vain changes {after.name}")
