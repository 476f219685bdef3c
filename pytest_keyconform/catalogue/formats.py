"""FMT: the formats of version 1, one moment in each answer, declared types everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.grouping import GROUPS, in_groups, malformed, misplaced
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import failing, strikes, told
from pytest_keyconform.catalogue.steps import all_keys, record, reset, status
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

PAIR = Given(regular=("key-1", "key-2"))


def states(rule: Invariant, pool: str = "regular") -> Iterator[tuple[str, Given, tuple[Step, ...]]]:
    """Yield the states that a status tells apart: by name, the pool that is given, and the way there."""
    keys = PAIR.keys(pool)

    def failed(key: str, code: int | None, times: int = 1) -> tuple[Step, ...]:
        return told(rule, failing(rule, status=code, pool=pool)(key)) * times

    yield "fresh", PAIR, ()
    yield "struck-once", PAIR, failed(keys[0], None)
    yield "struck-out", PAIR, failed(keys[0], None, strikes(rule) + 1)
    yield "auth", PAIR, failed(keys[0], 401)
    yield "auth-all", PAIR, (*failed(keys[0], 401), *failed(keys[1], 403))
    yield "quota", PAIR, failed(keys[0], 429)
    yield "request", PAIR, failed(keys[0], 400, strikes(rule) + 1)
    yield "recorded", PAIR, told(rule, record(keys[0], pool=pool, outcome="auth"))
    back = reset(keys[0], pool=pool)
    yield "back", PAIR, (*failed(keys[0], None, strikes(rule) + 1), back)
    yield "auth-back", PAIR, (*failed(keys[0], 401), back)
    for threshold in (1, 2, 3):
        given = replace(PAIR, max_failures=threshold, needs=frozenset({"max_failures"}))
        for times in {threshold - 1, threshold}:
            yield f"{times}-of-{threshold}", given, failed(keys[0], None, times)
    if rule.policies.empty_pools == "warn":
        empty = replace(PAIR, regular=()) if pool == "regular" else replace(PAIR, vertex=())
        yield "empty", empty, ()


def around(rule: Invariant, read: Step, *, pool: str = "regular") -> Iterator[Workload]:
    """Yield the programs that read before each state and in it, so that a stale answer shows too.

    The last one reads after each of many failures: where the threshold is the backend's own, it is among them.
    """
    for name, given, way in states(rule, pool):
        yield Workload(name=name, given=given, setup=(read, *way), finale=(read,))
    struck = (*told(rule, failing(rule, status=None, pool=pool)(PAIR.keys(pool)[0])), read)
    yield Workload(name="one-by-one", given=PAIR, setup=struck * (strikes(rule) + 1))


@final
class StatusShape(Invariant):
    """get_keys_by_status() is exactly {"valid_keys": {key: int}, "invalid_keys": {key: int}}, both groups always there.

    Why: every monitoring page reads these two groups and their counts, and crashes on anything else (000-15).
    How it breaks: an empty group is left out; the counts became flags; the state of each model is answered instead.
    Fix: build both groups, even where one is empty, and give each key its count of failures as an int.
    """

    id = "FMT01"
    audits = ("000-15",)
    requires = ("status",)
    subject = ("status",)
    general = True
    CONFORMING = (
        'status() -> {"valid_keys": {"key-1": 0, "key-2": 0, "key-3": 0}, "invalid_keys": {}}',
        'given regular=\nstatus() -> {"valid_keys": {}, "invalid_keys": {}}',
        "status(pool=vertex) -> {}",
    )
    VIOLATING = (
        'status() -> {"valid_keys": {"key-1": 0, "key-2": 0, "key-3": 0}}',
        'status() -> {"valid_keys": {"key-1": True}, "invalid_keys": {}}',
        'status() -> {"valid_keys": ("key-1",), "invalid_keys": ()}',
        'status() -> {"valid_keys": {}, "invalid_keys": {}, "summary": {}}',
        "status() -> None",
    )

    def workloads(self) -> Iterator[Workload]:
        """Healthy, failed and empty pools."""
        yield from around(self, status(optional=False))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse any other shape."""
        if moment.name != "status" or moment.pool != "regular" or not moment.answered:
            return None
        return malformed(moment) or _more(moment)


def _more(moment: Moment) -> Refusal | None:
    """Refuse groups beside the two."""
    if set(moment.value) == set(GROUPS):
        return None
    return moment.refusal(f"exactly {' and '.join(GROUPS)}", f"{moment.name} has another group")


@final
class StatusGroups(Invariant):
    """The groups are disjoint, together the regular pool, and split at max_failures.

    Why: operators restore what is listed as invalid; a key in neither group or in both is out of their sight (000-15).
    How it breaks: the split is off by one; a key taken out by a 401 stays listed as valid, or is listed no more.
    Fix: put each key of the pool into one group, by the same test that acquire uses.
    """

    id = "FMT02"
    audits = ("000-15",)
    requires = ("status",)
    general = True
    CONFORMING = (
        (
            "given regular=key-1,key-2 max_failures=1\nfail(lease=key-1, status=500) -> key-2\n"
            'status() -> {"valid_keys": {"key-2": 0}, "invalid_keys": {"key-1": 1}}'
        ),
        (
            "given regular=key-1,key-2\nfail(lease=key-1, model=m1, status=429) -> key-2\n"
            'status() -> {"valid_keys": {"key-1": 0, "key-2": 0}, "invalid_keys": {}}'
        ),
        'given regular=key-1,key-1\nstatus() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}',
    )
    VIOLATING = (
        'given regular=key-1\nstatus() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {"key-1": 0}}',
        'given regular=key-1,key-2\nstatus() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}',
        'given regular=key-1\nstatus() -> {"valid_keys": {"key-1": 0, "vertex-1": 0}, "invalid_keys": {}}',
        (
            "given regular=key-1 max_failures=2\nfail(lease=key-1, status=500) -> key-1\n"
            'status() -> {"valid_keys": {}, "invalid_keys": {"key-1": 1}}'
        ),
        (
            'given regular=key-1\nfail(lease=key-1, status=401) -> ""\n'
            'status() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Below, at and beyond the threshold, after a 401, and after a recovery; a key that is given twice."""
        yield from around(self, status(optional=False))
        twice = Given(regular=("key-1", "key-1", "key-2"))
        yield Workload(name="twice", given=twice, setup=(status(optional=False),))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key in the wrong group, in both, in none, or of no concern."""
        if moment.name != "status" or moment.pool != "regular":
            return None
        return misplaced(moment)


@final
class AllKeysUnion(Invariant):
    """get_all_keys_with_fail_count() has the same two and all_keys, their union.

    Why: the routes for keys read all_keys, and page through it (000-16).
    How it breaks: all_keys lacks the invalid ones, or its counts are of another moment.
    Fix: make the two groups as for the status, and all_keys from them.
    """

    id = "FMT03"
    audits = ("000-16",)
    requires = ("all_keys",)
    subject = ("all_keys",)
    general = True
    CONFORMING = (
        'given regular=key-1\nall_keys() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}, "all_keys": {"key-1": 0}}',
        (
            'given regular=key-1\nfail(lease=key-1, status=401) -> ""\n'
            'all_keys() -> {"valid_keys": {}, "invalid_keys": {"key-1": 3}, "all_keys": {"key-1": 3}}'
        ),
        (
            'given regular=key-1 vertex=vertex-1\nall_keys() -> {"valid_keys": {"key-1": 0, "vertex-1": 0}, '
            '"invalid_keys": {}, "all_keys": {"key-1": 0, "vertex-1": 0}}'
        ),
    )
    VIOLATING = (
        'given regular=key-1\nall_keys() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}',
        'given regular=key-1\nall_keys() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}, "all_keys": {}}',
        'given regular=key-1\nall_keys() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}, "all_keys": {"key-1": 1}}',
        (
            'given regular=key-1\nfail(lease=key-1, status=401) -> ""\n'
            'all_keys() -> {"valid_keys": {"key-1": 3}, "invalid_keys": {}, "all_keys": {"key-1": 3}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Healthy, failed and empty pools."""
        yield from around(self, all_keys(optional=False))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse two groups that a status may not have, and a third that is not their union."""
        if moment.name != "all_keys" or not moment.answered:
            return None
        return malformed(moment) or misplaced(moment) or _divided(moment)


def _divided(moment: Moment) -> Refusal | None:
    """Refuse all_keys that is not the union of the two groups, with the same counts."""
    valid, invalid = (moment.value[name] for name in GROUPS)
    union = {**valid, **invalid}
    if moment.value.get("all_keys") == union:
        return None
    return moment.refusal("all_keys, the union of the two groups with their counts", "all_keys is not the union")


@final
class VertexStatus(Invariant):
    """get_vertex_keys_by_status() is the same for the vertex pool; the pools never mix.

    Why: a vertex key on the page of the regular keys is restored, or removed, in the wrong pool (000-15).
    How it breaks: both pools share one table of counts; the vertex status is that of the regular pool.
    Fix: keep the counts by pool and key, and make both answers by one function of the pool.
    """

    id = "FMT04"
    audits = ("000-15",)
    requires = ("status",)
    subject = ("status",)
    general = True
    CONFORMING = (
        'status(pool=vertex) -> {"valid_keys": {"vertex-1": 0, "vertex-2": 0}, "invalid_keys": {}}',
        (
            'given vertex=vertex-1\nfail(lease=vertex-1, pool=vertex, status=401) -> ""\n'
            'status(pool=vertex) -> {"valid_keys": {}, "invalid_keys": {"vertex-1": 3}}'
        ),
        'given regular=key-1 vertex=key-1\nstatus() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}',
        "status() -> None",
    )
    VIOLATING = (
        "status(pool=vertex) -> None",
        'given vertex=vertex-1\nstatus(pool=vertex) -> {"valid_keys": {"vertex-1": 0}}',
        'given vertex=vertex-1\nstatus(pool=vertex) -> {"valid_keys": {"vertex-1": 0, "key-1": 0}, "invalid_keys": {}}',
        (
            "given regular=key-1 vertex=vertex-1\n"
            'status() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {"vertex-1": 1}}'
        ),
        (
            'given vertex=vertex-1\nfail(lease=vertex-1, pool=vertex, status=401) -> ""\n'
            'status(pool=vertex) -> {"valid_keys": {"vertex-1": 0}, "invalid_keys": {}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Healthy, failed and empty vertex pools, with a look at the regular one after each."""
        for workload in around(self, status(pool="vertex", optional=False), pool="vertex"):
            yield replace(workload, finale=(*workload.finale, status()))
        out = told(self, failing(self, status=None)("key-1"))
        read = (status(pool="vertex", optional=False), status())
        yield Workload(name="other-pool", given=PAIR, setup=out * (strikes(self) + 1), finale=read)

    def accidents(self, history: History) -> Iterator[Violation]:
        """Look at the status of the vertex pool."""
        own = tuple(op for op in history.operations if op.get("pool") == "vertex")
        yield from super().accidents(replace(history, operations=own))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what a status of the vertex pool may not be, and a regular one with vertex keys."""
        if moment.name != "status" or not moment.answered:
            return None
        if moment.pool == "vertex":
            return malformed(moment) or _more(moment) or misplaced(moment)
        own, other = (moment.state.members.get(pool, ()) for pool in ("regular", "vertex"))
        mixed = [key for key in in_groups(moment.value) if key in other and key not in own]
        if not mixed:
            return None
        return moment.refusal(f"keys of the regular pool: {', '.join(own)}", "a status mixes the pools")


@final
class OneMoment(Invariant):
    """A status read in parallel with failures shows one moment: every key in exactly one group.

    Why: a page that shows a key twice, or not at all, sends an operator after a fault that is not there (002-O3).
    How it breaks: one group is made, something is awaited, and the other group is made of a later state.
    Fix: read all counts in one step, then make both groups from what was read.
    """

    id = "FMT05"
    audits = ("002-O3",)
    requires = ("status|all_keys", "fail")
    subject = ("status", "all_keys")
    overlap = True
    CONFORMING = (
        (
            "given regular=key-1,key-2 max_failures=1\n| fail(lease=key-1, status=500) -> key-2\n"
            '| status() -> {"valid_keys": {"key-1": 0, "key-2": 0}, "invalid_keys": {}}\n'
            'status() -> {"valid_keys": {"key-2": 0}, "invalid_keys": {"key-1": 1}}'
        ),
        (
            "given regular=key-1,key-2 max_failures=1\n| fail(lease=key-1, status=500) -> key-2\n"
            '| status() -> {"valid_keys": {"key-2": 0}, "invalid_keys": {"key-1": 1}}'
        ),
    )
    VIOLATING = (
        (
            "given regular=key-1,key-2 max_failures=1\n| fail(lease=key-1, status=500) -> key-2\n"
            '| status() -> {"valid_keys": {"key-1": 0, "key-2": 0}, "invalid_keys": {"key-1": 1}}'
        ),
        (
            "given regular=key-1,key-2 max_failures=1\n| fail(lease=key-1, status=500) -> key-2\n"
            '| status() -> {"valid_keys": {"key-2": 0}, "invalid_keys": {}}'
        ),
        (
            'given regular=key-1 max_failures=1\n| fail(lease=key-1, status=500) -> ""\n'
            '| all_keys() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}, "all_keys": {"key-1": 1}}'
        ),
        "| fail(lease=key-1, status=500) -> key-2\n| status() -> raises RuntimeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """A status while one key is struck out, two are, one is taken out, or one comes back."""
        first = replace(PAIR, max_failures=1, needs=frozenset({"max_failures"}))
        for pool in ("regular", "vertex"):
            reads = {"status": status(pool=pool, optional=False)}
            if pool == "regular":
                reads["all"] = all_keys(optional=False)
            for name, read in reads.items():
                for case, given, setup, changing in self._changes(first, pool):
                    clients = ((read,), changing)
                    where = f"{pool}-{name}-{case}"
                    yield Workload(name=where, given=given, setup=(read, *setup), clients=clients, finale=(read,))

    def _changes(self, first: Given, pool: str) -> Iterator[tuple[str, Given, tuple[Step, ...], tuple[Step, ...]]]:
        one, two = PAIR.keys(pool)
        strike, auth = failing(self, status=None, pool=pool), failing(self, status=401, pool=pool)
        yield "struck", first, (), (strike(one),)
        yield "both", first, (), (strike(one), strike(two))
        yield "last", PAIR, told(self, strike(one)) * (PAIR.max_failures - 1), (strike(one),)
        yield "auth", PAIR, (), (auth(one),)
        yield "both-auth", PAIR, (), (auth(one), auth(two))
        yield "back", PAIR, told(self, auth(one)), (reset(one, pool=pool),)

    def disorder(self, history: History) -> Iterator[Violation]:
        """Leave it to other rules where a status is wrong that nothing ran beside."""
        alone = tuple(op for op in history.operations if op.name not in self.subject or op not in history.parallel())
        if not any(super().disorder(replace(history, operations=alone))):
            yield from super().disorder(history)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key in both groups or in none, and groups that no one moment had."""
        if moment.name not in self.subject or not moment.answered or malformed(moment):
            return None
        return misplaced(moment) or (_divided(moment) if moment.name == "all_keys" else None)
