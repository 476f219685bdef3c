"""UNK10: keys that are listed twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.reading import READS, wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import ENTRY_POINTS, FIRST, PAIR, SECOND, asks, given_back, hurt, misstated
from pytest_keyconform.catalogue.steps import POOLS, acquire, next_key, record, reset, step, usage, views
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step


@final
class ListedTwice(Invariant):
    """A key listed twice is one key: disabling it disables it, its usage is one.

    Why: lists are pasted together; two rows of one key spend its quota twice, and one of them outlives a 401 (001-1).
    How it breaks: state is kept by place in the list; the rotation goes over the list as it was given.
    Fix: drop repetitions when the lists are read, keeping the first.
    """

    id = "UNK10"
    audits = ("001-1",)
    requires = ("acquire|next_key",)
    CONFORMING = (
        (
            "given regular=key-1,key-1,key-2\nacquire() -> key-1\nacquire() -> key-2\nnext_key() -> key-2\n"
            "next_key() -> key-1"
        ),
        (
            "given regular=key-1,key-1,key-2\nfail(lease=key-1, status=401) -> key-2\nacquire() -> key-2\n"
            "acquire() -> key-2"
        ),
        'policy tenure=lease\ngiven regular=key-1,key-1,key-2\nacquire() -> key-1\nacquire() -> key-2\nacquire() -> ""',
        'given regular=key-1,key-1,key-2\nrecord(lease=key-1) -> True\nusage(key=key-1) -> {"rpm": 1}',
    )
    VIOLATING = (
        "given regular=key-1,key-1,key-2\nacquire() -> key-1\nacquire() -> key-1",
        "given regular=key-1,key-1,key-2\nnext_key() -> key-1\nnext_key() -> key-1",
        "given regular=key-1,key-1,key-2\nfail(lease=key-1, status=401) -> key-2\nacquire() -> key-1",
        "given regular=key-1,key-1,key-2\nfail(lease=key-1, status=500) -> key-2\nfailures(key=key-1) -> 2",
        "policy tenure=lease\ngiven regular=key-1,key-1,key-2\nacquire() -> key-1\nacquire() -> key-1",
        'given regular=key-1,key-1,key-2\nrecord(lease=key-1) -> True\nusage(key=key-1) -> {"rpm": 2}',
        (
            "given regular=key-1,key-1,key-2 m1.rpm=2\nrecord(lease=key-1) -> True\nrecord(lease=key-1) -> True\n"
            "acquire() -> key-1"
        ),
        (
            "given regular=key-1,key-1\n"
            'state() -> {"models": {"m1": {"regular_keys": {"available": [{"rpm": 0}, {"rpm": 0}]}}}}'
        ),
    )

    GIVEN = Given(regular=("key-1", "key-1", "key-2"), vertex=("vertex-1", "vertex-1", "vertex-2"))

    def workloads(self) -> Iterator[Workload]:
        """The rotation; the key taken out, struck, marked, spent, restored; its usage and the views; in both pools."""
        given = self.GIVEN
        for pool in POOLS:
            key, other, seen = FIRST[pool], SECOND[pool], views(given, pool=pool)
            served = asks(self, pool=pool)
            yield Workload(name=f"{pool}-acquire", given=given, setup=(*served, *served[:1]))
            yield Workload(name=f"{pool}-next", given=given, setup=(next_key(pool=pool),) * 5)
            yield Workload(name=f"{pool}-views", given=given, setup=optional(*seen, step("state")))
            for status in (401, 429):
                out = hurt(self, key, status=status, pool=pool)
                yield Workload(name=f"{pool}-{status}", given=given, setup=(*out, *seen, *served))
            once, gone = hurt(self, key, pool=pool), hurt(self, key, status=401, pool=pool)
            yield Workload(name=f"{pool}-strike", given=given, setup=(*once, *seen))
            twice = replace(given, max_failures=2, needs=frozenset({"max_failures"}))
            yield Workload(name=f"{pool}-struck", given=twice, setup=(*once, *once, *seen, *served))
            back = (*gone, reset(key, pool=pool), *hurt(self, other, status=401, pool=pool))
            yield Workload(name=f"{pool}-reset", given=given, setup=(*back, *seen, acquire(pool=pool)))
            told = (record(key, pool=pool, tokens=5), *given_back(self, key, pool=pool))
            read = (usage(key, pool=pool), usage(other, pool=pool))
            yield Workload(name=f"{pool}-usage", given=given, setup=(*told, *told, *read))
            for name, then in (
                ("rotation", served),
                ("next", (next_key(pool=pool),) * 5),
                ("401", (*gone, *seen, *served)),
                ("usage", (*told, *told, *read)),
            ):
                yield Workload(name=f"{pool}-reload-{name}", given=PAIR, setup=(self._again(), *then))
            limits = (("m1", Limits(rpm=4)), ("m2", Limits(rpm=4)))
            full = replace(given, limits=limits, needs=frozenset({"limits"}))
            if self.policies.counted_on == "record":
                asked = (acquire(pool=pool),) * 3
                yield Workload(name=f"{pool}-spent", given=full, setup=(*told * 4, *asked))

    def _again(self) -> Step:
        """Bring the repetitions in by a reload of the same keys."""
        return step("reload", api_keys=self.GIVEN.regular, vertex_api_keys=self.GIVEN.vertex)

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge the answers, then whether a rotation of two distinct keys repeats one."""
        yield from self.disorder(history)
        if history.sequential:
            for name in ("next_key", "acquire") if self._turns() else ("next_key",):
                yield from self._repeated(name, history)

    def _turns(self) -> bool:
        return self.policies.selection == "round-robin" and self.policies.tenure == "rotation"

    def _repeated(self, name: str, history: History) -> Iterator[Violation]:
        before: Moment | None = None
        for moment in self.moments(history):
            if moment.name in READS or moment.name == "open":
                continue
            again = moment.name == name and before is not None and _same(before.operation, moment.operation)
            if again and before is not None and self._both_usable(before) and self._both_usable(moment):
                expected = "the other key: both are usable, and one that is listed twice has one turn"
                yield broken(moment.operation, expected, f"{name} gives a key that is listed twice two turns")
            before = moment if moment.name == name else None

    def _both_usable(self, moment: Moment) -> bool:
        return all(truth is Tri.YES for truth in moment.servable().values())

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that is out or held, a usage, a count and a listing that are not those of one key."""
        if moment.name in ENTRY_POINTS:
            return unusable_served(moment) or nothing_served(moment)
        if moment.name == "state":
            return self._rows(moment)
        return misstated(moment) or wrong_usage(moment)

    def _rows(self, moment: Moment) -> Refusal | None:
        models = moment.value.get("models") if isinstance(moment.value, dict) else None
        for pools in models.values() if isinstance(models, dict) else ():
            for pool in POOLS if isinstance(pools, dict) else ():
                groups = pools.get(f"{pool}_keys")
                rows = groups.values() if isinstance(groups, dict) else ()
                if sum(len(row) for row in rows if isinstance(row, tuple | list)) > len(moment.state.members[pool]):
                    return moment.refusal("one row for each key", "state lists a key twice")
        return None


def _same(before: Operation, after: Operation) -> bool:
    """Tell whether two calls asked for the same and were answered the same key."""
    answered = isinstance(before.response, Answered) and before.value not in ("", None)
    return answered and before.value == after.value and before.invocation == after.invocation
