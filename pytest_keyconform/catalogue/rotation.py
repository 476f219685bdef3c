"""ACQ: the rotation, who is served over many asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.steps import (
    acquire,
    advance,
    fail,
    next_key,
    random_key,
    record,
    release,
    reset,
)
from pytest_keyconform.model.linearize import Refuted, linearize
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Ref
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
READS = ("open", "close", "usage", "failures", "is_valid", "status", "all_keys", "state", "health")


def _one(limit: Limits, *, keys: int = 2) -> Given:
    """Make a pool whose models have this one limit."""
    regular = tuple(f"key-{number}" for number in range(1, keys + 1))
    return Given(regular=regular, limits=(("m1", limit), ("m2", limit)), needs=frozenset({"limits"}))


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
        (
            "fail(lease=key-1, model=m1, status=401) -> key-2\nacquire(model=m1) -> key-3\nacquire(model=m1) -> key-2\n"
            "acquire(model=m1) -> key-3"
        ),
    )
    VIOLATING = (
        "acquire(model=m1) -> key-1\nacquire(model=m1) -> key-1\nacquire(model=m1) -> key-1",
        "acquire(model=m1) -> key-1\nacquire(model=m1) -> key-2\nacquire(model=m1) -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """A round on a fresh pool, with a key out, at a limit, marked, and after it came back."""
        limited = Given(limits=(("m1", Limits(rpm=20)), ("m2", Limits(rpm=20))), needs=frozenset({"limits"}))
        once = Given(limits=(("m1", Limits(rpm=1)), ("m2", Limits())), needs=frozenset({"limits"}))
        struck = replace(TRIO, needs=frozenset({"max_failures"}))
        yield self._round("fresh", TRIO)
        yield self._round("vertex", TRIO, pool="vertex")
        yield self._round("reported", limited, reported=True)
        yield self._round("one-out", TRIO, fail("key-1", status=401))
        yield self._round("one-struck", struck, fail("key-1", status=500))
        yield self._round("one-marked", TRIO, fail("key-2", status=429))
        yield self._round("one-back", TRIO, fail("key-3", status=401), *self.taking("x"), reset("key-3"))
        yield self._round("mark-over", TRIO, fail("key-1", status=429), *self.taking("x"), advance(61))
        if self.policies.counted_on == "record":
            yield self._round("one-spent", once, record("key-2"))

    def _round(self, name: str, given: Given, *setup: Step, pool: str = "regular", reported: bool = False) -> Workload:
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

    def _even(self, start: Moment) -> bool:
        """Tell whether a round begins from equal usage, where the choice depends on usage."""
        if self.policies.selection not in ("least-used", "most-left"):
            return True
        cells = [(start.pool, key, start.cell[2]) for key in start.state.members[start.pool]]
        used = [(start.state.spent.get(cell, ()), len(start.state.reserved.get(cell, ()))) for cell in cells]
        loads = {(len(rows), sum(row.tokens.low for row in rows), reserved) for rows, reserved in used}
        return len(loads) == 1

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
        usable = run[0].servable()
        size = len(usable)
        needed = 40 * size if self.policies.selection == "random" else size
        if len(run) < needed or not self._even(run[-needed]):
            return
        served = {moment.value for moment in run[-needed:]}
        for key, truth in usable.items():
            if truth is Tri.YES and key not in served:
                expected = f"each of {', '.join(k for k, t in usable.items() if t is Tri.YES)} in {needed} acquires"
                yield broken(run[-1].operation, f"{expected}; {key} never came", "a usable key is starved")
                return


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
        "fail(lease=key-1, model=m1, status=401) -> key-2\nrandom_key() -> key-2\nrandom_key() -> key-3",
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
        if self.claims.takes("random_key", "model"):
            return unusable_served(moment) or nothing_served(moment)
        return self._invalid(moment)

    def _invalid(self, moment: Moment) -> Refusal | None:
        """Refuse a key that is out, where no model can be named: marks and quotas of models do not matter then."""
        oracle, now = moment.oracle, moment.operation.at
        keys = moment.state.members[moment.pool]
        valid = {key: oracle.valid(moment.state, (moment.pool, key), now) for key in keys}
        fit = [key for key, truth in valid.items() if truth is Tri.YES]
        if moment.served is None or valid[moment.served] is not Tri.NO or not fit:
            return None
        return moment.refusal(f"a valid key: {', '.join(fit)}", "random_key serves an unusable key")
