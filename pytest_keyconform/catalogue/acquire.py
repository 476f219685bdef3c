"""ACQ: acquire and rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.steps import (
    acquire,
    fail,
    next_key,
    random_key,
    record,
)
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Opaque, shown
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.workload import Step

PAIR = Given(regular=("key-1", "key-2"))
TRIO = Given()
ENTRY_POINTS = ("acquire", "random_key")
LUCK = 20  # random answers in a row that are not all right by chance
READS = ("usage", "failures", "is_valid", "status", "all_keys", "state", "health")


def _one(limit: Limits) -> Given:
    """Make a pool of two keys whose models have this one limit."""
    return Given(regular=PAIR.regular, limits=(("m1", limit), ("m2", limit)), needs=frozenset({"limits"}))


@final
class DistinctKeys(Invariant):
    """Concurrent acquires for one model return distinct keys while that many are usable.

    Why: two callers that get one key run it into its limit twice as fast, and the 429s cascade (004-1).
    How it breaks: the cursor is read, something is awaited, and the cursor is written: two callers read one value.
    Fix: choose and advance in one step: no await between them, one lock around both, or one atomic statement.
    """

    id = "ACQ01"
    audits = ("004-1", "004-T")
    applies = {"selection": ("round-robin", "least-used", "most-left")}
    subject = ("acquire",)
    overlap = True
    CONFORMING = (
        "| acquire(model=m1) -> key-1\n| acquire(model=m1) -> key-2",
        (
            "fail(lease=key-1, model=m1, status=401) -> key-2\nfail(lease=key-2, model=m1, status=401) -> key-3\n"
            "| acquire(model=m1) -> key-3\n| acquire(model=m1) -> key-3"
        ),
    )
    VIOLATING = (
        "| acquire(model=m1) -> key-1\n| acquire(model=m1) -> key-1",
        "fail(lease=key-1, model=m1, status=401) -> key-2\n| acquire(model=m1) -> key-2\n| acquire(model=m1) -> key-2",
    )

    def workloads(self) -> Iterator[Workload]:
        """Two and three callers at once: on a fresh pool, a turned one, one with a key out, the vertex pool."""
        for name, setup, callers in (
            ("two", (), 2),
            ("three", (), 3),
            ("turned", self.taking("first"), 3),
            ("one-out", (fail("key-1", status=401),), 2),
            ("one-used", (record("key-2", tokens=5),), 3),
        ):
            yield Workload(name=name, given=TRIO, setup=setup, clients=((acquire(),),) * callers)
        yield Workload(name="vertex", given=TRIO, clients=((acquire(pool="vertex"),),) * 2)

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare what overlapping acquires of one model were served."""
        yield from self.accidents(history)
        together = history.parallel()
        asked = {(op.name, op.get("pool"), op.get("model")) for op in together}
        if len(asked) != 1 or together[0].name != "acquire":
            return
        moment = next(m for m in self.moments(history) if m.operation is together[0])
        usable = [key for key, truth in moment.servable().items() if truth is Tri.YES]
        if len(together) > len(usable):
            return
        served = [operation.value for operation in together]
        twice = next((key for key in usable if served.count(key) > 1), None)
        if twice is not None:
            yield Violation(
                observed=f"{len(together)} overlapping acquires were served {', '.join(map(shown, served))}",
                expected=f"every order serves {len(together)} different keys of {', '.join(usable)}",
                signature="overlapping acquires are served one key",
                operation=next(operation for operation in together if operation.value == twice),
            )


@final
class PoolOfTheKey(Invariant):
    """The key belongs to the pool asked for.

    Why: a vertex key sent to the regular endpoint is refused there, and the failure is charged to the wrong pool
    (000-2, 000-17).
    How it breaks: one rotation for both pools; an exhausted pool falls back to the other one.
    Fix: keep one rotation for each pool, and answer by ``exhaustion`` where that pool has nothing left.
    """

    id = "ACQ04"
    audits = ("000-2", "000-17")
    requires = ("acquire|next_key|random_key",)
    general = True
    CONFORMING = (
        "acquire(pool=vertex) -> vertex-1\nacquire(pool=regular) -> key-1\nnext_key(pool=vertex) -> vertex-2",
        'fail(lease=vertex-1, pool=vertex, status=401) -> vertex-2\nacquire(pool=vertex) -> ""',
    )
    VIOLATING = (
        "acquire(pool=vertex) -> key-1",
        "next_key(pool=regular) -> vertex-2",
        "acquire(pool=regular) -> kc-1…",
    )

    def workloads(self) -> Iterator[Workload]:
        """Both pools in turn; then one with nothing left."""
        one_each = Given(regular=("key-1",), vertex=("vertex-1",))
        asks = [s for n in range(2) for p in ("regular", "vertex") for s in self.taking(f"{p}{n}", pool=p)]
        turns = [next_key(pool=pool, optional=True) for pool in ("regular", "vertex")] * 2
        yield Workload(name="turns", given=TRIO, setup=(*asks, *turns, random_key(optional=True)))
        for own, other, key in (("regular", "vertex", "key-1"), ("vertex", "regular", "vertex-1")):
            gone = fail(key, pool=own, status=401)
            after = (
                *self.taking("a", pool=own),
                *self.taking("b", pool=other),
                next_key(pool=own, optional=True),
            )
            chance = (random_key(optional=True),) if own == "regular" else ()
            yield Workload(name=f"{own}-out", given=one_each, setup=(gone, *after, *chance))
            before = (*self.taking("x", pool=other), *self.taking("y", pool=own))
            yield Workload(name=f"{own}-then-out", given=one_each, setup=(*before, gone, *after))
        if self.policies.empty_pools == "warn":
            for own, given in (("regular", Given(regular=())), ("vertex", Given(vertex=()))):
                asks = [*self.taking("a", pool=own), next_key(pool=own, optional=True)]
                yield Workload(name=f"{own}-empty", given=given, setup=tuple(asks))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key of the other pool, and a string that is no key at all."""
        if moment.name not in (*ENTRY_POINTS, "next_key") or not moment.answered or moment.nothing:
            return None
        if not isinstance(moment.value, str) or moment.state.knows(moment.pool, moment.value):
            return None
        keys = ", ".join(moment.state.members[moment.pool]) or "no key: the pool is empty"
        return moment.refusal(f"a key of the {moment.pool} pool ({keys})", f"{moment.name} leaves its pool")


@final
class UnusableNotServed(Invariant):
    """A key that was unusable when the call began is not served.

    Why: a caller that gets a key known to be out burns a request and a retry on it (004-2, 000-7).
    How it breaks: the check and the choice are apart, or a write of another call puts an old copy of the key back.
    Fix: check and choose in one step, and change single fields, never a whole copy that was read before an await.
    """

    id = "ACQ05"
    audits = ("004-2", "000-7")
    requires = ("acquire", "fail|record")
    overlap = True
    general = True
    CONFORMING = (
        "| fail(lease=key-1, model=m1, status=401) -> key-2\n| acquire(model=m1) -> key-1\nacquire(model=m1) -> key-2",
        "given regular=key-1,key-2 m1.rpm=1\nrecord(lease=key-1, model=m1) -> True\nacquire() -> key-2",
        'policy exhaustion=fallback\ngiven regular=key-1\nfail(lease=key-1, status=401) -> ""\nacquire() -> key-1',
    )
    VIOLATING = (
        "| fail(lease=key-1, model=m1, status=401) -> key-2\n| acquire(model=m1) -> key-2\nacquire(model=m1) -> key-1",
        "given regular=key-1,key-2 m1.rpm=1\nrecord(lease=key-1, model=m1) -> True\nacquire() -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """A failure or the last request of a quota, with acquires around it and after it."""
        strike = Given(regular=("key-1", "key-2"), max_failures=1, needs=frozenset({"max_failures"}))
        after = (*self.taking("x"), *self.taking("y"), *self.taking("z"))
        for name, given, hurt in (
            ("auth", PAIR, fail("key-1", status=401)),
            ("quota", PAIR, fail("key-1", status=429)),
            ("struck", strike, fail("key-1", status=500)),
            ("spent", _one(Limits(rpm=1)), record("key-1")),
            ("tokens", _one(Limits(tpm=5)), record("key-1", tokens=5)),
        ):
            if name in ("spent", "tokens") and self.policies.counted_on != "record":
                continue
            yield Workload(name=f"{name}-then", given=given, setup=(hurt,), finale=after)
            yield Workload(name=f"{name}-acquire", given=given, clients=((hurt,), self.taking("a")), finale=after)
            then = (hurt, *self.taking("b"))
            yield Workload(name=f"{name}-same", given=given, clients=(then, self.taking("a")), finale=after)
            other = record("key-1", model="m2", tokens=1)
            yield Workload(name=f"{name}-record", given=given, clients=((hurt,), (other,)), finale=after)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that was out, marked or spent."""
        return unusable_served(moment) if moment.name == "acquire" else None


@final
class ModelAskedFor(Invariant):
    """The choice depends on the model asked for and nothing else.

    Why: routes that ask with a hard-coded model spend or spare the wrong quota (000-18, 000-30, 000-31).
    How it breaks: acquire looks at the default model, at the last one used, or at one flag for all models.
    Fix: look up the entry of the model that was asked for, and no other.
    """

    id = "ACQ06"
    audits = ("000-18", "000-30", "000-31")
    requires = ("acquire", "fail|record")
    CONFORMING = (
        "given regular=key-1 m1.rpm=1\nrecord(lease=key-1, model=m1) -> True\nacquire(model=m2) -> key-1",
        (
            "given regular=key-1,key-2\nfail(lease=key-1, model=m2, status=429) -> key-2\nacquire(model=m1) -> key-1\n"
            "acquire(model=m2) -> key-2"
        ),
    )
    VIOLATING = (
        'given regular=key-1 m1.rpm=1\nrecord(lease=key-1, model=m1) -> True\nacquire(model=m2) -> ""',
        "given regular=key-1,key-2\nfail(lease=key-1, model=m2, status=429) -> key-2\nacquire(model=m2) -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """One model spent or marked, on every key and on one, and the other asked for; both ways round."""
        for spent, other in (("m1", "m2"), ("m2", "m1")):
            asked = [s for n in range(2) for m in (other, spent) for s in self.taking(f"{m}{n}", model=m)]
            for name, keys in (("all", ("key-1", "key-2")), ("one", ("key-1",))):
                marks = tuple(fail(key, model=spent, status=429) for key in keys)
                yield Workload(name=f"{spent}-{name}-marked", given=PAIR, setup=(*marks, *asked))
                if self.policies.counted_on == "record":
                    counts = tuple(record(key, model=spent) for key in keys)
                    given = _one(Limits(rpm=1))
                    yield Workload(name=f"{spent}-{name}-spent", given=given, setup=(*counts, *asked))
            marked = (fail("key-1", model=spent, status=429),)
            for name, asks in self._otherwise(spent, other):
                yield Workload(name=f"{spent}-{name}", given=PAIR, setup=(*marked, *asks))

    def _otherwise(self, *models: str) -> Iterator[tuple[str, tuple[Step, ...]]]:
        """Yield the ways to ask that are not the first one; a random one often enough not to be right by luck."""
        forms = self.claims.forms("acquire")
        for number, form in enumerate(forms[1:], start=2):
            if "model" in form.parameters:
                yield f"form-{number}", tuple(acquire(model=model, form=form.name) for model in models)
        if self.claims.takes("random_key", "model") and self.policies.tenure == "rotation":
            yield "random", tuple(random_key(model=model) for model in models for _ in range(LUCK))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse answers that would be right for another model only."""
        if moment.name not in ENTRY_POINTS or not moment.oracle.claims.takes(moment.name, "model", pool=moment.pool):
            return None
        refusal = unusable_served(moment) or nothing_served(moment)
        return refusal if refusal is not None and self._differs(moment) else None

    def _differs(self, moment: Moment) -> bool:
        oracle, state, now = moment.oracle, moment.state, moment.operation.at
        own = oracle.servable(state, moment.pool, moment.model, now)
        others = [name for name, _ in oracle.given.limits if name != oracle.entry(moment.model)]
        return any(oracle.servable(state, moment.pool, name, now) != own for name in others)


@final
class DefaultModel(Invariant):
    """No model given means the default model.

    Why: routes without a model in their request must still respect a quota, the default model's (000-2, 000-31).
    How it breaks: without a model nothing is checked, or a hard-coded name is.
    Fix: put the default model's name in the place of a missing one, first thing.
    """

    id = "ACQ08"
    audits = ("000-2", "000-31")
    requires = ("acquire", "fail|record")
    CONFORMING = (
        "given regular=key-1,key-2\nfail(lease=key-1, model=m1, status=429) -> key-2\nacquire(model=None) -> key-2",
        "given regular=key-1,key-2\nfail(lease=key-1, model=m2, status=429) -> key-2\nacquire(model=None) -> key-1",
    )
    VIOLATING = (
        "given regular=key-1,key-2\nfail(lease=key-1, model=m1, status=429) -> key-2\nacquire(model=None) -> key-1",
        'given regular=key-1\nfail(lease=key-1, model=m2, status=429) -> ""\nacquire(model=None) -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """The default model marked or spent, or another one, under two default models and through every form."""
        forms = [form for form in self.claims.forms("acquire") if form.parameters >= {"model"}]
        needs = frozenset({"default_model"})
        for default, other in (("m1", "m2"), ("m2", "m1")):
            given = Given(regular=("key-1", "key-2"), default_model=default, needs=needs)
            spent = Given(
                regular=("key-1", "key-2"),
                limits=(("m1", Limits(rpm=1)), ("m2", Limits(rpm=1))),
                default_model=default,
                needs=needs | {"limits"},
            )
            for number, form in enumerate(forms):
                asked = [acquire(model=None, form=form.name if number else ...)] * 2
                for name, hurt in (("default", default), ("other", other)):
                    marks = tuple(fail(key, model=hurt, status=429) for key in ("key-1", "key-2"))
                    yield Workload(name=f"{default}-{name}-all-{number}", given=given, setup=(*marks, *asked))
                    yield Workload(name=f"{default}-{name}-one-{number}", given=given, setup=(*marks[:1], *asked))
                    if self.policies.counted_on == "record":
                        yield Workload(
                            name=f"{default}-{name}-spent-{number}",
                            given=spent,
                            setup=(record("key-1", model=hurt), *asked),
                        )

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an answer that the default model does not explain."""
        if moment.name not in ENTRY_POINTS or moment.model is not None:
            return None
        return unusable_served(moment) or nothing_served(moment)


@final
class PlainString(Invariant):
    """The answer is a plain str, usable in a header.

    Why: a SecretStr put into a header raises, or sends asterisks (003-I2, 003-2.6).
    How it breaks: keys are kept as SecretStr, bytes or rows and answered as they are kept.
    Fix: answer the string itself.
    """

    id = "ACQ10"
    audits = ("003-I2", "003-2.6")
    requires = ("acquire|next_key|random_key",)
    general = True
    CONFORMING = (
        "acquire(model=m1) -> key-1",
        'acquire(model=m1) -> ""',
        "policy sentinel=None\nacquire(model=m1) -> None",
    )
    VIOLATING = ("acquire(model=m1) -> 7", "next_key() -> {}")

    def workloads(self) -> Iterator[Workload]:
        """Every way to be answered a key."""
        asked = [*self.taking("a"), *self.taking("b", pool="vertex"), random_key(optional=True)]
        more = (*asked, next_key(optional=True), next_key(pool="vertex", optional=True))
        yield Workload(name="regular", given=TRIO, setup=self.taking("a"))
        yield Workload(name="every", given=TRIO, setup=more)
        for number, form in enumerate(self.claims.forms("acquire")[1:]):
            yield Workload(name=f"form-{number}", given=TRIO, setup=(acquire(model=None, form=form.name),))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what is no string."""
        if moment.name not in (*ENTRY_POINTS, "next_key") or not moment.answered:
            return None
        if moment.value is None or isinstance(moment.value, str):
            return None
        kind = moment.value.type_name if isinstance(moment.value, Opaque) else type(moment.value).__name__
        return moment.refusal("a plain str", f"{moment.name} answers a {kind}")
