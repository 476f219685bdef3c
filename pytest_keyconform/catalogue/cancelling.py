"""LIVE03: what a cancelled call leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.calls import optional, reads
from pytest_keyconform.catalogue.invariant import Invariant
from pytest_keyconform.catalogue.liveness import ANY, ENDLESS, OPERATIONS
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.steps import (
    all_keys,
    fail,
    next_key,
    random_key,
    record,
    reset,
    status,
    usage,
)
from pytest_keyconform.operation import Cancelled, Invocation
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.invariant import Moment, Refusal
    from pytest_keyconform.history import History
    from pytest_keyconform.workload import Step

TRIO: Final = Given()
AWAITS: Final = 16  # at which a call alone is cancelled, one after the other; a call with fewer just answers
BESIDE: Final = 6  # the same beside a second client, where the schedules add theirs
CANCELLED: Final = ("acquire", "record", "fail", "release", "next_key", "status", "reset", "reload")
BEHIND: Final = ("acquire", "record", "next_key", "status")
TOKENS: Final = 5


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
        'record(lease=key-1) -> True\nreload() -> cancelled\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
    )
    VIOLATING = (
        "acquire() -> cancelled\nacquire() -> pending",
        'acquire() -> cancelled\nacquire() -> ""',
        'record(lease=key-1, tokens=5) -> cancelled\nusage(key=key-1) -> {"rpm": 1, "tpm": 0}',
        "| acquire() -> cancelled\n| acquire() -> pending",
    )

    def workloads(self) -> Iterator[Workload]:
        """Each call cancelled at each await, alone and beside one that waits behind it; then everything again."""
        for name in CANCELLED:
            for at in range(AWAITS):
                again = (self._cancelled(name, at),) * len(TRIO.regular)  # each might lose a key of its own
                yield Workload(name=f"{name}-{at}", given=TRIO, setup=again, finale=self._again())
        for name in CANCELLED:
            for at in range(BESIDE):
                for other in BEHIND:
                    clients = (self._cancelled(name, at),), (OPERATIONS[other],)
                    yield Workload(name=f"{name}-{at}+{other}", given=TRIO, clients=clients, finale=self._again())

    def _cancelled(self, name: str, at: int) -> Step:
        """Answer a call of an operation that is cancelled at its await of this number."""
        call = record("key-1", tokens=TOKENS) if name == "record" else OPERATIONS[name]
        return replace(call, invocation=Invocation(name, (*call.invocation.arguments, ("cancel", at))))

    def _again(self) -> tuple[Step, ...]:
        """Answer a reading of what is counted, then every operation once and a rotation of the pool."""
        taken = (step for number in range(len(TRIO.regular)) for step in self.taking(f"z{number}"))
        told = (record("key-2"), fail("key-2", status=None, retries=TRIO.max_retries), reset("key-2"))
        asked = (random_key(), next_key(), status(), all_keys())
        return optional(usage("key-1"), *reads("key-2"), *taken, *told, *asked)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an acquire that goes away empty while a key is usable, and a count neither before nor after."""
        return nothing_served(moment) if moment.name == "acquire" else wrong_usage(moment)

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


def _countable(history: History) -> History:
    """Leave the counts out where keys were exchanged: what is counted of a key that went is not promised."""
    if not any(history.named("reload")):
        return history
    return replace(history, operations=tuple(op for op in history.operations if op.name != "usage"))
