"""FAIL02 to FAIL04 and FAIL06: what a failure report does to its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import (
    ENTRY_POINTS,
    FIRST,
    ONE,
    PAIR,
    SECOND,
    asks,
    given_back,
    hurt,
    misstated,
    served_though,
    worn,
    wrong_count,
)
from pytest_keyconform.catalogue.steps import POOLS, acquire, fail, record, views
from pytest_keyconform.model.outcome import outcome_of
from pytest_keyconform.model.state import Tri
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.workload import Step

TRIO = Given()
STATUSES = (400, 404, 413, 422, 408, 500, 501, 502, 503, 504, 520, 529, 599, None)


@final
class ThresholdOfFailures(Invariant):
    """A key is valid at max_failures-1 failures and invalid at max_failures, in every view.

    Why: one view says a key is out, another serves it: operators restore what works and miss what does not
    (000-14, 000-15).
    How it breaks: one place compares with >, another with >=; a view counts for itself; strikes are kept by model.
    Fix: one function decides whether a key is valid, and acquire and every view ask it.
    """

    id = "FAIL02"
    audits = ("000-14", "000-15")
    requires = ("fail", "acquire|is_valid|status|all_keys|failures")
    general = True
    CONFORMING = (
        (
            "given max_failures=2\nfail(lease=key-1, status=500) -> key-2\nis_valid(key=key-1) -> True\n"
            "fail(lease=key-1, status=500) -> key-2\nis_valid(key=key-1) -> False\nfailures(key=key-1) -> 2"
        ),
        (
            "policy failures=immediate\nfail(lease=key-1, status=500) -> key-2\nis_valid(key=key-1) -> False\n"
            "failures(key=key-1) -> 3"
        ),
        (
            "given max_failures=2\npolicy success=clears\nfail(lease=key-1, status=500) -> key-2\n"
            "record(lease=key-1) -> True\nfail(lease=key-1, status=500) -> key-2\nis_valid(key=key-1) -> True"
        ),
        (
            "given regular=key-1 max_failures=1\npolicy exhaustion=fallback\nfail(lease=key-1, status=500) -> key-1\n"
            "acquire() -> key-1"
        ),
        (
            "given max_failures=1\npolicy strike_recovery=60.0\nfail(lease=key-1, status=500) -> key-2\n"
            "advance(seconds=62)\nis_valid(key=key-1) -> True\nfailures(key=key-1) -> 0"
        ),
    )
    VIOLATING = (
        "given max_failures=2\nfail(lease=key-1, status=500) -> key-2\nis_valid(key=key-1) -> False",
        "given max_failures=1\nfail(lease=key-1, status=500) -> key-2\nacquire() -> key-1",
        'given regular=key-1 max_failures=2\nfail(lease=key-1, status=500) -> key-1\nacquire() -> ""',
        (
            "given max_failures=1\nfail(lease=key-1, status=500) -> key-2\n"
            'status() -> {"valid_keys": {"key-1": 1, "key-2": 0, "key-3": 0}, "invalid_keys": {}}'
        ),
        "given max_failures=2\nfail(lease=key-1, status=500) -> key-2\nfailures(key=key-1) -> 2",
        "policy failures=immediate\nfail(lease=key-1, status=500) -> key-2\nis_valid(key=key-1) -> True",
    )

    def workloads(self) -> Iterator[Workload]:
        """One failure below the threshold and at it, for three thresholds and both pools, in every view."""
        for pool in POOLS:
            for threshold in (1, 2, 3):
                alone, both = worn(threshold, keys=1), worn(threshold)
                failed = [part for n in range(threshold) for part in self._failed(n, pool)]
                below = failed[: -len(self._failed(0, pool))]
                seen = (*below, *views(alone, pool=pool), acquire(pool=pool))
                yield Workload(name=f"{pool}-{threshold}-below", given=alone, setup=seen)
                seen = (*failed, *views(both, pool=pool), *asks(self, pool=pool))
                yield Workload(name=f"{pool}-{threshold}-at", given=both, setup=seen)
            if self.policies.failures == "immediate":
                seen = (*self._failed(0, pool), *views(PAIR, pool=pool), *asks(self, pool=pool))
                yield Workload(name=f"{pool}-immediate", given=PAIR, setup=seen)
        twice = worn(2)
        models = (*hurt(self, "key-1"), *hurt(self, "key-1", model="m2"))
        every = (*views(twice), *asks(self), acquire(model="m2"), acquire(model="m2"))
        yield Workload(name="two-models", given=twice, setup=(*models, *every))
        between = (*hurt(self, "key-1"), record("key-1"), *given_back(self, "key-1"), *hurt(self, "key-1"))
        yield Workload(name="success-between", given=twice, setup=(*between, *every))
        for pool in POOLS:
            yield from self._reported_between(pool, twice)
        yield Workload(name="other-key", given=worn(1), setup=(*hurt(self, "key-1"), *views(worn(1)), *asks(self)))

    def _reported_between(self, pool: str, given: Given) -> Iterator[Workload]:
        """Yield two strikes with a report between: a success may clear, as declared, and a failed call never."""
        key = FIRST[pool]
        strike, seen = hurt(self, key, pool=pool), (*views(given, pool=pool), *asks(self, pool=pool))
        for outcome in ("success", "transient", "request"):
            told = (record(key, pool=pool, tokens=1, outcome=outcome), *given_back(self, key, pool=pool))
            yield Workload(name=f"{pool}-{outcome}-between", given=given, setup=(*strike, *told, *strike, *seen))

    def _failed(self, number: int, pool: str) -> tuple[Step, ...]:
        return hurt(self, FIRST[pool], status=(500, None, 503)[number % 3], pool=pool)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a view that is wrong about a key with failures, and a service that is."""
        if moment.name in ENTRY_POINTS:
            kept = any(self._below(moment, key) for key in moment.state.members.get(moment.pool, ()))
            return served_though(moment, "struck") or (nothing_served(moment) if kept else None)
        barred = {key for pool, key in moment.state.out if pool == moment.pool}
        return None if barred else misstated(moment)

    def _below(self, moment: Moment, key: str) -> bool:
        at = (moment.pool, key)
        return at in moment.state.strikes and moment.servable().get(key) is Tri.YES


@final
class FailuresAddUp(Invariant):
    """n concurrent failures count exactly n.

    Why: a lost failure keeps a broken key in service; one counted twice takes a good one out (004-2).
    How it breaks: the count is read, something is awaited, and the count is written: the other failure is overwritten.
    Fix: add in one step: no await between reading and writing, a lock around both, or one atomic statement.
    """

    id = "FAIL03"
    audits = ("004-2",)
    requires = ("fail", "failures|status|all_keys|is_valid|acquire")
    applies: ClassVar = {"failures": ("threshold",)}
    overlap = True
    CONFORMING = (
        (
            "given max_failures=9\n| fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-1, status=500) -> key-3\n"
            "failures(key=key-1) -> 2"
        ),
        "| fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-1, status=429) -> key-3\nfailures(key=key-1) -> 1",
        (
            "given max_failures=2\n| fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-1, status=500) -> key-3\n"
            "is_valid(key=key-1) -> False"
        ),
    )
    VIOLATING = (
        (
            "given max_failures=9\n| fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-1, status=500) -> key-3\n"
            "failures(key=key-1) -> 1"
        ),
        (
            "| fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-2, status=500) -> key-3\n"
            'status() -> {"valid_keys": {"key-1": 1, "key-2": 0, "key-3": 0}, "invalid_keys": {}}'
        ),
        (
            "given max_failures=2\n| fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-1, status=500) -> key-3\n"
            "is_valid(key=key-1) -> True"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Two and three failures at once, of one key and of several, and beside other calls."""
        one = fail("key-1", status=500)
        for name, other in (
            ("two-keys", fail("key-2", status=500)),
            ("record", record("key-2", tokens=5)),
            ("acquire", acquire()),
            ("quota", fail("key-2", status=429)),
            ("auth", fail("key-2", status=401)),
        ):
            yield Workload(name=name, given=TRIO, clients=((one,), (other,)), finale=views(TRIO))
        if self.policies.tenure == "rotation":  # a lease has one holder, who reports once
            yield from self._one_key(one)

    def _one_key(self, one: Step) -> Iterator[Workload]:
        seen = views(TRIO)
        yield Workload(name="two", given=TRIO, clients=((one,), (one,)), finale=seen)
        yield Workload(name="after-one", given=TRIO, setup=(one,), clients=((one,), (one,)), finale=seen)
        for name, other in (
            ("two-models", fail("key-1", status=500, model="m2")),
            ("timeout", fail("key-1", status=None)),
            ("own-record", record("key-1", model="m2", tokens=5)),
            ("own-quota", fail("key-1", status=429)),
        ):
            yield Workload(name=name, given=TRIO, clients=((one,), (other,)), finale=seen)
        many, last = worn(10, keys=3), worn(2)
        yield Workload(name="three", given=many, clients=((one,),) * 3, finale=seen)
        yield Workload(name="two-each", given=many, clients=((one, one),) * 2, finale=seen)
        yield Workload(name="threshold", given=last, clients=((one,),) * 2, finale=(*views(last), *asks(self)))
        vertex = fail("vertex-1", pool="vertex", status=500)
        yield Workload(name="vertex", given=TRIO, clients=((vertex,),) * 2, finale=views(TRIO, pool="vertex"))
        almost = worn(3, keys=3)
        setup = (one,) * (almost.max_failures - 1)
        yield Workload(name="last", given=almost, setup=setup, clients=((one,),) * 2, finale=views(almost))
        for pool in POOLS:
            for number, form in enumerate(self.claims.forms("fail", pool)[1:], start=2):
                same = fail(FIRST[pool], pool=pool, status=None, form=form.name)
                for name, first in (("", same), ("-crossed", fail(FIRST[pool], pool=pool, status=None))):
                    clients = ((first,), (same,))
                    seen = views(TRIO, pool=pool)
                    yield Workload(name=f"{pool}-form-{number}{name}", given=TRIO, clients=clients, finale=seen)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a count that no order of the failures explains, and a key that is valid, or out, for a lost one."""
        return misstated(moment) or served_though(moment, "struck")


@final
class QuotaIsOfOneModel(Invariant):
    """429 takes that key out for that model only; other keys and models are untouched.

    Why: one model's quota says nothing of the others; a key taken out for all of them idles for nothing (000-1).
    How it breaks: the mark is kept by key, or for the whole model; the 429 is counted as a failure on top.
    Fix: keep marks by pool, key and model, and let a 429 add no strike.
    """

    id = "FAIL04"
    audits = ("000-1",)
    requires = ("fail|record",)
    CONFORMING = (
        (
            'given regular=key-1\nfail(lease=key-1, model=m1, status=429) -> ""\nacquire(model=m2) -> key-1\n'
            "failures(key=key-1) -> 0"
        ),
        (
            "given regular=key-1,key-2\nfail(lease=key-1, model=m1, status=429) -> key-2\nacquire(model=m1) -> key-2\n"
            "acquire(model=m1) -> key-2"
        ),
        (
            "policy exhaustion=fallback\ngiven regular=key-1\nfail(lease=key-1, model=m1, status=429) -> key-1\n"
            "acquire(model=m1) -> key-1"
        ),
    )
    VIOLATING = (
        'given regular=key-1\nfail(lease=key-1, model=m1, status=429) -> ""\nacquire(model=m2) -> ""',
        "given regular=key-1,key-2\nfail(lease=key-1, model=m1, status=429) -> key-2\nacquire(model=m1) -> key-1",
        "given regular=key-1,key-2\nrecord(lease=key-1, model=m1, outcome=quota) -> True\nacquire(model=m1) -> key-1",
        "fail(lease=key-1, model=m1, status=429) -> key-2\nfailures(key=key-1) -> 1",
        'fail(lease=key-1, model=m1, status=429) -> key-2\nacquire(model=m1) -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """A mark by either report, then that model on all keys, the other model on that key, and the counts."""
        for pool in POOLS:
            key = FIRST[pool]
            told = (record(key, pool=pool, tokens=0, outcome="quota"), *given_back(self, key, pool=pool))
            for name, mark in (("fail", hurt(self, key, status=429, pool=pool)), ("record", told)):
                of_it = asks(self, pool=pool)
                yield Workload(name=f"{pool}-{name}-model", given=PAIR, setup=(*mark, *of_it))
                if self.claims.takes(name, "model", pool=pool):  # else it may be a mark for every model
                    of_other = acquire(model="m2", pool=pool)
                    yield Workload(name=f"{pool}-{name}-other", given=ONE, setup=(*mark, of_other))
                    if self.policies.tenure == "rotation":
                        used = (record(key, model="m2", pool=pool), acquire(model="m2", pool=pool))
                        yield Workload(name=f"{pool}-{name}-used", given=ONE, setup=(*used, *mark, of_other))
                yield Workload(name=f"{pool}-{name}-count", given=PAIR, setup=(*mark, *views(PAIR, pool=pool)))
            if self.claims.takes("fail", "model", pool=pool):
                yield from self._by_failure(pool)

    def _by_failure(self, pool: str) -> Iterator[Workload]:
        key, other = FIRST[pool], SECOND[pool]
        marks = hurt(self, key, status=429, pool=pool)
        second = hurt(self, other, status=429, model="m2", pool=pool)
        across = (acquire(pool=pool), acquire(model="m2", pool=pool))
        yield Workload(name=f"{pool}-across", given=PAIR, setup=(*marks, *second, *across))
        strict = worn(1, keys=1)
        seen = (*marks, acquire(model="m2", pool=pool), *views(strict, pool=pool))
        yield Workload(name=f"{pool}-strict", given=strict, setup=seen)
        yield Workload(name=f"{pool}-thrice", given=ONE, setup=(*marks * 3, acquire(model="m2", pool=pool)))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse the marked key for the model, nothing for another model or key, and a strike."""
        if moment.name in ENTRY_POINTS:
            return served_though(moment, "marked") or nothing_served(moment)
        return wrong_count(moment)


@final
class StatusTable(Invariant):
    """400/404 follow `request_errors`; 5xx, 408 and no status count as one failure.

    Why: a malformed prompt must not disable a key, and an ailing upstream must not go uncounted (000-1).
    How it breaks: every failure counts alike; a time-out without a status counts as none; 404 is read as a bad key.
    Fix: map the status to its class first, and let the class decide what happens to the key.
    """

    id = "FAIL06"
    audits = ("000-1",)
    requires = ("fail",)
    CONFORMING = (
        "fail(lease=key-1, status=400) -> key-2\nfailures(key=key-1) -> 0",
        "policy request_errors=counted\nfail(lease=key-1, status=404) -> key-2\nfailures(key=key-1) -> 1",
        "fail(lease=key-1, status=408) -> key-2\nfailures(key=key-1) -> 1",
        "fail(lease=key-1) -> key-2\nfailures(key=key-1) -> 1",
        (
            "given max_failures=1\npolicy failures=immediate\nfail(lease=key-1, status=400) -> key-2\n"
            "is_valid(key=key-1) -> True"
        ),
    )
    VIOLATING = (
        "fail(lease=key-1, status=400) -> key-2\nfailures(key=key-1) -> 1",
        "policy request_errors=counted\nfail(lease=key-1, status=404) -> key-2\nfailures(key=key-1) -> 0",
        "fail(lease=key-1, status=503) -> key-2\nfailures(key=key-1) -> 2",
        "fail(lease=key-1) -> key-2\nfailures(key=key-1) -> 0",
        "fail(lease=key-1, status=404) -> key-2\nis_valid(key=key-1) -> False",
        "given max_failures=1\nfail(lease=key-1, status=408) -> key-2\nacquire() -> key-1",
        'given regular=key-1\nfail(lease=key-1, status=422) -> ""\nacquire() -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """Each status once and twice, with a threshold of two: counted, listed, served and not served."""
        two, alone = worn(2), worn(2, keys=1)
        for status in STATUSES:
            once = hurt(self, "key-1", status=status)
            yield Workload(name=f"count-{status}", given=PAIR, setup=(*once, *views(PAIR)))
            yield Workload(name=f"once-{status}", given=alone, setup=(*once, *views(alone), acquire()))
            seen = (*once, *once, *views(two), *asks(self))
            yield Workload(name=f"twice-{status}", given=two, setup=seen)
            if outcome_of(status) == "request":
                own = (*once, *once, acquire())
                yield Workload(name=f"alone-{status}", given=alone, setup=own)
                yield Workload(name=f"plain-{status}", given=ONE, setup=(*once, acquire()))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a count, a listing and a service that the status does not explain."""
        if moment.name in ENTRY_POINTS:
            return served_though(moment, "struck") or nothing_served(moment)
        return misstated(moment)
