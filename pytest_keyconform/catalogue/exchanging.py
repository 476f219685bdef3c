"""LIFE07: a pool that is exchanged for another, and what becomes of those that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.grouping import in_groups
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.lifecycle import left, running
from pytest_keyconform.catalogue.provoking import failing, reported, strikes
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import SECOND, asks, hurt, misstated, unfit_replacement
from pytest_keyconform.catalogue.steps import (
    POOLS,
    acquire,
    census,
    fail,
    failures,
    is_valid,
    next_key,
    random_key,
    record,
    status,
    step,
    usage,
)
from pytest_keyconform.operation import Phase
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

OLD = Given(regular=("key-1", "key-2"))
NEW = {"regular": ("key-2", "key-4"), "vertex": ("vertex-2", "vertex-4")}
ALL_NEW = {"regular": ("key-4", "key-5"), "vertex": ("vertex-4", "vertex-5")}
THREE = Given(vertex=("vertex-1", "vertex-2", "vertex-3"))
SERVING = ("acquire", "next_key", "random_key", "fail")


def exchanges(rule: Invariant, keys: object, *, pool: str = "regular", given: Given = OLD, bad: object = ...) -> Step:
    """Answer the reload that puts this list in the place of a pool's, and leaves the other one as it was."""
    vertex: object = given.vertex if rule.claims.takes("reload", "vertex_api_keys") else ...
    lists = (keys, vertex) if pool == "regular" else (given.regular, keys)
    return step("reload", api_keys=lists[0], vertex_api_keys=lists[1], bad=bad)


def exchangeable(rule: Invariant) -> tuple[str, ...]:
    """Answer the pools whose lists a reload takes."""
    return POOLS if rule.claims.takes("reload", "vertex_api_keys") else POOLS[:1]


def sizes(pool: str, given: Given = THREE) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield lists of other lengths than the one that is given: one key of each place, two, and more."""
    keys = given.keys(pool)
    yield from ((f"one-{number}", (key,)) for number, key in enumerate(keys, start=1))
    yield "two", keys[1:]
    yield "more", (*keys, *ALL_NEW[pool])


def gone(moment: Moment) -> Refusal | None:
    """Refuse a key that is in no pool."""
    value = moment.value
    if not isinstance(value, str) or not value or value == moment.oracle.policies.sentinel or moment.served is not None:
        return None
    return moment.refusal("a key of the pool as it is now", f"{moment.name} answers a key that is in no pool")


@final
class PoolExchanged(Invariant):
    """Reload: the pool is exactly the new one, removed keys are never served, survivors follow `reload`.

    Why: a key that was revoked is taken out of the list, and must not be used from that moment on (000-5).
    How it breaks: new keys are added and old ones stay; the rotation or a cache keeps the old list or a place behind
    its end; counts are lost, of one pool or of what is recorded meanwhile.
    Fix: build the new state beside the old one and put it in its place in one step.
    """

    id = "LIFE07"
    audits = ("000-5",)
    requires = ("reload",)
    subject = ("reload",)
    CONFORMING = (
        (
            "given regular=key-1,key-2\nreload(api_keys=key-2;key-4)\nacquire() -> key-2\nacquire() -> key-4\n"
            "acquire() -> key-2"
        ),
        (
            "given regular=key-1,key-2\nfail(lease=key-2, status=500) -> key-1\nreload(api_keys=key-2;key-4)\n"
            'failures(key=key-2) -> 1\nstatus() -> {"valid_keys": {"key-2": 1, "key-4": 0}, "invalid_keys": {}}'
        ),
        (
            "given regular=key-1,key-2\n| reload(api_keys=key-2;key-4)\n| fail(lease=key-2, status=500) -> key-1\n"
            "failures(key=key-2) -> 1"
        ),
        (
            "policy reload=reset\ngiven regular=key-1,key-2\nfail(lease=key-2, status=500) -> key-1\n"
            "reload(api_keys=key-2;key-4)\nfailures(key=key-2) -> 0"
        ),
    )
    VIOLATING = (
        "given regular=key-1,key-2\nreload(api_keys=key-2;key-4)\nacquire() -> key-1",
        'given regular=key-1\nreload(api_keys=key-4;)\nacquire() -> ""',
        "given regular=key-1\nreload(api_keys=key-4;) -> raises KeyError",
        (
            "given regular=key-1\nrecord(lease=key-1, tokens=5) -> True\nreload(api_keys=key-1;key-4)\n"
            'usage(key=key-1) -> {"rpm": 0}'
        ),
        (
            "given regular=key-1,key-2\nfail(lease=key-2, status=500) -> key-1\nreload(api_keys=key-2;key-4)\n"
            "failures(key=key-2) -> 0"
        ),
        "given regular=key-1,key-2\nreload(api_keys=key-2;)\nnext_key() -> raises IndexError",
        'given regular=key-1,key-2\nreload(api_keys=key-2;)\nrandom_key() -> ""',
        (
            "given regular=key-1,key-2\nreload(api_keys=key-2;)\n"
            'status() -> {"valid_keys": {"key-1": 0, "key-2": 0}, "invalid_keys": {}}'
        ),
        (
            "given regular=key-1,key-2\n| reload(api_keys=key-2;key-4)\n| record(lease=key-2, tokens=5) -> True\n"
            'usage(key=key-2) -> {"rpm": 0, "tpm": 0}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Keys leave and come, at each place of a rotation; survivors were counted, marked, struck and taken out."""
        for pool in exchangeable(self):
            tag = "" if pool == "regular" else f"{pool}-"
            yield from self._served(pool, tag)
            yield from self._standing(pool, tag)
            if self.policies.tenure == "rotation" and self.claims.operations.get("next_key"):
                turns = (next_key(pool=pool, optional=True),) * 4
                exchanged = exchanges(self, NEW[pool], pool=pool)
                yield Workload(name=f"{tag}rotation", given=OLD, setup=(turns[0], exchanged, *turns))
        exchanged = exchanges(self, NEW["regular"])
        yield Workload(name="workers", given=OLD, setup=(exchanged, census(), exchanged, census()))
        for pool in exchangeable(self):
            yield from self._turned(pool)
        yield from self._beside()

    def _served(self, pool: str, tag: str) -> Iterator[Workload]:
        ask, exchanged = asks(self, keys=2, pool=pool), exchanges(self, NEW[pool], pool=pool)
        all_new = exchanges(self, ALL_NEW[pool], pool=pool)
        seen = status(pool=pool)
        yield Workload(name=f"{tag}served", given=OLD, setup=(*self.taking("a", pool=pool), exchanged, *ask, seen))
        yield Workload(name=f"{tag}all-new", given=OLD, setup=(all_new, *ask))
        yield Workload(name=f"{tag}twice", given=OLD, setup=(exchanged, exchanged, *ask))
        if self.claims.operations.get("fail"):
            out = hurt(self, OLD.keys(pool)[0], status=401, pool=pool)
            yield Workload(name=f"{tag}gone-out", given=OLD, setup=(*out, all_new, *ask, seen))
            survivor = hurt(self, SECOND[pool], status=401, pool=pool)
            yield Workload(name=f"{tag}come", given=OLD, setup=(exchanged, *survivor, acquire(pool=pool)))

    def _standing(self, pool: str, tag: str) -> Iterator[Workload]:
        key, exchanged = SECOND[pool], exchanges(self, NEW[pool], pool=pool)
        reads = (usage(key, pool=pool, optional=True), is_valid(key, pool=pool), status(pool=pool))
        counts = (failures(key, pool=pool), usage(key, model="m2", pool=pool, optional=True))
        seen = (exchanged, *reads, *counts, *asks(self, keys=2, pool=pool))
        told = self._told(pool) if self.claims.operations.get("record") else ()
        yield Workload(name=f"{tag}counted", given=OLD, setup=(*told, *seen))
        if told and pool == "vertex" and self.policies.reload == "preserve":
            beside = (*told, exchanges(self, NEW["regular"]), *reads, *counts)
            yield Workload(name="beside-counted", given=OLD, setup=beside)
        if not self.claims.operations.get("fail"):
            return
        for code in (401, 429):
            out = hurt(self, key, status=code, pool=pool)
            yield Workload(name=f"{tag}out-{code}", given=OLD, setup=(*out, *seen))
        strike = hurt(self, key, status=500, pool=pool)
        yield Workload(name=f"{tag}struck-once", given=OLD, setup=(*strike, *seen))
        yield Workload(name=f"{tag}struck", given=OLD, setup=(*strike * strikes(self), *seen))
        before = strike * (strikes(self) - 1)
        yield Workload(name=f"{tag}struck-over", given=OLD, setup=(*before, exchanged, *strike, *seen[1:]))

    def _told(self, pool: str) -> tuple[Step, ...]:
        told = reported(
            self, [(key, lambda lease: record(lease, pool=pool, tokens=5)) for key in OLD.keys(pool)], pool=pool
        )
        if self.policies.tenure == "lease" or not self.claims.takes("record", "model", pool=pool):
            return told
        return (*told, record(SECOND[pool], model="m2", pool=pool, tokens=3))

    def _turned(self, pool: str) -> Iterator[Workload]:
        """Yield the programs that exchange a pool for one of another length, after no turn up to a round of them."""
        for entry, turn in self._entries(pool):
            for turns in range(len(THREE.keys(pool)) + 1):
                for name, keys in (*sizes(pool), ("back", THREE.keys(pool))):
                    emptied = (exchanges(self, (), pool=pool, given=THREE, bad=True),) if name == "back" else ()
                    exchanged = (*emptied, exchanges(self, keys, pool=pool, given=THREE))
                    then = turn * (len(keys) + 1)
                    told = fail(keys[0], status=500, pool=pool) if entry == "next" else None
                    last = (told,) if told and self.claims.operations.get("fail") else ()
                    setup = (*turn * turns, *exchanged, *then, *last)
                    yield Workload(name=f"{pool}-{entry}-{turns}-{name}", given=THREE, setup=setup)

    def _entries(self, pool: str) -> Iterator[tuple[str, tuple[Step, ...]]]:
        yield "acquire", self.taking("a", pool=pool)
        if self.policies.tenure == "lease":
            return
        if self.claims.operations.get("next_key"):
            yield "next", (next_key(pool=pool),)
        if pool == "regular" and self.claims.operations.get("random_key"):
            yield "random", (random_key(),)

    def _beside(self) -> Iterator[Workload]:
        """Yield the programs in which a survivor is reported on while its pool is exchanged."""
        if self.policies.tenure == "lease" or self.policies.reload != "preserve":
            return
        for pool in exchangeable(self):
            key, exchanged = SECOND[pool], exchanges(self, NEW[pool], pool=pool)
            reads = (failures(key, pool=pool), is_valid(key, pool=pool), usage(key, pool=pool, optional=True))
            finale = (*reads, *asks(self, keys=2, pool=pool))
            reports = [("record", record(key, pool=pool, tokens=5))]
            codes = (500, 401, 429) if pool == "regular" else (500,)
            reports += [(f"fail-{code}", failing(self, status=code, pool=pool, last=True)(key)) for code in codes]
            for name, report in reports:
                if self.claims.operations.get(report.name):
                    clients = ((exchanged,), (report,))
                    yield Workload(name=f"{pool}-{name}-beside", given=OLD, clients=clients, finale=finale)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that left, an empty answer, a key that is out, and a count that does not follow."""
        if moment.name in SERVING and moment.answered:
            left_it = gone(moment)
            if left_it is not None:
                return left_it
        match moment.name:
            case "acquire":
                return unusable_served(moment) or nothing_served(moment)
            case "next_key" | "random_key":
                return nothing_served(moment)
            case "fail":
                return self._replaced(moment)
            case "usage":
                return wrong_usage(moment)
            case _:
                return _lingering(moment) or misstated(moment)

    def _replaced(self, moment: Moment) -> Refusal | None:
        """Judge a replacement where nothing overlaps: a failure is recorded and replaced in two steps."""
        alone = moment.operation.phase is not Phase.PARALLEL and moment.state.knows(moment.pool, moment.key)
        return unfit_replacement(moment) if alone else None

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare the censuses too."""
        yield from super().violations(history)
        counted = list(history.named("census"))
        if len(counted) > 1 and running(counted[-1]) > running(counted[0]):
            yield broken(counted[-1], left(counted[0]) or "nothing, as before", "a reload leaves the old worker")


def _lingering(moment: Moment) -> Refusal | None:
    """Refuse a status that names a key which left."""
    if moment.name != "status" or not moment.answered:
        return None
    members, given = moment.state.members.get(moment.pool, ()), moment.oracle.given.keys(moment.pool)
    if not any(key in given and key not in members for key in in_groups(moment.value)):
        return None
    return moment.refusal(f"the keys of the pool as it is now: {', '.join(members)}", "status names a key that left")
