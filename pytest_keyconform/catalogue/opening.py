"""LIFE01 and LIFE02: an opening that fails, what it says, and what it leaves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import reported
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.steps import census, fault, leave, mend, opened, record, reopened, usage
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.invariant import Moment
    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

DEEPEST = 10  # touches of the store at which an opening is made to fail: most backends have fewer
OPENING = ("open", "restart")


class _Opening(Invariant, shared=True):
    """What the rules share: openings that are made to fail, by the store or by a pool that is refused."""

    requires: ClassVar[tuple[str, ...]] = ("acquire",)
    subject = OPENING
    unhindered = True

    @property
    def keeps(self) -> bool:
        """Whether the backend has a storage."""
        given = self.claims.given
        return self.policies.durability != "none" and (given is None or "storage" in given)

    def failing(self) -> Iterator[tuple[str, tuple[Step, ...], Step]]:
        """Yield ways to make an opening fail: a name, what comes before it, and the opening of a new manager."""
        if self.keeps:
            yield "blocked", (), reopened(blocked=True)
            yield "down", (fault(),), reopened(wiped=True)
            for at in range(DEEPEST):
                yield f"at-{at}", (fault(after=at, times=1),), reopened(wiped=True)
        if self.policies.empty_pools == "refuse":
            yield "empty", (), reopened(empty=True)


@final
class OpensOrRaises(_Opening):
    """Opening either succeeds or raises a typed error: never False, never a half-ready object.

    Why: a service that starts with half a manager fails at its first request instead of at its deployment (000-12).
    How it breaks: what the store raised is caught and False answered; a table is missing; a library's error comes out.
    Fix: let opening raise an error of the package's own, and set nothing before all of it is there.
    """

    id = "LIFE01"
    audits = ("000-12", "000-26")
    CONFORMING = (
        "leave()\nfault()\nrestart() -> raises typed StoreDown\nmend()\nrestart()\nacquire() -> key-1",
        "leave()\nfault()\nrestart() -> raises typed StoreDown\nmend()\nacquire() -> raises AttributeError",
        "fault()\nopen() -> raises typed StoreDown\nmend()\nopen() -> raises typed Closed",
    )
    VIOLATING = (
        "leave()\nrestart() -> False",
        "leave()\nfault()\nrestart() -> raises OperationalError",
        'leave()\nfault()\nrestart()\nmend()\nacquire() -> ""',
        "leave()\nfault()\nrestart()\nmend()\nrecord(lease=key-1) -> raises OperationalError",
        "leave()\nfault()\nrestart() -> raises typed StoreDown\nmend()\nrestart() -> raises typed AlreadyOpen",
    )

    def workloads(self) -> Iterator[Workload]:
        """Opened on a storage that fails at each touch, and then on a good one; the same object, and another one."""
        works = self.works("a")
        yield Workload(name="plain", given=Given(), setup=(leave(), reopened(), *works))
        yield Workload(name="no-key", given=Given(), setup=(leave(), reopened(empty=True), leave(), reopened(), *works))
        for name, before, opening in self.failing():
            after = (leave(), replace(opening, invocation=reopened(wiped=self.keeps).invocation))
            mended = (mend(),) if before else ()
            steps = (leave(), *before, opening, *mended, *works, *after, *self.works("b"))
            yield Workload(name=name, given=Given(), setup=steps)
            if before and self.claims.operations.get("open"):
                itself = (*before, opened(), *mended, *works, opened(), *self.works("b"))
                yield Workload(name=f"itself-{name}", given=Given(), setup=itself, unopened=True)

    def works(self, tag: str) -> tuple[Step, ...]:
        """Answer calls that a manager answers that works."""
        reports = self.claims.operations.get("record")
        told = reported(self, [("key-1", lambda lease: record(lease, tokens=5))], tag=f"{tag}l") if reports else ()
        return (*self.taking(tag), *told, usage("key-1", optional=True), *self.taking(f"{tag}2"))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at each opening, and at what works after those that were answered."""
        ready, failing = False, False
        for moment in self.moments(history):
            operation = moment.operation
            if operation.name in OPENING:
                wrong = _badly_opened(operation, failing=failing)
                if wrong:
                    yield broken(operation, "a manager that works in full, or a typed error", wrong)
                    return
                ready = isinstance(operation.response, Answered) and operation.get("opened", True) is True
                ready = ready and not operation.get("empty")
            elif operation.name in ("fault", "mend"):
                failing = operation.name == "fault"
            elif operation.name in ("leave", "close"):
                ready = False
            elif ready and not failing and (fails := _fails(moment)):
                yield broken(operation, "an answer: the opening had succeeded", fails)
                return


def _badly_opened(operation: Operation, *, failing: bool) -> str:
    """Say what is wrong with an opening; "" where nothing is."""
    if operation.value is False:
        return "opening answers False"
    if operation.undeclared:
        return "opening raises an accident"
    hindered = failing or any(operation.get(name) for name in ("blocked", "empty", "tear"))
    if operation.name == "restart" and isinstance(operation.response, Raised) and not hindered:
        return "a good storage is refused after an opening that failed"
    return ""


def _fails(moment: Moment) -> str:
    """Say what fails of a manager that was opened; "" where nothing does."""
    if moment.operation.undeclared:
        return f"{moment.name} fails once it is opened"
    if moment.name == "acquire" and nothing_served(moment) is not None:
        return "nothing is served once it is opened"
    return "nothing is recorded once it is opened" if moment.name == "record" and moment.value is False else ""


@final
class FailedOpeningLeavesNothing(_Opening):
    """A failed opening leaves no task, timer, thread or connection.

    Why: a service that tries again until its store is there has a worker more after each attempt (000-23).
    How it breaks: the worker is started before the store is reached, and nobody ends it when that fails.
    Fix: start what runs last, or end in an `except` what was started.
    """

    id = "LIFE02"
    audits = ("000-23",)
    CONFORMING = (
        (
            'leave()\ncensus() -> {"tasks": 0}\nfault()\nrestart() -> raises typed StoreDown\nmend()\n'
            'census() -> {"tasks": 0}'
        ),
        'leave()\ncensus() -> {"tasks": 0}\nfault()\nrestart()\nmend()\ncensus() -> {"tasks": 1}',
    )
    VIOLATING = (
        (
            'leave()\ncensus() -> {"tasks": 0}\nfault()\nrestart() -> raises typed StoreDown\nmend()\n'
            'census() -> {"tasks": 1}'
        ),
        (
            'leave()\ncensus() -> {"threads": 0, "connections": 0}\nrestart(blocked=True) -> raises OperationalError\n'
            'census() -> {"threads": 0, "connections": 1}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Counted before and after an opening that fails at each touch of the store; another one, and itself."""
        for name, before, opening in self.failing():
            mended = (mend(),) if before else ()
            steps = (leave(), census(), *before, opening, *mended, census())
            yield Workload(name=name, given=Given(), setup=steps)
            if before and self.claims.operations.get("open"):
                itself = (census(), *before, opened(), *mended, census())
                yield Workload(name=f"itself-{name}", given=Given(), setup=itself, unopened=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare the census after an opening that failed with the one before it."""
        before: Operation | None = None
        failed: Operation | None = None
        for operation in history.operations:
            if operation.name in OPENING:
                failed = operation if isinstance(operation.response, Raised) else None
            if operation.name != "census":
                continue
            more = _more(before, operation, failed) if before is not None and failed is not None else []
            if more:
                yield broken(operation, "nothing more than before", f"a failed opening leaves {' and '.join(more)}")
                return
            before, failed = operation, None


def _more(before: Operation, after: Operation, failed: Operation) -> list[str]:
    """Answer of what there is more. Who holds an object that could not be opened may hold what it has connected."""
    first, last = (one.value if isinstance(one.value, dict) else {} for one in (before, after))
    counted = [name for name in last if name != "connections" or failed.name == "restart"]
    return [str(name) for name in counted if int(str(last[name])) > int(str(first.get(name, 0)))]
