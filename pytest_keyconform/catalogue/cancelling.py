"""LIVE03: what a cancelled call leaves behind."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.calls import optional, reads
from pytest_keyconform.catalogue.grouping import in_groups, malformed
from pytest_keyconform.catalogue.invariant import Invariant
from pytest_keyconform.catalogue.liveness import ANY, ENDLESS, OPERATIONS, VARIANTS
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import hurt
from pytest_keyconform.catalogue.steps import (
    acquire,
    all_keys,
    fail,
    next_key,
    random_key,
    reactivate,
    record,
    reset,
    reset_all,
    status,
    step,
    usage,
)
from pytest_keyconform.operation import Cancelled, Invocation
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_keyconform.catalogue.invariant import Moment, Refusal
    from pytest_keyconform.history import History
    from pytest_keyconform.workload import Step

TRIO: Final = Given()
AWAITS: Final = 16  # at which a call alone is cancelled, one after the other; a call with fewer just answers
BESIDE: Final = 6  # the same beside a second client, where the schedules add theirs
FEW: Final = 6  # the same of what is cancelled less often, and takes no more of them in most managers
CANCELLED: Final = ("acquire", "record", "fail", "release", "next_key", "status", "reset", "reload")
BEHIND: Final = ("acquire", "record", "next_key", "status")
TOKENS: Final = 5
SELDOM: Final = {
    **{name: OPERATIONS[name] for name in ("random_key", "usage", "failures", "is_valid", "all_keys", "state")},
    **{name: OPERATIONS[name] for name in ("health", "reset_all", "reactivate", "reset_usage", "tick")},
    **{name: VARIANTS[name] for name in ("fail-429", "fail-401", "record-quota")},
    "record-auth": record("key-1", outcome="auth"),
    "reactivate-model": reactivate("key-1", model=TRIO.default_model),
}
VERTEX: Final = {
    **{name: VARIANTS[name] for name in ("acquire-vertex", "fail-vertex", "status-vertex")},
    "record-vertex": record("vertex-1", pool="vertex", tokens=TOKENS),
    "usage-vertex": usage("vertex-1", pool="vertex"),
    "next_key-vertex": next_key(pool="vertex"),
    "reset-vertex": reset("vertex-1", pool="vertex"),
}
RESTORING: Final = {
    "reset": reset("key-1"),
    "reset_all": reset_all(),
    "reactivate": reactivate("key-1"),
    "reload": step("reload", api_keys=("key-1",), vertex_api_keys=TRIO.vertex),
}
# Where only one of the two lists is exchanged, a key is in neither pool.
MOVED: Final = step("reload", api_keys=("key-2", "key-3", "vertex-1"), vertex_api_keys=("key-1", "vertex-2"))


@final
class CancellingLeavesNothing(Invariant):
    """A call cancelled at any await leaves no lock held, no key lost, no count half made, and all behind it served.

    Why: clients hang up at any time, and each may leave a lock that stops all others, or a key nobody gets (004-6).
    How it breaks: a lock is released only where nothing is raised; a key is taken out and put back after an await;
    requests are counted before an await and tokens after it.
    Fix: hold locks by ``async with``; undo in ``finally``; change together what belongs together, no await between.
    """

    id = "LIVE03"
    audits = ("004-6",)
    requires = ANY
    awaited = True
    unhindered = True
    CONFORMING = (
        "acquire() -> cancelled\nacquire() -> key-1",
        'record(lease=key-1, tokens=5) -> cancelled\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        'record(lease=key-1, tokens=5) -> cancelled\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        "acquire() -> pending",
        (
            "given regular=key-1,key-2 vertex=vertex-1\nreload(api_keys=key-2;, vertex_api_keys=key-1;) -> cancelled\n"
            'status() -> {"valid_keys": {"key-2": 0}, "invalid_keys": {}}\n'
            'status(pool=vertex) -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}'
        ),
        'record(lease=key-1) -> True\nreload() -> cancelled\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
    )
    VIOLATING = (
        "acquire() -> cancelled\nacquire() -> pending",
        'acquire() -> cancelled\nacquire() -> ""',
        'record(lease=key-1, tokens=5) -> cancelled\nusage(key=key-1) -> {"rpm": 1, "tpm": 0}',
        "| acquire() -> cancelled\n| acquire() -> pending",
        (
            "given regular=key-1,key-2 vertex=vertex-1\nreload(api_keys=key-2;, vertex_api_keys=key-1;) -> cancelled\n"
            'status() -> {"valid_keys": {"key-2": 0}, "invalid_keys": {}}\n'
            'status(pool=vertex) -> {"valid_keys": {"vertex-1": 0}, "invalid_keys": {}}'
        ),
        (
            "given regular=key-1,key-2 vertex=vertex-1\nreload(api_keys=key-2;, vertex_api_keys=key-1;) -> cancelled\n"
            'status() -> {"valid_keys": {"key-2": 0}, "invalid_keys": {}}\nacquire(pool=vertex) -> vertex-1'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each call cancelled at each await, alone and beside one that waits behind it; then everything again."""
        for name in CANCELLED:
            call = record("key-1", tokens=TOKENS) if name == "record" else OPERATIONS[name]
            for at in range(AWAITS):
                again = (_cancelled(call, at),) * len(TRIO.regular)  # each might lose a key of its own
                yield Workload(name=f"{name}-{at}", given=TRIO, setup=again, finale=self._again())
        for name in CANCELLED:
            call = record("key-1", tokens=TOKENS) if name == "record" else OPERATIONS[name]
            for at in range(BESIDE):
                for other in BEHIND:
                    clients = (_cancelled(call, at),), (OPERATIONS[other],)
                    yield Workload(name=f"{name}-{at}+{other}", given=TRIO, clients=clients, finale=self._again())
        yield from self._seldom("regular", SELDOM, {other: OPERATIONS[other] for other in ("acquire", "record")})
        yield from self._seldom("vertex", VERTEX, {name: VERTEX[name] for name in ("acquire-vertex", "record-vertex")})
        yield from self._restored()

    def _seldom(self, pool: str, calls: Mapping[str, Step], behind: Mapping[str, Step]) -> Iterator[Workload]:
        """Yield the same of the other operations and of the vertex pool, at fewer awaits and in few orders."""
        finale = self._again(pool)
        for name, call in calls.items():
            for at in range(FEW):
                again = (_cancelled(call, at),) * len(TRIO.keys(pool))
                yield Workload(name=f"{name}-{at}", given=TRIO, setup=again, finale=finale)
            for at, other in product(range(2), behind):
                clients = (_cancelled(call, at),), (behind[other],)
                where = f"{name}-{at}+{other}"
                yield Workload(name=where, given=TRIO, clients=clients, finale=finale, paced=True)

    def _restored(self) -> Iterator[Workload]:
        """Yield what brings the only key back, cancelled and then done; and an exchange of keys between the pools."""
        one = replace(TRIO, regular=("key-1",))
        out = hurt(self, "key-1", status=401)
        for name, call in RESTORING.items():
            for at in range(FEW):
                setup = (*out, _cancelled(call, at), RESTORING["reset"])
                yield Workload(name=f"{name}-out-{at}", given=one, setup=setup, finale=self.taking("z"))
        taken = (step for number in range(len(TRIO.regular)) for step in self.taking(f"z{number}"))
        looked = (status(), status(pool="vertex"), *taken, *self.taking("v", pool="vertex"))
        for at in range(FEW):
            yield Workload(name=f"moved-{at}", given=TRIO, setup=(_cancelled(MOVED, at),), finale=looked)

    def _again(self, pool: str = "regular") -> tuple[Step, ...]:
        """Answer a reading of what is counted, then every operation once and a rotation of the pool."""
        first, second, *_ = keys = TRIO.keys(pool)
        taken = (step for number in range(len(keys)) for step in self.taking(f"z{number}", pool=pool))
        last = fail(second, status=None, retries=TRIO.max_retries, pool=pool)
        told = (record(second, pool=pool), last, reset(second, pool=pool))
        other = (acquire("zr"),) if pool == "vertex" else (random_key(), all_keys())
        asked = (next_key(pool=pool), status(pool=pool), *other)
        return optional(usage(first, pool=pool), *reads(second, pool=pool), *taken, *told, *asked)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an acquire that goes away empty with a key usable, a lost key, a count neither before nor after."""
        if moment.name == "acquire":
            return nothing_served(moment) or _of_no_list(moment)
        return _lost(moment) if moment.name == "status" else wrong_usage(moment)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what comes after a call that was cancelled."""
        cancelled = [op for op in history.operations if isinstance(op.response, Cancelled)]
        if not cancelled:
            return
        stuck = [operation for operation in history.operations if operation.pending]
        if stuck and history.ending in ENDLESS:
            waiting = "; ".join(map(str, history.blocked or (operation.invocation for operation in stuck)))
            yield Violation(
                observed=f"{history.ending.value} after {cancelled[0].invocation} was cancelled: {waiting}",
                expected="every call ends, also behind and after one that was cancelled",
                signature=f"{history.ending.value} of {stuck[0].name} after {cancelled[0].name} was cancelled",
                operation=stuck[0],
            )
        elif not stuck:
            yield from self.disorder(_countable(history))


def _cancelled(call: Step, at: int) -> Step:
    """Answer a call that is cancelled at its await of this number."""
    return replace(call, invocation=Invocation(call.name, (*call.invocation.arguments, ("cancel", at))))


def _lost(moment: Moment) -> Refusal | None:
    """Refuse a status without a key that an exchange of the lists moved from one pool to the other, or left there."""
    if not moment.answered or malformed(moment):
        return None
    lost = [key for key in moment.state.members[moment.pool] if key not in in_groups(moment.value)]
    return moment.refusal(f"{', '.join(lost)} too", "a status leaves a key out") if lost else None


def _of_no_list(moment: Moment) -> Refusal | None:
    """Refuse a key that is served by the pool that it is not in, or in no more."""
    given, served = moment.oracle.given, moment.value
    if served not in (*given.regular, *given.vertex) or moment.state.knows(moment.pool, served):
        return None
    expected = f"a key of the {moment.pool} pool: {', '.join(moment.state.members[moment.pool])}"
    return moment.refusal(expected, "acquire serves a key that is not in its pool")


def _countable(history: History) -> History:
    """Leave the counts out where keys were exchanged: what is counted of a key that went is not promised."""
    if not any(history.named("reload")):
        return history
    return replace(history, operations=tuple(op for op in history.operations if op.name != "usage"))
