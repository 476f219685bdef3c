"""LIFE03, LIFE04 and LIFE12: opening and closing, each once and again, and what is left of it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import PAIR, hurt
from pytest_keyconform.catalogue.steps import (
    advance,
    census,
    close,
    is_valid,
    opened,
    record,
    status,
    step,
    tick,
    usage,
)
from pytest_keyconform.model.windows import FREE_AFTER
from pytest_keyconform.operation import Answered
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


class Closing(Invariant, shared=True):
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
class ClosingLeavesNothing(Closing):
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
        """Closed at once, after some calls, after a while, and twice; closed twice at once, and opened so."""
        end = (close(), census())
        for name, before in (("at-once", ()), ("used", self.used()), ("later", (*self.used(), *LATER))):
            yield Workload(name=name, given=Given(), setup=(*before, *end))
            yield Workload(name=f"{name}-twice", given=Given(), setup=(*before, close(), *end))
        again = (opened(optional=True), *self.used(), *end)
        yield Workload(name="opened-twice", given=Given(), setup=again)
        yield Workload(name="at-once-both", given=Given(), setup=self.used(), clients=((close(),),) * 2, finale=end)
        if self.claims.operations.get("open"):
            both = ((opened(),), (opened(),))
            yield Workload(name="opened-at-once", given=Given(), clients=both, finale=end, unopened=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Count what is left once it is closed."""
        yield from self.accidents(history)
        closed = False
        for operation in history.operations:
            closed |= operation.name == "close"
            if closed and operation.name == "census" and left(operation):
                yield broken(operation, "nothing is left", f"closing leaves {_kinds(operation)}")


@final
class OpeningTwice(Closing):
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
        """Opened again at once and after some calls, twice at once; counted and read before and after."""
        again = opened()
        yield Workload(name="at-once", given=Given(), setup=(census(), again, census(), *self.taking("z")))
        reads = (usage("key-1", optional=True), status(), is_valid("key-2"))
        told = (*self.told(), *(hurt(self, "key-2", status=401) if self.claims.operations.get("fail") else ()))
        yield Workload(name="used", given=PAIR, setup=(*told, again, *reads, *self.taking("z")))
        yield Workload(name="thrice", given=Given(), setup=(census(), again, *self.told(), again, *reads, census()))
        both = ((again,), (again,))
        finale = (census(), *reads, *self.taking("z"))
        yield Workload(name="both", given=Given(), setup=(*self.told(), census()), clients=both, finale=finale)
        if self.claims.operations.get("close"):
            closed = (census(), close())
            yield Workload(name="both-closed", given=Given(), setup=closed, clients=both, finale=finale[:1])

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


def running(operation: Operation) -> int:
    """Answer how much a census counts in all."""
    value = operation.value if isinstance(operation.value, dict) else {}
    return sum(int(str(count)) for count in value.values())


def _kinds(operation: Operation) -> str:
    value = operation.value if isinstance(operation.value, dict) else {}
    return " and ".join(str(name) for name, count in value.items() if count)
