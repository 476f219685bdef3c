"""LIVE10 and LIVE11: who waits for a key gets it when it comes free."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.standing import ONE, PAIR, hurt
from pytest_keyconform.catalogue.steps import acquire, advance, reactivate, record, reset, step
from pytest_keyconform.operation import Answered, Raised, Ref
from pytest_keyconform.workload import DEFAULT_MODEL, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Given, Step

FREEING = ("release", "record", "reset", "reactivate")
AFTER = 0.4  # seconds until a key comes free: well before any deadline
AT_ONCE = 0.05  # seconds that an answer may take once the key is free
CANCELS = (1, 2, 3)  # suspensions of a waiter before it is cancelled


class _Waiting(Invariant, shared=True):
    """What the rules share: one key that is out or held, callers that wait for it, and one that brings it back."""

    applies: ClassVar = {"exhaustion": ("blocks",)}
    requires = ("acquire", "release|reset|reactivate")
    overlap = True

    def out(self, given: Given) -> tuple[Step, ...]:
        """Answer the steps after which no key is to be had."""
        if self.policies.tenure == "lease":
            return tuple(acquire(f"h{number}") for number, _ in enumerate(given.regular))
        return tuple(part for key in given.regular for part in hurt(self, key, status=401))

    def freeing(self) -> tuple[Step, ...]:
        """Answer the step that brings the first key back."""
        if self.policies.tenure == "lease":
            return (step("release", lease=Ref("h0")),) if self.policies.release == "explicit" else (record(Ref("h0")),)
        return (reset("key-1"),) if self.claims.operations.get("reset") else (reactivate("key-1"),)


@final
class AnsweredWhenFree(_Waiting):
    """Under `blocks` a waiting acquire is answered when a key comes free, not at the next poll.

    Why: a poll of a second makes each request behind a busy pool a second slower (004-6).
    How it breaks: a waiter sleeps and looks again; nobody is told when a key comes back.
    Fix: wait under a condition, and notify it wherever a key can come free.
    """

    id = "LIVE10"
    level = "should"
    audits = ("004-6",)
    CONFORMING = ("acquire() -> key-1", "| reset(key=key-1) -> True\n| acquire() -> key-1")
    VIOLATING = ("| reset(key=key-1) -> True\n| acquire() -> key-1 after 1",)

    def workloads(self) -> Iterator[Workload]:
        """One waiter, and one key that comes free a little later."""
        clients = ((advance(AFTER), *self.freeing()), (acquire("w"),))
        yield Workload(name="one", given=ONE, setup=self.out(ONE), clients=clients)
        yield Workload(name="one-of-two", given=PAIR, setup=self.out(PAIR), clients=clients)

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare when it was answered with when the key was free."""
        freed = [op.until for op in history.parallel() if op.name in FREEING and op.until is not None]
        for waiter in history.parallel() if freed else ():
            if waiter.name != "acquire" or waiter.until is None or not isinstance(waiter.response, Answered):
                continue
            ready = max(min(freed), waiter.at)
            if waiter.value and waiter.until - ready > AT_ONCE:
                late = f"an answer at {ready:.2f} s, when the key was free, and not at {waiter.until:.2f} s"
                yield broken(waiter, late, "a waiter is answered at its next poll")


@final
class GoesToAWaiter(_Waiting):
    """Under `blocks` a key that comes free goes to a waiter before its deadline, also when another was cancelled.

    Why: a client that gave up must not take the key, or the news of it, with it (004-6).
    How it breaks: one waiter is notified, it was cancelled meanwhile, and the next is never told.
    Fix: let a waiter that leaves pass on what it was told; or notify all.
    """

    id = "LIVE11"
    audits = ("004-6",)
    CONFORMING = (
        "| reset(key=key-1) -> True\n| acquire() -> key-1",
        "| reset(key=key-1) -> True\n| acquire() -> cancelled",
    )
    VIOLATING = (
        '| reset(key=key-1) -> True\n| acquire() -> "" after 5',
        "| reset(key=key-1) -> True\n| acquire() -> raises typed Waited after 5",
    )

    def workloads(self) -> Iterator[Workload]:
        """One waiter, two and three; one of them cancelled while it waits and while it is told."""
        back, out = self.freeing(), self.out(ONE)
        wait = (acquire("w"),)
        yield Workload(name="one", given=ONE, setup=out, clients=((advance(AFTER), *back), wait))
        yield Workload(name="at-once", given=ONE, setup=out, clients=(back, wait))
        yield Workload(name="two", given=ONE, setup=out, clients=((advance(AFTER), *back), wait, (acquire("v"),)))
        if not self.claims.is_async:
            return
        for number in CANCELS:
            leaving = (step("acquire", "v", model=DEFAULT_MODEL, pool="regular", cancel=number),)
            for name, before in (("later", (advance(AFTER),)), ("meanwhile", ())):
                clients = ((*before, *back), leaving, wait)
                yield Workload(name=f"{name}-{number}", given=ONE, setup=out, clients=clients)

    def violations(self, history: History) -> Iterator[Violation]:
        """Count who was served after the key was free, and look for one who waited in vain."""
        yield from self.accidents(history)
        freed = [op.until for op in history.parallel() if op.name in FREEING and _done(op) and op.until is not None]
        if not freed:
            return
        waiters = [op for op in history.parallel() if op.name == "acquire"]
        served = [op for op in waiters if isinstance(op.value, str) and op.value]
        vain = [op for op in waiters if _in_vain(op) and op.until is not None and op.until > min(freed)]
        if vain and not (self.policies.tenure == "lease" and served):
            yield broken(vain[0], "the key: it came free before the deadline", "a waiter misses a key that is free")


def _done(operation: Operation) -> bool:
    return isinstance(operation.response, Answered) and operation.value is not False


def _in_vain(operation: Operation) -> bool:
    if isinstance(operation.response, Raised):
        return True
    return isinstance(operation.response, Answered) and operation.value in ("", None)
