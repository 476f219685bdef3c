"""LIVE02: calls that keep running and get nowhere."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant
from pytest_keyconform.catalogue.liveness import ANY, EXHAUSTED, OPERATIONS, VARIANTS
from pytest_keyconform.catalogue.provoking import depletions
from pytest_keyconform.catalogue.steps import acquire, fail, next_key, random_key, record
from pytest_keyconform.history import Ending
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History

TRIO = Given()
CURSORS = {
    "acquire": acquire(),
    "acquire-m2": acquire(model="m2"),
    "next_key": next_key(),
    "random_key": random_key(),
    "fail": fail("key-1", status=None),
    "record": record("key-1"),
}


@final
class NoLivelock(Invariant):
    """No interleaving of any one or two operations runs for ever under a fair schedule.

    Why: a call that spins holds its request and a core, and no time-out of a lock ever ends it (004-6).
    How it breaks: a search for a key goes round while none is usable; two calls give way to each other again and again.
    Fix: bound every search by the number of keys; wait for a change, or let exactly one of two calls give way.
    """

    id = "LIVE02"
    audits = ("004-6",)
    requires = ANY
    overlap = True
    engines = (
        "tasks",
        "threads",
        "delayed-tasks",
    )  # where steps are counted: else nobody could end a thread that spins
    unhindered = True
    CONFORMING = (
        "| acquire() -> key-1\n| acquire() -> key-2",
        "fail(lease=key-1, status=401) -> key-2\nacquire() -> key-2",
        "acquire() -> pending",
    )
    VIOLATING = (
        "acquire() -> spinning",
        "| record(lease=key-1) -> spinning\n| record(lease=key-2) -> spinning",
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nacquire() -> spinning',
    )

    def workloads(self) -> Iterator[Workload]:
        """Every operation alone, with no key usable, every pair, and callers that share a cursor."""
        alone = {**OPERATIONS, **VARIANTS}.items()
        yield from (Workload(name=name, given=TRIO, clients=((call,),)) for name, call in alone)
        for way in depletions(self):
            for name in ("acquire", "next_key", "random_key", "fail"):
                alone_then = ((OPERATIONS[name],),)
                yield Workload(name=f"{way.name}-{name}", given=way.given, setup=way.steps, clients=alone_then)
        for names in combinations_with_replacement(OPERATIONS, 2):
            yield Workload(name="+".join(names), given=TRIO, clients=tuple((OPERATIONS[name],) for name in names))
        for names in combinations_with_replacement(CURSORS, 2):
            clients = tuple((CURSORS[name], CURSORS[name]) for name in names)
            yield Workload(name=f"cursor:{'+'.join(names)}", given=TRIO, clients=clients)
        yield from self._without_keys()

    def _without_keys(self) -> Iterator[Workload]:
        for way in depletions(self):
            for names in EXHAUSTED if way.name in ("auth", "struck") else ():
                clients = tuple((OPERATIONS[name],) for name in names)
                where = f"{way.name}:{'+'.join(names)}"
                yield Workload(name=where, given=way.given, setup=way.steps, clients=clients)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at how the execution ended: the engines end one so only after a long stretch in fair turns."""
        if history.ending is not Ending.LIVELOCK:
            return
        pending = [operation for operation in history.operations if operation.pending]
        names = ", ".join(sorted({operation.name for operation in pending})) or "the harness' own call"
        where = map(str, history.blocked or (operation.invocation for operation in pending))
        yield Violation(
            observed=f"livelock: {'; '.join(where) or names}",
            expected="every call ends once each has had its turn often enough",
            signature=f"livelock of {names}",
            operation=pending[0] if pending else None,
        )
