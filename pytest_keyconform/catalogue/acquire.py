"""ACQ: acquire and rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.steps import acquire, advance, fail, next_key, random_key, record, release, reset, status
from pytest_keyconform.model.linearize import Refuted, linearize
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Opaque, Ref
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

PAIR = Given(regular=("key-1", "key-2"))
TRIO = Given()
ENTRY_POINTS = ("acquire", "random_key")
READS = ("usage", "failures", "is_valid", "status", "all_keys", "state", "health")


def _one(limit: Limits, *, keys: int = 2) -> Given:
    """Make a pool whose models have this one limit."""
    regular = tuple(f"key-{number}" for number in range(1, keys + 1))
    return Given(regular=regular, limits=(("m1", limit), ("m2", limit)), needs=frozenset({"limits"}))


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
        "fail(lease=key-1, model=m1, status=401) -> key-2\nfail(lease=key-2, model=m1, status=401) -> key-3\n"
        "| acquire(model=m1) -> key-3\n| acquire(model=m1) -> key-3",
    )
    VIOLATING = (
        "| acquire(model=m1) -> key-1\n| acquire(model=m1) -> key-1",
        "fail(lease=key-1, model=m1, status=401) -> key-2\n"
        "| acquire(model=m1) -> key-2\n| acquire(model=m1) -> key-2",
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
        seen: set[object] = set()
        for operation in together:
            if operation.value in seen and operation.value in usable:
                expected = f"{len(together)} different keys of {', '.join(usable)}"
                yield broken(operation, expected, "overlapping acquires are served one key")
            seen.add(operation.value)


@dataclass(frozen=True, slots=True)
class _Recent:
    """The last answers of a rotation, oldest first."""

    answers: tuple[object, ...] = ()

    def fingerprint(self) -> object:
        """Answer the answers."""
        return self.answers


@final
class NextKeyRotates(Invariant):
    """With all keys usable, any n consecutive next_key answers of a pool of n are a permutation, also in parallel.

    Why: a rotation that repeats or skips spends one key's quota before the others' (004-1, 004-8).
    How it breaks: two callers read one index; an index is advanced twice; the cycle is rebuilt on each call.
    Fix: read and advance the index in one step, modulo the length of the pool.
    """

    id = "ACQ02"
    audits = ("004-1", "004-8")
    requires = ("next_key",)
    subject = ("next_key",)
    overlap = True
    CONFORMING = (
        "next_key() -> key-1\nnext_key() -> key-2\nnext_key() -> key-3\nnext_key() -> key-1",
        "| next_key() -> key-2\n| next_key() -> key-1\n| next_key() -> key-3\nnext_key() -> key-1",
    )
    VIOLATING = (
        "next_key() -> key-1\nnext_key() -> key-2\nnext_key() -> key-2",
        "| next_key() -> key-2\n| next_key() -> key-2\n| next_key() -> key-3",
    )

    def workloads(self) -> Iterator[Workload]:
        """Two rounds in a row, then callers at once with a round before and after."""
        for pool, size in (("regular", 3), ("vertex", 2)):
            ask = next_key(pool=pool)
            yield Workload(name=f"{pool}-rounds", given=TRIO, setup=(ask,) * (2 * size + 1))
            yield Workload(name=f"{pool}-two", given=TRIO, clients=((ask,), (ask,)), finale=(ask,) * size)
            yield Workload(name=f"{pool}-turned", given=TRIO, setup=(ask,), clients=((ask,),) * 3, finale=(ask,) * size)
        ask = next_key()
        yield Workload(name="two-each", given=TRIO, clients=((ask, ask), (ask, ask)), finale=(ask,) * 2)

    def violations(self, history: History) -> Iterator[Violation]:
        """Search for an order in which no key comes again before the others came."""
        yield from self.accidents(history)
        if any(op.name not in ("next_key", *READS) for op in history.operations):
            return
        for pool in ("regular", "vertex"):
            asked = [op for op in history.named("next_key") if op.get("pool", "regular") == pool]
            yield from self._repeats(asked, history.given.keys(pool))

    def _repeats(self, asked: Sequence[Operation], keys: tuple[str, ...]) -> Iterator[Violation]:
        def step(recent: _Recent, operation: Operation) -> tuple[_Recent, ...] | str:
            if operation.pending:
                return (recent,)
            left = [key for key in keys if key not in recent.answers]
            if operation.value not in left:
                return f"one of {', '.join(left)}"
            return (_Recent((*recent.answers, operation.value)[-(len(keys) - 1) :] if len(keys) > 1 else ()),)

        found = linearize(asked, _Recent(), step)
        if isinstance(found, Refuted):
            position, expected = found.refusals[0]
            yield broken(asked[position], expected, "a rotation repeats a key before the others came")


@final
class NoneStarved(Invariant):
    """No usable key is starved: over a round of acquires for one model every usable key is served.

    Why: a key that is never served is quota paid for and not used, while the others run into their limits (002-O6).
    How it breaks: the rotation sticks to the first fitting key; a failure or a recovery drops a key from it.
    Fix: rotate over all keys and skip the unusable ones; put a key that recovers back into the rotation.
    """

    id = "ACQ03"
    audits = ("002-O6",)
    subject = ("acquire",)
    CONFORMING = (
        "acquire(model=m1) -> key-1\nacquire(model=m1) -> key-2\nacquire(model=m1) -> key-3",
        "fail(lease=key-1, model=m1, status=401) -> key-2\nacquire(model=m1) -> key-3\nacquire(model=m1) -> key-2\n"
        "acquire(model=m1) -> key-3",
    )
    VIOLATING = (
        "acquire(model=m1) -> key-1\nacquire(model=m1) -> key-1\nacquire(model=m1) -> key-1",
        "acquire(model=m1) -> key-1\nacquire(model=m1) -> key-2\nacquire(model=m1) -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """A round on a fresh pool, with a key out, at a limit, marked, and after it came back."""
        limited = Given(limits=(("m1", Limits(rpm=20)), ("m2", Limits(rpm=20))), needs=frozenset({"limits"}))
        once = Given(limits=(("m1", Limits(rpm=1)), ("m2", Limits())), needs=frozenset({"limits"}))
        yield self._round("fresh", TRIO)
        yield self._round("vertex", TRIO, pool="vertex")
        yield self._round("reported", limited, reported=True)
        yield self._round("one-out", TRIO, fail("key-1", status=401))
        yield self._round("one-marked", TRIO, fail("key-2", status=429))
        yield self._round("one-back", TRIO, fail("key-3", status=401), *self.taking("x"), reset("key-3"))
        yield self._round("mark-over", TRIO, fail("key-1", status=429), *self.taking("x"), advance(61))
        if self.policies.counted_on == "record":
            yield self._round("one-spent", once, record("key-2"))

    def _round(
        self, name: str, given: Given, *setup: Step, pool: str = "regular", reported: bool = False
    ) -> Workload:
        size = len(given.keys(pool))
        rounds = 1 if self.policies.tenure == "lease" else 2
        calls = 40 * size if self.policies.selection == "random" else rounds * size
        asked = [acquire(f"r{number}", pool=pool) for number in range(calls)]
        if self.policies.tenure == "lease" and self.policies.selection == "random":
            asked = [step for number in range(calls) for step in self.taking(f"r{number}", pool=pool)]
        if reported or self.policies.selection in ("least-used", "most-left"):
            asked = [s for number, ask in enumerate(asked) for s in (ask, record(Ref(f"r{number}"), pool=pool))]
        return Workload(name=name, given=given, setup=setup, finale=tuple(asked))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at each window of a round's length in which the same keys stayed usable."""
        yield from self.accidents(history)
        if not history.sequential:
            return
        run: list[Moment] = []
        for moment in self.moments(history):
            if moment.name == "acquire" and (not run or self._continues(run[-1], moment)):
                run.append(moment)
                yield from self._starved(run)
            elif moment.name == "acquire":
                run = [moment]
            elif not self._harmless(moment):
                run = []

    def _continues(self, before: Moment, now: Moment) -> bool:
        same = before.cell[0] == now.cell[0] and before.cell[2] == now.cell[2]
        return same and self._usable(before) == self._usable(now)

    def _harmless(self, moment: Moment) -> bool:
        reported = moment.name == "record" and moment.operation.get("outcome", "success") == "success"
        given_back = moment.name == "release" and self.policies.selection == "random"
        return reported or given_back or moment.name in READS

    def _usable(self, moment: Moment) -> dict[str, Tri]:
        name = moment.oracle.entry(moment.model)
        keys = moment.state.members[moment.pool]
        now = moment.operation.at
        return {key: moment.oracle.usable(moment.state, (moment.pool, key, name), now) for key in keys}

    def _starved(self, run: list[Moment]) -> Iterator[Violation]:
        usable = self._usable(run[0])
        size = len(usable)
        needed = 40 * size if self.policies.selection == "random" else size
        if self.policies.selection in ("least-used", "most-left"):
            needed += size  # a call before the round may have counted for a key
        if len(run) < needed:
            return
        served = {moment.value for moment in run[-needed:]}
        for key, truth in usable.items():
            if truth is Tri.YES and key not in served:
                expected = f"each of {', '.join(k for k, t in usable.items() if t is Tri.YES)} in {needed} acquires"
                yield broken(run[-1].operation, f"{expected}; {key} never came", "a usable key is starved")
                return


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
            after = (*self.taking("a", pool=own), *self.taking("b", pool=other), next_key(pool=own, optional=True))
            chance = (random_key(optional=True),) if own == "regular" else ()
            yield Workload(name=f"{own}-out", given=one_each, setup=(gone, *after, *chance))
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
        "given regular=key-1,key-2 m1.rpm=1\nrecord(lease=key-1, model=m1, tokens=1) -> True\nacquire(model=m1) -> key-2",
        'policy exhaustion=fallback\ngiven regular=key-1\nfail(lease=key-1, status=401) -> ""\nacquire(model=m1) -> key-1',
    )
    VIOLATING = (
        "| fail(lease=key-1, model=m1, status=401) -> key-2\n| acquire(model=m1) -> key-2\nacquire(model=m1) -> key-1",
        "given regular=key-1,key-2 m1.rpm=1\nrecord(lease=key-1, model=m1, tokens=1) -> True\nacquire(model=m1) -> key-1",
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
        "given regular=key-1,key-2\nfail(lease=key-1, model=m2, status=429) -> key-2\nacquire(model=m1) -> key-1\n"
        "acquire(model=m2) -> key-2",
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
class RandomKeyValid(Invariant):
    """random_key answers only valid keys, and each of them sooner or later.

    Why: routes that only need some working key must not be handed one that is out (000-7).
    How it breaks: it chooses among all keys, or always the same one, or ignores what is exhausted for the model.
    Fix: choose among the keys that acquire could serve.
    """

    id = "ACQ07"
    audits = ("000-7",)
    requires = ("random_key",)
    subject = ("random_key",)
    CONFORMING = (
        "fail(lease=key-1, model=m1, status=401) -> key-2\nrandom_key(model=m1) -> key-2\nrandom_key(model=m1) -> key-3",
        "random_key(model=m1) -> key-2\nrandom_key(model=m1) -> key-2",
    )
    VIOLATING = (
        "fail(lease=key-1, model=m1, status=401) -> key-2\nrandom_key(model=m1) -> key-1",
        "given regular=key-1,key-2\n" + "random_key(model=m1) -> key-1\n" * 80,
    )

    def workloads(self) -> Iterator[Workload]:
        """Many asks of a pool with a failed key and an exhausted one."""
        given = Given(regular=("key-1", "key-2", "key-3", "key-4"))
        asks = [s for n in range(40 * 4) for s in self._asking(f"r{n}")]
        hurt = (fail("key-1", status=401), fail("key-2", status=429))
        yield Workload(name="fresh", given=given, setup=tuple(asks))
        yield Workload(name="failed", given=given, setup=hurt[:1], finale=tuple(asks))
        yield Workload(name="failed-exhausted", given=given, setup=hurt, finale=tuple(asks))

    def _asking(self, bind: str) -> tuple[Step, ...]:
        asked = random_key(bind)
        if self.policies.tenure == "lease" and self.policies.release == "explicit":
            return asked, release(Ref(bind))
        return (asked,) if self.policies.tenure == "rotation" else (asked, record(Ref(bind), tokens=0))

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge each answer, then whether each usable key came within 40n."""
        yield from super().violations(history)
        asked = [moment for moment in self.moments(history) if moment.name == "random_key"]
        if not asked:
            return
        servable = asked[0].servable()
        if len(asked) < 40 * len(servable) or asked[-1].servable() != servable:
            return
        missing = [k for k, truth in servable.items() if truth is Tri.YES and all(m.value != k for m in asked)]
        if missing:
            expected = f"each usable key within {len(asked)} answers; {', '.join(missing)} never came"
            yield broken(asked[-1].operation, expected, "random_key never answers a usable key")

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that is out, or exhausted for the model that was named."""
        if moment.name != "random_key":
            return None
        return unusable_served(moment) or nothing_served(moment)


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
                            name=f"{default}-{name}-spent-{number}", given=spent, setup=(record("key-1", model=hurt), *asked)
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
    CONFORMING = ("acquire(model=m1) -> key-1", 'acquire(model=m1) -> ""', "policy sentinel=None\nacquire(model=m1) -> None")
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


@final
class AnswersWhileUsable(Invariant):
    """While a key is usable (and, under leases, free) acquire answers one: no sentinel, no error.

    Why: a caller turned away while keys are idle is an outage of the pool's own making (000-3, 000-7).
    How it breaks: a rotation that tries too few keys; a key lost by a removal, a recovery or a cancelled call.
    Fix: look at every key before giving up; undo in ``finally`` what a cancelled call had begun.
    """

    id = "ACQ11"
    audits = ("000-3", "000-7")
    general = True
    CONFORMING = (
        "fail(lease=key-1, model=m1, status=401) -> key-2\nacquire(model=m1) -> key-3",
        'given regular=key-1\nfail(lease=key-1, model=m1, status=401) -> ""\nacquire(model=m1) -> ""',
    )
    VIOLATING = (
        'fail(lease=key-1, model=m1, status=401) -> key-2\nacquire(model=m1) -> ""',
        "acquire(model=m1) -> raises typed Exhausted",
        "acquire(model=m1) -> raises RuntimeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Crowds on few keys; acquires after a removal, a recovery and a cancelled call."""
        yield Workload(name="fresh", given=TRIO, setup=self.taking("a"))
        two, crowd = (2, 2) if self.policies.tenure == "lease" else (3, 6)
        yield Workload(name="pair", given=PAIR, clients=((acquire(),),) * two)
        yield Workload(name="crowd", given=PAIR, clients=((acquire(),),) * crowd)
        asks = [s for n in range(4) for s in self.taking(f"t{n}")]
        last = (fail("key-1", status=401), fail("key-2", status=429))
        yield Workload(name="removed", given=TRIO, setup=(*last, *asks))
        yield Workload(name="removing", given=PAIR, clients=((fail("key-1", status=401),), self.taking("a")), finale=tuple(asks))
        yield Workload(name="back", given=PAIR, setup=(fail("key-1", status=401), reset("key-1"), *asks))
        gone = (fail("key-1", status=401), fail("key-2", status=401))
        yield Workload(name="all-back", given=PAIR, setup=(*gone, *self.taking("x"), reset("key-2"), *asks))
        over = (fail("key-1", status=429), fail("key-2", status=429), *self.taking("x"), advance(61))
        yield Workload(name="marks-over", given=PAIR, setup=(*over, *asks))
        for at in range(4):
            cancelled = (acquire(cancel=at), acquire(cancel=at))
            yield Workload(name=f"cancelled-{at}", given=PAIR, setup=cancelled, finale=self.taking("z"))
        yield Workload(name="status", given=TRIO, setup=(status(), *self.taking("a")))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a sentinel or an error while a key was usable."""
        return nothing_served(moment) if moment.name == "acquire" else None

