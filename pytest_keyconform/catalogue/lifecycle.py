"""LIFE03 to LIFE05, LIFE12, LIFE15 and LIFE16: opening, closing, and what is left of it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import PAIR, hurt
from pytest_keyconform.catalogue.steps import (
    acquire,
    advance,
    all_keys,
    census,
    close,
    fail,
    is_valid,
    next_key,
    opened,
    random_key,
    record,
    reset,
    state,
    status,
    step,
    tick,
    usage,
)
from pytest_keyconform.model.windows import FREE_AFTER
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

LATER = (advance(FREE_AFTER), tick())


def left(operation: Operation) -> str:
    """Answer what a census counts, as a phrase; an empty string where it counts nothing."""
    value = operation.value if isinstance(operation.value, dict) else {}
    return ", ".join(f"{count} {name}" for name, count in value.items() if count)


class _Closing(Invariant, shared=True):
    """What the rules share: a manager that did something is closed."""

    requires: ClassVar[tuple[str, ...]] = ("close",)

    def told(self, tag: str = "s") -> tuple[Step, ...]:
        """Answer the steps that report a call, where the backend has reports."""
        if not self.claims.operations.get("record"):
            return ()
        return reported(self, [("key-1", lambda lease: record(lease, tokens=5))], tag=tag)

    def used(self) -> tuple[Step, ...]:
        """Answer a little of everything."""
        failed = hurt(self, "key-2", status=429) if self.claims.operations.get("fail") else ()
        return (*self.taking("a"), *self.told(), *failed, status(), usage("key-1", optional=True))


@final
class ClosingLeavesNothing(_Closing):
    """Closing leaves no task, timer, thread or connection, and closing twice is harmless.

    Why: a service that reloads collects workers until it has no memory left; a shutdown hook runs twice (000-23).
    How it breaks: the task of the resets is never cancelled, or is cancelled and not awaited; the second close raises.
    Fix: keep what was started, cancel and await it in close, and let a closed manager do nothing.
    """

    id = "LIFE03"
    audits = ("000-23", "004-4")
    subject = ("close",)
    ends = True
    CONFORMING = (
        'close()\nclose()\ncensus() -> {"tasks": 0, "timers": 0, "threads": 0}',
        'census() -> {"tasks": 1}\nclose()',
    )
    VIOLATING = (
        'close()\ncensus() -> {"tasks": 1, "timers": 0, "threads": 0}',
        "close()\nclose() -> raises RuntimeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Closed at once, after some calls, after a while, and twice."""
        end = (close(), census())
        for name, before in (("at-once", ()), ("used", self.used()), ("later", (*self.used(), *LATER))):
            yield Workload(name=name, given=Given(), setup=(*before, *end))
            yield Workload(name=f"{name}-twice", given=Given(), setup=(*before, close(), *end))
        again = (opened(optional=True), *self.used(), *end)
        yield Workload(name="opened-twice", given=Given(), setup=again)

    def violations(self, history: History) -> Iterator[Violation]:
        """Count what is left once it is closed."""
        yield from self.accidents(history)
        closed = False
        for operation in history.operations:
            closed |= operation.name == "close"
            if closed and operation.name == "census" and left(operation):
                yield broken(operation, "nothing is left", f"closing leaves {_kinds(operation)}")


@final
class OpeningTwice(_Closing):
    """Opening twice neither doubles the worker nor loses state.

    Why: a start-up hook runs twice under reload; two workers reset twice, and lost counts are spent again (004-4).
    How it breaks: open starts a task without looking whether there is one; it begins with empty books.
    Fix: let open of an open manager do nothing, or refuse with a typed error.
    """

    id = "LIFE04"
    audits = ("004-4",)
    requires = ("open",)
    subject = ("open",)
    CONFORMING = (
        'census() -> {"tasks": 1}\nopen()\ncensus() -> {"tasks": 1}',
        'record(lease=key-1, tokens=5) -> True\nopen()\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        "open() -> raises typed AlreadyOpen",
    )
    VIOLATING = (
        'census() -> {"tasks": 1}\nopen()\ncensus() -> {"tasks": 2}',
        'record(lease=key-1, tokens=5) -> True\nopen()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        "acquire() -> key-1\nopen() -> raises RuntimeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Opened again at once and after some calls; counted and read before and after."""
        again = opened()
        yield Workload(name="at-once", given=Given(), setup=(census(), again, census(), *self.taking("z")))
        reads = (usage("key-1", optional=True), status(), is_valid("key-2"))
        told = (*self.told(), *(hurt(self, "key-2", status=401) if self.claims.operations.get("fail") else ()))
        yield Workload(name="used", given=PAIR, setup=(*told, again, *reads, *self.taking("z")))
        yield Workload(name="thrice", given=Given(), setup=(census(), again, *self.told(), again, *reads, census()))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that lost what was recorded, and an empty answer."""
        return nothing_served(moment) if moment.name == "acquire" else wrong_usage(moment)

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare the censuses too."""
        yield from super().violations(history)
        counted = list(history.named("census"))
        for before, after in pairwise(counted):
            if running(after) > running(before):
                yield broken(after, left(before) or "nothing, as before", "opening twice doubles what runs")


@final
class CallsEndAfterClose(_Closing):
    """After closing, calls end: an answer or a typed error, never a hang.

    Why: requests that are under way when the service stops must not keep it from stopping (000-6).
    How it breaks: a call waits for the worker that is gone; it fails on what close has set to None.
    Fix: look whether the manager is closed, and raise an error of the package's own.
    """

    id = "LIFE05"
    audits = ("000-6",)
    ends = True
    unhindered = True
    CONFORMING = (
        "close()\nacquire() -> raises typed Closed",
        'close()\nacquire() -> ""',
        "close()\nacquire() -> key-1",
    )
    VIOLATING = ("close()\nusage(key=key-1) -> raises AttributeError",)

    def workloads(self) -> Iterator[Workload]:
        """Each operation on a closed manager."""
        reads = (usage("key-1"), status(), all_keys(), state(), is_valid("key-1"), next_key(), random_key())
        calls = (acquire("a"), record("key-1"), fail("key-1"), reset("key-1"), *reads, step("reset_usage"), tick())
        for number, call in enumerate(calls):
            if self.claims.operations.get(call.name):
                yield Workload(name=f"{number}", given=Given(), setup=(*self.used(), close(), call))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what came of calls after the closing."""
        closed = False
        for operation in history.operations:
            if closed and operation.undeclared and operation.name != "close":
                yield broken(
                    operation, "an answer or a typed error", f"{operation.name} after close raises an accident"
                )
            closed |= operation.name == "close"


@final
class HealthAnswers(Invariant):
    """`health()` is True on a manager that works, and never an exception.

    Why: a load balancer takes out an instance whose health raises, and keeps one that always says yes (003-B1).
    How it breaks: it asks for an attribute that was renamed; it answers None or a text.
    Fix: try a cheap command of the store, and answer True or False.
    """

    id = "LIFE12"
    audits = ("003-B1", "003-1.3")
    requires = ("health",)
    subject = ("health",)
    CONFORMING = ("health() -> True", "close()\nhealth() -> False")
    VIOLATING = ("health() -> None", "health() -> raises AttributeError", "health() -> False")

    def workloads(self) -> Iterator[Workload]:
        """Asked at once, after a call, with one key of two out, and after closing."""
        health = step("health")
        out = hurt(self, "key-1", status=401) if self.claims.operations.get("fail") else ()
        yield Workload(name="fresh", given=Given(), setup=(health, health))
        yield Workload(name="used", given=Given(), setup=(*self.taking("a"), health))
        yield Workload(name="one-out", given=PAIR, setup=(*out, health))
        if self.claims.operations.get("close"):
            yield Workload(name="closed", given=Given(), setup=(close(), health))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at each answer."""
        yield from self.accidents(history)
        closed = False
        for operation in history.operations:
            closed |= operation.name == "close"
            if operation.name == "health" and isinstance(operation.response, Answered):
                lawful = (True, False) if closed else (True,)
                if not any(operation.value is value for value in lawful):
                    yield broken(operation, " or ".join(map(str, lawful)), "health answers something else")


@final
class NothingAfterClose(_Closing):
    """After closing no key is handed out and no record is answered True.

    Why: what is counted after the books are closed is lost, and its key is spent unseen (000-6).
    How it breaks: close stops the worker and leaves everything else as it was.
    Fix: let a closed manager refuse with a typed error.
    """

    id = "LIFE15"
    level = "should"
    audits = ("000-6",)
    unhindered = True
    CONFORMING = ("close()\nacquire() -> raises typed Closed", 'close()\nacquire() -> ""\nrecord(lease=key-1) -> False')
    VIOLATING = ("close()\nacquire() -> key-1", "close()\nrecord(lease=key-1) -> True")

    def workloads(self) -> Iterator[Workload]:
        """Asked and told after closing."""
        yield Workload(name="acquire", given=Given(), setup=(*self.used(), close(), acquire("z")))
        if self.claims.operations.get("record"):
            yield Workload(name="record", given=Given(), setup=(*self.used(), close(), record("key-1")))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what was answered after the closing."""
        closed = False
        for operation in history.operations:
            if closed and operation.name == "acquire" and isinstance(operation.value, str) and operation.value:
                yield broken(operation, "no key: it is closed", "a closed manager hands out a key")
            if closed and operation.name == "record" and operation.value is True:
                yield broken(operation, "no record: it is closed", "a closed manager records")
            closed |= operation.name == "close"


@final
class OpenedAgain(_Closing):
    """Closed and opened again, the same object works in full or refuses with a typed error.

    Why: test suites and reloads do just that, and half a manager fails hours later (004-4, 000-27).
    How it breaks: close sets what it had to None; the worker that ends the windows is not started again.
    Fix: let open make everything anew, or remember that it was closed and refuse.
    """

    id = "LIFE16"
    audits = ("004-4", "000-27")
    requires = ("open", "close")
    subject = ("open", "acquire", "record", "usage", "status", "fail")
    ends = True
    CONFORMING = ("close()\nopen() -> raises typed Closed", "close()\nopen()\nacquire() -> key-1")
    VIOLATING = (
        "close()\nopen() -> raises AttributeError",
        'close()\nopen()\nacquire() -> ""',
        "close()\nopen()\nacquire() -> raises AttributeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Opened again after a close at once and after some calls; used, and asked again a window later."""
        again = (close(), opened())
        after = (*self.taking("y"), *self.told("t"), usage("key-1", optional=True), status(), *LATER, *self.taking("z"))
        yield Workload(name="fresh", given=Given(), setup=(*again, *after))
        yield Workload(name="used", given=Given(), setup=(*self.used(), *again, *after))
        yield Workload(name="twice", given=Given(), setup=(*again, *again, *after))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what works after the opening, unless it was refused."""
        reopened = False
        for operation in history.operations:
            if operation.name == "open" and operation is not history.operations[0]:
                if isinstance(operation.response, Raised) and operation.response.typed:
                    return
                reopened = True
            if reopened and operation.undeclared:
                yield broken(operation, "an answer or a typed error", f"{operation.name} fails once it is opened again")
            asked = operation.name == "acquire" and isinstance(operation.response, Answered)
            if reopened and asked and operation.value in ("", None) and not self._may_be_held():
                yield broken(operation, "a key: all are usable", "nothing is served once it is opened again")

    def _may_be_held(self) -> bool:
        """Tell whether keys may still be held from before: leases that nobody can give back."""
        return self.policies.tenure == "lease" and not self.claims.operations.get("release")


def running(operation: Operation) -> int:
    """Answer how much a census counts in all."""
    value = operation.value if isinstance(operation.value, dict) else {}
    return sum(int(str(count)) for count in value.values())


def _kinds(operation: Operation) -> str:
    value = operation.value if isinstance(operation.value, dict) else {}
    return " and ".join(str(name) for name, count in value.items() if count)
