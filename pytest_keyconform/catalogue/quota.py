"""QUO01, QUO02 and QUO04: what is counted, for whom, and up to where."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import limit_of, limited, told
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import at_limit
from pytest_keyconform.catalogue.steps import (
    acquire,
    fail,
    random_key,
    record,
    release,
    usage,
)
from pytest_keyconform.model.outcome import OUTCOMES
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

ENTRY_POINTS = ("acquire", "random_key")
COUNTED = {"counted_on": ("record", "acquire")}
FIELDS = ("rpm", "tpm", "rpd")


def _two_models(rule: Invariant, given: Given) -> Given:
    """Answer the pool for a workload with two models; where unknown ones become one, both must be configured."""
    told = rule.policies.unknown_model == "on-the-fly"
    return given if told else replace(given, needs=given.needs | {"limits"})


@final
class RecordsAddUp(Invariant):
    """n concurrent records add exactly n requests and exactly the sum of the tokens.

    Why: every lost update lets the provider see more than the limit, and answers come as 429s (002-C1).
    How it breaks: a row is read, something is awaited, and the row is written: the other report is overwritten.
    Fix: add in one step: no await between reading and writing, a lock around both, or one atomic statement.
    """

    id = "QUO01"
    audits = ("002-C1",)
    requires = ("record", "usage|acquire")
    applies: ClassVar = COUNTED
    subject = ("record",)
    overlap = True
    general = True
    CONFORMING = (
        (
            "| record(lease=key-1, tokens=5) -> True\n| record(lease=key-1, tokens=7) -> True\n"
            'usage(key=key-1) -> {"rpm": 2, "tpm": 12, "rpd": 2}'
        ),
        'policy counted_on=acquire\nrecord(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> {"rpm": 0, "tpm": 5}',
        'record(lease=key-1, tokens=5) -> False\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        "usage(key=key-1) -> None",
    )
    VIOLATING = (
        (
            "| record(lease=key-1, tokens=5) -> True\n| record(lease=key-1, tokens=7) -> True\n"
            'usage(key=key-1) -> {"rpm": 1, "tpm": 5}'
        ),
        'record(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> {"tpm": 10}',
        "record(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> None",
        "| record(lease=key-1, tokens=5) -> False\n| record(lease=key-1, tokens=7) -> True",
    )

    def workloads(self) -> Iterator[Workload]:
        """Two and three reports at once: of one key, two keys, two models; beside an acquire and a failure."""
        # Under leases a key has one holder, who reports on it alone.
        one, two, three = ("key-1", "key-2", "key-3") if self.policies.tenure == "lease" else ("key-1",) * 3
        reads = tuple(usage(key) for key in ("key-1", "key-2", "key-3"))
        five, seven, much = record(one, tokens=5), record(two, tokens=7), record(three, tokens=100)
        for name, setup, clients in (
            ("two", (), ((five,), (seven,))),
            ("two-keys", (), ((five,), (record("key-2", tokens=7),))),
            ("three", (), ((five,), (seven,), (much,))),
            ("acquire", (), ((five,), self.taking("a"))),
            ("failure", (), ((five,), (fail(two, status=500),))),
        ):
            yield Workload(name=name, given=Given(), setup=setup, clients=clients, finale=reads)
        vertex = (record("vertex-1", pool="vertex", tokens=5), record(two.replace("key", "vertex"), pool="vertex"))
        seen = tuple(usage(key, pool="vertex") for key in ("vertex-1", "vertex-2"))
        yield Workload(name="vertex", given=Given(), clients=tuple((each,) for each in vertex), finale=seen)
        if self.policies.tenure == "rotation":
            yield from self._one_key()

    def _one_key(self) -> Iterator[Workload]:
        five, seven = record("key-1", tokens=5), record("key-1", tokens=7)
        again = (usage("key-1"),)
        yield Workload(name="after-one", given=Given(), setup=(five,), clients=((five,), (seven,)), finale=again)
        yield Workload(name="two-each", given=Given(), clients=((five, five), (seven, seven)), finale=again)
        for outcome in OUTCOMES:
            failed = record("key-1", tokens=5, outcome=outcome)
            for name, first in (("two", failed), ("beside", seven)):
                yield Workload(name=f"{name}-{outcome}", given=Given(), clients=((first,), (failed,)), finale=again)
        other = record("key-1", model="m2", tokens=7)
        both = (*again, usage("key-1", model="m2"))
        models = _two_models(self, Given())
        yield Workload(name="two-models", given=models, clients=((five,), (other,)), finale=both)
        if self.policies.counted_on == "record":
            for name, limit in (("spent", Limits(rpm=2)), ("left", Limits(rpm=3)), ("tokens", Limits(tpm=12))):
                given = limited(limit, keys=1)
                yield Workload(name=name, given=given, clients=((five,), (seven,)), finale=self.taking("a"))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that does not add up, or a service that does not where there is no usage."""
        if moment.name == "record":
            return self._declined(moment)
        if moment.name in ENTRY_POINTS and not self.claims.operations.get("usage"):
            return at_limit(moment)
        return wrong_usage(moment)

    def _declined(self, moment: Moment) -> Refusal | None:
        """Refuse that one of several reports at once is not taken."""
        overlapping = moment.operation.client > 0 and self.policies.tenure == "rotation"
        free = self.policies.error_usage == "free" and moment.operation.get("outcome", "success") != "success"
        if not overlapping or free or moment.value is not False or moment.operation.get("bad"):
            return None
        sound = moment.oracle.usable(moment.state, moment.cell, moment.operation.at) is Tri.YES
        signature = "a concurrent record is turned away"
        return moment.refusal("True: it is recorded", signature, gives="True") if sound else None


@final
class ExactBoundary(Invariant):
    """A key at a limit is not served; one below it is (exact boundary, each of rpm, tpm, rpd alone).

    Why: one too many is a 429, one too few is quota paid for and not used (000-3, 003-B2b).
    How it breaks: ``<=`` for ``<``; a limit of 0 or None read as the other; requests compared with the tokens' limit.
    Fix: a key is usable while ``used < limit`` for each limit that is not None.
    """

    id = "QUO02"
    audits = ("000-3", "003-B2b")
    applies: ClassVar = COUNTED
    general = True
    CONFORMING = (
        (
            "given regular=key-1 m1.rpm=2\nrecord(lease=key-1) -> True\nacquire() -> key-1\n"
            'record(lease=key-1) -> True\nacquire() -> ""'
        ),
        'given regular=key-1 m1.tpm=9\nrecord(lease=key-1, tokens=8) -> True\nacquire() -> key-1\nacquire() -> ""',
        'policy counted_on=acquire\ngiven regular=key-1 m1.rpm=1\nacquire() -> key-1\nacquire() -> ""',
        "policy exhaustion=fallback\ngiven regular=key-1 m1.rpm=0\nacquire() -> key-1",
    )
    VIOLATING = (
        "given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nacquire() -> key-1",
        'given regular=key-1 m1.rpm=2\nrecord(lease=key-1) -> True\nacquire() -> ""',
        "given regular=key-1 m1.tpm=0\nacquire() -> key-1",
        "policy counted_on=acquire\ngiven regular=key-1 m1.rpd=1\nacquire() -> key-1\nacquire() -> key-1",
        (
            "policy exhaustion=fallback\ngiven regular=key-1,key-2 m1.rpm=1\n"
            "record(lease=key-1) -> True\nacquire() -> key-1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """An only key filled to each limit, asked for at every step; a full one beside a free one; limits of 0."""
        if self.policies.counted_on == "record" and not self.claims.operations.get("record"):
            return
        for field in FIELDS:
            yield Workload(name=f"{field}-0", given=limited(limit_of(field, 0)), setup=(acquire(), acquire()))
            for limit in (1, 2, 3):
                filled = tuple(s for number in range(limit) for s in self._request(f"r{number}", field))
                given = limited(limit_of(field, limit), keys=1)
                yield Workload(name=f"{field}-{limit}", given=given, setup=(*filled, acquire()))
        if self.policies.counted_on == "record":
            yield from self._recorded()

    def _request(self, bind: str, field: str) -> tuple[Step, ...]:
        """Answer the steps of one request: the key is taken, it is reported on, and given back under leases."""
        given_back = self.policies.tenure == "lease" and self.policies.release == "explicit"
        report = record(Ref(bind), tokens=1 if field == "tpm" else 0)
        needed = self.policies.counted_on == "record" or self.policies.tenure == "lease" or field == "tpm"
        return (acquire(bind), *([report] if needed else []), *([release(Ref(bind))] if given_back else []))

    def _recorded(self) -> Iterator[Workload]:
        for field in FIELDS:
            filled = tuple(s for _ in range(2) for s in told(self, record("key-1", tokens=int(field == "tpm"))))
            asks = (*self.taking("a"), *self.taking("b"))
            yield Workload(name=f"{field}-beside", given=limited(limit_of(field, 2)), setup=(*filled, *asks))
            # The last retry: it answers no key, so that nothing is handed out that might count.
            out = (fail("key-1", status=None, retries=Given().max_retries),) * Given().max_failures
            left = limited(limit_of(field, 2))
            one = told(self, record("key-2", tokens=int(field == "tpm")))
            yield Workload(name=f"{field}-last", given=left, setup=(*one, *out, acquire()))
            given = replace(limited(limit_of(field, 2), keys=1), vertex=("vertex-1",))
            spent = [s for _ in range(2) for s in told(self, record("vertex-1", pool="vertex"))]
            yield Workload(name=f"{field}-vertex", given=given, setup=(*spent, acquire(pool="vertex")))
            if self.policies.tenure == "rotation":
                below = (*filled[:1], random_key(), *filled[:1], random_key())
                yield Workload(name=f"{field}-random", given=limited(limit_of(field, 2), keys=1), setup=below)
        for number, form in enumerate(self.claims.forms("acquire")):
            if number and "model" in form.parameters and self.policies.tenure == "rotation":
                ask = (record("key-1"), acquire(form=form.name))
                yield Workload(name=f"form-{number}", given=limited(Limits(rpm=2), keys=1), setup=ask * 2)
        for name, field, limit, amounts in (
            ("tokens-over", "tpm", 10, (6, 6)),
            ("tokens-near", "tpm", 10, (6, 3)),
            ("tokens-none", "tpm", 2, (0, 0, 0)),
            ("tokens-many", "rpm", 3, (500, 500)),
            ("tokens-daily", "rpd", 3, (500, 500)),
        ):
            spent = [s for tokens in amounts for s in told(self, record("key-1", tokens=tokens))]
            yield Workload(name=name, given=limited(limit_of(field, limit), keys=1), setup=(*spent, acquire()))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key at a limit, and an empty answer while one is below its limits."""
        if moment.name not in ENTRY_POINTS:
            return None
        return at_limit(moment)


@final
class CountedApart(Invariant):
    """Counters are per pool, key and model; ("a:b", "c") and ("a", "b:c") differ.

    Why: a counter several share reaches its limit for all of them, one that is split never does (000-29, 002-O7).
    How it breaks: names are joined by a sign that may stand in them; one counter for a key, whatever the model.
    Fix: key the counters by tuples, or escape what is joined.
    """

    id = "QUO04"
    audits = ("000-29", "002-O7")
    requires = ("record", "usage|acquire")
    applies: ClassVar = COUNTED
    CONFORMING = (
        (
            'record(lease=key-1, model=m1, tokens=3) -> True\nusage(key=key-1, model=m2) -> {"rpm": 0, "tpm": 0}\n'
            'usage(key=key-2, model=m1) -> None\nusage(key=key-1, model=m1) -> {"rpm": 1, "tpm": 3}'
        ),
        "given regular=key-1 m1.rpm=1 m2.rpm=1\nrecord(lease=key-1, model=m1) -> True\nacquire(model=m2) -> key-1",
    )
    VIOLATING = (
        'record(lease=key-1, model=m1, tokens=3) -> True\nusage(key=key-1, model=m2) -> {"rpm": 1}',
        'record(lease=key-1, model=m1, tokens=3) -> True\nusage(key=key-2, model=m1) -> {"tpm": 3}',
        'given regular=key-1 m1.rpm=1 m2.rpm=1\nrecord(lease=key-1, model=m1) -> True\nacquire(model=m2) -> ""',
        (
            "given regular=key-1 vertex=key-1\nrecord(lease=key-1, pool=vertex) -> True\n"
            'usage(key=key-1, pool=regular) -> {"rpm": 1}'
        ),
        (
            "given regular=key-1 a:b.rpm=9 b.rpm=9\nrecord(lease=key-1, model=a:b) -> True\n"
            'usage(key=key-1, model=b) -> {"rpm": 1}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Reports on keys, models and pools in turn, each counter read; names with every usual separator in them."""
        m1 = [*self._told("key-1", 3), *self._told("key-1", 4), *self._told("key-2", 5)]
        yield Workload(
            name="keys", given=Given(), setup=tuple(m1), finale=(usage("key-1"), usage("key-2"), usage("key-3"))
        )
        mixed = (*self._told("key-1", 3), *self._told("key-1", 4, model="m2"), *self._told("key-1", 5))
        seen = (usage("key-1"), usage("key-1", model="m2"))
        yield Workload(name="models", given=_two_models(self, Given()), setup=mixed, finale=seen)
        pools = (*self._told("key-1", 3), *self._told("vertex-1", 4, pool="vertex"))
        yield Workload(name="pools", given=Given(), setup=pools, finale=(usage("key-1"),))
        yield Workload(name="pools-read", given=Given(), setup=pools, finale=(usage("vertex-1", pool="vertex"),))
        for number, names in enumerate((("a:b", "a", "b"), ("a|b", "a", "b"), ("a/b", "a", "b"), ("a-b", "a", "b"))):
            named = Given(limits=tuple((name, Limits()) for name in ("m1", *names)), needs=frozenset({"limits"}))
            every = [s for n, name in enumerate(names, start=1) for s in self._told("key-1", n, model=name)]
            read = tuple(usage("key-1", model=name) for name in names)
            first = self._told("key-1", 1, model=names[0])
            yield Workload(name=f"names-{number}-first", given=named, setup=first, finale=read)
            yield Workload(name=f"names-{number}-all", given=named, setup=tuple(every), finale=read)
        yield from self._run_together()
        yield from self._by_quota()

    def _run_together(self) -> Iterator[Workload]:
        """Yield a key and a model that read the same as another key and another model, written one after the other."""
        limits = tuple((name, Limits(rpm=1)) for name in ("m1", "c", "b:c"))
        given = Given(regular=("key-1", "key-1:b"), limits=limits, needs=frozenset({"limits"}))
        long_key, long_model = self._told("key-1:b", 3, model="c"), self._told("key-1", 4, model="b:c")
        read = (usage("key-1:b", model="c"), usage("key-1", model="b:c"))
        for name, steps in (("key", long_key), ("model", long_model), ("both", (*long_key, *long_model))):
            yield Workload(name=f"together-{name}", given=given, setup=steps, finale=read)
        if self.policies.counted_on == "record" and self.policies.tenure == "rotation":
            out = (*long_key, fail("key-1:b", status=401, retries=Given().max_retries), acquire(model="b:c"))
            yield Workload(name="together-quota", given=given, setup=out)

    def _told(self, key: str, tokens: int, **more: str) -> tuple[Step, ...]:
        return told(self, record(key, tokens=tokens, model=more.get("model", "m1"), pool=more.get("pool", "regular")))

    def _by_quota(self) -> Iterator[Workload]:
        """Yield what shows without a usage: a limit that is reached for one counter and not for the other."""
        if self.policies.counted_on != "record":
            return
        once = replace(limited(Limits(rpm=1), keys=1), vertex=("vertex-1",))
        asks = (*self.taking("a", model="m2"), acquire())
        yield Workload(name="models-quota", given=once, setup=(*self._told("key-1", 1), *asks))
        for own, key, other in (("regular", "key-1", "vertex"), ("vertex", "vertex-1", "regular")):
            spent = self._told(key, 1, pool=own)
            asks = (*self.taking("a", pool=other), acquire(pool=own))
            yield Workload(name=f"{own}-quota", given=once, setup=(*spent, *asks))
            if self.policies.both_pools == "separate" and self.claims.takes("record", "pool", pool=own):
                same = replace(once, regular=("key-1",), vertex=("key-1",))
                spent = self._told("key-1", 1, pool=own)
                read = tuple(usage("key-1", pool=pool, optional=True) for pool in ("regular", "vertex"))
                yield Workload(name=f"{own}-same", given=same, setup=(*spent, *asks, *read))

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge calls in a row only: what is lost when they overlap is another promise."""
        if history.sequential:
            yield from self.disorder(history)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage, and what is served for it, that other counters explain."""
        return at_limit(moment) if moment.name in ENTRY_POINTS else wrong_usage(moment)
