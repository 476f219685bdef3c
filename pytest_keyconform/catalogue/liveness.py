"""LIVE01 and LIVE04: deadlock, and what a failing call leaves behind."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, combinations_with_replacement
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.calls import STATUSES, asks, optional, reads, reports, restores
from pytest_keyconform.catalogue.invariant import Invariant, Moment, accident, broken
from pytest_keyconform.catalogue.oddities import odd_calls, strange_calls
from pytest_keyconform.catalogue.provoking import depletions
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.steps import (
    acquire,
    all_keys,
    fail,
    failures,
    is_valid,
    next_key,
    random_key,
    reactivate,
    record,
    release,
    reset,
    reset_all,
    reset_usage,
    status,
    step,
    tick,
    usage,
)
from pytest_keyconform.history import Ending
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.workload import Step

TRIO = Given()
ANY = ("acquire|next_key|random_key|record|fail|status",)
CLOSE = step("close")
RELOAD = step("reload", api_keys=("key-2", "key-3", "new-1"), vertex_api_keys=("vertex-1",))
KEYED = ("acquire", "next_key", "random_key", "fail")
ENDLESS = (Ending.DEADLOCK, Ending.LIVELOCK)
GOING_ON = ("its turn", "sleep")  # what a call waits for that is not stuck itself

OPERATIONS: Final = {
    "acquire": acquire(),
    "next_key": next_key(),
    "random_key": random_key(),
    "record": record("key-1"),
    "fail": fail("key-1", status=None),
    "release": release("key-1"),
    "usage": usage("key-1"),
    "failures": failures("key-1"),
    "is_valid": is_valid("key-1"),
    "status": status(),
    "all_keys": all_keys(),
    "state": step("state"),
    "health": step("health"),
    "reset": reset("key-1"),
    "reset_all": reset_all(),
    "reactivate": reactivate("key-1"),
    "reset_usage": reset_usage(),
    "tick": tick(),
    "reload": RELOAD,
    "close": CLOSE,
}
VARIANTS: Final = {
    **{f"fail-{code}": fail("key-1", status=code) for code in STATUSES if code is not None},
    "fail-last": fail("key-1", status=None, retries=TRIO.max_retries),
    "fail-vertex": fail("vertex-1", status=None, pool="vertex"),
    "record-quota": record("key-1", outcome="quota"),
    "acquire-vertex": acquire(pool="vertex"),
    "status-vertex": status(pool="vertex"),
}
WIDE: Final = ("all_keys", "state", "reset_all", "reset_usage", "tick", "reload", "close")
CHANGING: Final = ("acquire", "record", "fail", "reset", "reload", "close")
TRIPLES: Final = (
    ("acquire", "acquire", "acquire"),
    ("acquire", "acquire", "fail-401"),
    ("acquire", "acquire", "close"),
    ("acquire", "fail-429", "fail-401"),
    ("acquire", "fail", "reset_all"),
    ("acquire", "fail", "close"),
    ("acquire", "fail-vertex", "status-vertex"),
    ("acquire", "record", "reset_usage"),
    ("acquire", "record", "close"),
    ("acquire", "reload", "fail"),
    ("record", "status", "tick"),
    ("record", "reset", "reload"),
    ("fail", "status", "reset"),
    # An uncontended lock is taken without a pause, so two calls that take two locks each in their own order only
    # meet half-way while a third one holds a lock that both want.
    *((holder, *pair) for holder in ("record", "acquire-vertex") for pair in combinations(WIDE, 2)),
)
# Locks may be taken in a ring. These are sixteen, and of fours of them any three are together in exactly one.
RING: Final = (
    "acquire",
    "record",
    "fail",
    "reload",
    "reset",
    "reset_all",
    "reactivate",
    "reset_usage",
    "status",
    "state",
    "usage",
    "next_key",
    "random_key",
    "acquire-vertex",
    "tick",
    "close",
)
FOURS: Final = tuple(four for four in combinations(range(len(RING)), 4) if four[0] ^ four[1] ^ four[2] ^ four[3] == 0)
EXHAUSTED: Final = (
    ("acquire", "acquire"),
    ("acquire", "fail"),
    ("acquire", "record"),
    ("acquire", "reset"),
    ("acquire", "reset_all"),
    ("acquire", "reload"),
    ("acquire", "close"),
    ("fail", "reset"),
)


def _waiting(history: History) -> str:
    """Say which calls wait for what, and where."""
    calls = map(str, history.blocked) if history.blocked else (str(op.invocation) for op in _pending(history))
    place = "opening the manager" if not history.operations else "closing the manager"
    return "; ".join(calls) or place


def _pending(history: History) -> tuple[Operation, ...]:
    return tuple(operation for operation in history.operations if operation.pending)


def _locked(history: History) -> bool:
    """Tell whether calls wait for each other for ever, while something beside them goes on: a worker with a timer."""
    waiting = [one.waits_for for one in history.blocked]
    return history.ending is Ending.LIVELOCK and bool(waiting) and not any(one.startswith(GOING_ON) for one in waiting)


def _endless(history: History, expected: str, context: str) -> Violation:
    """Say that calls never ended."""
    pending = _pending(history)
    names = ", ".join(sorted({operation.name for operation in pending})) or "the harness' own call"
    return Violation(
        observed=f"{history.ending.value}: {_waiting(history)}",
        expected=expected,
        signature=f"{history.ending.value} of {names}{context}",
        operation=pending[0] if pending else None,
    )


@final
class NoDeadlock(Invariant):
    """No interleaving of any one, two or three operations (closing included, every status of `fail`) deadlocks.

    Why: one deadlock stops every request of the service until it is started again (000-22, 004-6).
    How it breaks: two locks are taken in either order; a lock is taken again by who holds it; a waiter is never told.
    Fix: take one lock, or all of them in one order; call nothing that takes a lock while one is held.
    """

    id = "LIVE01"
    audits = ("000-22", "004-6")
    requires = ANY
    overlap = True
    general = True
    unhindered = True
    CONFORMING = (
        "| acquire(model=m1) -> key-1\n| fail(lease=key-1, model=m1, status=429) -> key-2",
        "policy exhaustion=blocks\ngiven regular=\nacquire(model=m1) -> raises typed TimeoutError after 5",
        "| close()\n| record(lease=key-1) -> raises typed Closed",
    )
    VIOLATING = (
        "acquire(model=m1) -> pending",
        "| acquire(model=m1) -> pending\n| fail(lease=key-1, model=m1, status=429) -> pending",
        "| acquire(model=m1) -> key-1\n| close() -> pending",
    )

    def workloads(self) -> Iterator[Workload]:
        """Each operation alone, also oddly called, all pairs, also with nothing usable, and chosen triples."""
        calls = {name: replace(call, optional=False) for name, call in {**OPERATIONS, **VARIANTS}.items()}
        alone = [(name, (call,)) for name, call in calls.items()]
        odd = [(f"odd:{name}", called) for name, called in (*odd_calls(), *strange_calls())]
        yield from (Workload(name=name, given=TRIO, setup=setup) for name, setup in (*alone, *odd))
        pairs = [*combinations_with_replacement(OPERATIONS, 2), *((v, name) for v in VARIANTS for name in CHANGING)]
        for names in (*pairs, *TRIPLES):
            clients = tuple((calls[name],) for name in names)
            yield Workload(name="+".join(names), given=TRIO, clients=clients)
        yield from self._exhausted(calls)
        for four in FOURS:
            names = tuple(RING[place] for place in four)
            ring = tuple(optional(calls[name]) for name in names)
            yield Workload(name=f"ring:{'+'.join(names)}", given=TRIO, clients=ring, paced=True)

    def _exhausted(self, calls: Mapping[str, Step]) -> Iterator[Workload]:
        for way in depletions(self):
            for names in EXHAUSTED if way.name in ("auth", "struck") else ():
                clients = tuple((calls[name],) for name in names)
                where = f"{way.name}:{'+'.join(names)}"
                yield Workload(name=where, given=way.given, setup=way.steps, clients=clients)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at how the execution ended."""
        if history.ending is Ending.DEADLOCK or _locked(history):
            yield _endless(replace(history, ending=Ending.DEADLOCK), "every call ends", "")


@final
class FailingLeavesNoLock(Invariant):
    """A call that fails leaves no lock held.

    Why: one request with bad input, and every later one waits for a lock that nobody will release (004-6).
    How it breaks: the lock is released at the end of the method, and an exception leaves before that.
    Fix: hold locks by ``with`` or ``async with``, or release them in ``finally``.
    """

    id = "LIVE04"
    audits = ("004-6",)
    requires = ANY
    unhindered = True
    CONFORMING = (
        "acquire() -> key-1\nrecord(lease=key-1, tokens=-1, bad=True) -> raises typed ValueError\nacquire() -> key-2",
        "record(lease=key-1, tokens=-1, bad=True) -> raises KeyError\nrecord(lease=key-1) -> True",
        "status() -> raises KeyError\nrecord(lease=key-1, tokens=-1, bad=True) -> False\nstatus() -> raises KeyError",
        "acquire() -> pending",
    )
    VIOLATING = (
        "record(lease=key-1, tokens=-1, bad=True) -> raises typed ValueError\nacquire() -> pending",
        "reset(key=stranger-1) -> False\nstatus() -> pending",
        "acquire(model=7, bad=True) -> pending",
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nreset(key=key-1) -> pending',
        (
            "acquire() -> key-1\nrecord(lease=key-1, tokens=-1, bad=True) -> raises typed ValueError\n"
            "acquire() -> raises typed TimeoutError after 5"
        ),
        (
            "status() -> {}\nrecord(lease=key-1, tokens=-1, bad=True) -> raises typed ValueError\n"
            "status() -> raises typed TimeoutError after 5"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Every operation, one call that fails, and every operation again."""
        single = ((name, (failing,)) for name, failing in self._failing())
        for name, calls in (*single, *self._odd()):
            setup = (*self._round("before"), *calls)
            yield Workload(name=name, given=TRIO, setup=setup, finale=self._round("after"))
        for way in depletions(self):
            if way.name in ("auth", "struck"):
                setup = (*way.steps, acquire(), *optional(random_key()))
                back = (reset(key) for key in way.given.regular)
                yield Workload(name=way.name, given=way.given, setup=setup, finale=(*back, *self._round("after")))

    def _round(self, tag: str) -> tuple[Step, ...]:
        told = reports(self, "key-2", statuses=(None,))
        return (*reads("key-2"), *asks(tag), *told, *restores("key-2"))

    def _odd(self) -> Iterator[tuple[str, tuple[Step, ...]]]:
        """Yield all odd calls of an operation at once; under leases, where each may take a key, one by one."""
        for name, calls in (*odd_calls(), *strange_calls()):
            if self.policies.tenure == "lease":
                yield from ((f"odd:{name}-{number}", (call,)) for number, call in enumerate(calls))
            else:
                yield f"odd:{name}", calls

    def _failing(self) -> Iterator[tuple[str, Step]]:
        odd = ("m1",)  # a list when it reaches the backend: no key of a dict
        for name, tokens in (("negative", -1), ("nan", float("nan")), ("text", "many")):
            yield f"record-{name}", record("key-1", tokens=tokens, bad=True)
        yield "record-model", record("key-1", model=odd, bad=True)
        yield "record-stranger", record("stranger-1")
        yield "fail-model", fail("key-1", status=None, model=odd, bad=True)
        yield "fail-retries", fail("key-1", status=None, retries="many", bad=True)  # type: ignore[arg-type] # on purpose
        yield "fail-stranger", fail("stranger-1", status=None)
        yield "acquire-model", acquire(model=odd, bad=True)
        yield "acquire-number", acquire(model=7, bad=True)
        yield "random-model", random_key(model=odd, bad=True)
        yield "usage-model", usage("key-1", model=odd, bad=True)
        yield "usage-stranger", usage("stranger-1")
        for name in ("reset", "reactivate", "failures", "is_valid"):
            yield f"{name}-stranger", step(name, key="stranger-1")
            yield f"{name}-odd", step(name, key=odd, bad=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what comes after the first call that failed."""
        if not history.sequential:
            return
        failed = raised = False
        answered: set[str] = set()
        for moment in self.moments(history):
            operation = moment.operation
            empty = moment.name in KEYED and moment.nothing
            failed |= _is_failing(moment) or empty or isinstance(operation.response, Raised)
            if failed and operation.pending and history.ending in ENDLESS:
                yield _endless(history, "every call ends, also after one that failed", " after a call that failed")
            if raised and operation.name in answered and self._hindered(moment):
                signature = f"{operation.name} goes wrong after a call that failed"
                yield broken(operation, "an answer, as before the call that failed", signature)
            raised |= _is_failing(moment) and isinstance(operation.response, Raised)
            if isinstance(operation.response, Answered) and not moment.nothing:
                answered.add(operation.name)

    def _hindered(self, moment: Moment) -> bool:
        """Tell whether a call with nothing wrong about it raises, or goes away empty while a key is usable."""
        if _is_failing(moment) or not isinstance(moment.operation.response, Raised):
            return False
        refusal = nothing_served(moment) if moment.name == "acquire" else None
        return refusal is not None or accident(moment.operation, self.policies)


def _is_failing(moment: Moment) -> bool:
    """Tell whether a call is one that is made to fail: bad input, or a key nobody knows."""
    named = moment.operation.get("lease", moment.operation.get("key"))
    stranger = named is not None and not moment.state.pools_of(str(named))
    return bool(moment.operation.get("bad")) or stranger
