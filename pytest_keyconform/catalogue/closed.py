"""LIFE05, LIFE15 and LIFE16: a manager that was closed, and one that is opened again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.calling import call
from pytest_keyconform.catalogue.calls import every
from pytest_keyconform.catalogue.consuming import stream
from pytest_keyconform.catalogue.exchanging import NEW, exchanges
from pytest_keyconform.catalogue.invariant import broken
from pytest_keyconform.catalogue.lifecycle import LATER, Closing
from pytest_keyconform.catalogue.provoking import entrances, limit_of
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import FIRST, ONE, hurt
from pytest_keyconform.catalogue.steps import (
    POOLS,
    acquire,
    advance,
    all_keys,
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
from pytest_keyconform.catalogue.windows import CLOSE, Timed, one_of
from pytest_keyconform.model.windows import midnight
from pytest_keyconform.operation import Answered, Raised, Ref
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

KEYED = ("acquire", "next_key", "random_key", "fail")


@final
class CallsEndAfterClose(Closing):
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
        """Each operation on a closed manager, about each pool; calls that are under way when it closes."""
        reads = (usage("key-1"), status(), all_keys(), state(), is_valid("key-1"), next_key(), random_key())
        calls = (acquire("a"), record("key-1"), fail("key-1"), reset("key-1"), *reads, step("reset_usage"), tick())
        named = [(f"{number}", called) for number, called in enumerate(calls)]
        for pool in POOLS:
            more = dict.fromkeys(called for called in self._calls(pool) if called not in calls)
            named += [(f"{pool}-{number}-{called.name}", called) for number, called in enumerate(more)]
        for name, called in named:
            if self.claims.operations.get(called.name):
                yield self._after(name, called)
        for name, called in (("acquire", acquire("a")), ("record", record("key-1")), ("fail", fail("key-1"))):
            if self.claims.operations.get(name):
                yield Workload(name=f"beside-{name}", given=Given(), clients=((called,), (close(),)))

    def _after(self, name: str, called: Step) -> Workload:
        return Workload(name=name, given=Given(), setup=(*self.used(), close(), called))

    def _calls(self, pool: str) -> Iterator[Step]:
        """Yield every call there is about a pool; none that needs what an earlier one answered."""
        yield from (entry for _, entry in entrances(self, pool))
        for one in every(self, FIRST[pool], pool=pool):
            if not isinstance(one.invocation.get("lease"), Ref):
                yield replace(one, bind=None, optional=False)
        if pool == "regular":
            yield from (exchanges(self, NEW[pool]), call("ok"))
        yield stream("a", "ok", pool=pool)

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
class NothingAfterClose(Closing):
    """After closing no key is handed out and no record is answered True.

    Why: what is counted after the books are closed is lost, and its key is spent unseen (000-6).
    How it breaks: close stops the worker and leaves everything else as it was.
    Fix: let a closed manager refuse with a typed error.
    """

    id = "LIFE15"
    level = "should"
    audits = ("000-6",)
    unhindered = True
    CONFORMING = (
        "close()\nacquire() -> raises typed Closed",
        'close()\nacquire() -> ""\nrecord(lease=key-1) -> False',
        "acquire() -> key-1\nclose()\nfail(lease=key-1, status=500) -> raises typed Closed",
    )
    VIOLATING = (
        "close()\nacquire() -> key-1",
        "close()\nrecord(lease=key-1) -> True",
        "close()\nrandom_key() -> key-1",
        "close()\nnext_key() -> key-1",
        "close()\nfail(lease=key-1, status=500) -> key-2",
    )

    def workloads(self) -> Iterator[Workload]:
        """Asked in every way and told, of each pool, after closing."""
        yield self._after("acquire", acquire("z"))
        if self.claims.operations.get("record"):
            yield self._after("record", record("key-1"))
        for pool in POOLS:
            asked = {**dict(entrances(self, pool)), "next": next_key(pool=pool)}
            asked |= {f"fail-{code}": fail(FIRST[pool], status=code, pool=pool) for code in (500, 429)}
            told = {outcome: record(FIRST[pool], pool=pool, outcome=outcome) for outcome in ("success", "transient")}
            for name, called in (asked | told).items():
                if self.claims.operations.get(called.name):
                    yield self._after(f"{pool}-{name}", called)
        if self.claims.operations.get("call"):
            yield self._after("call", call("ok"))
        if self.claims.operations.get("stream"):
            yield self._after("stream", stream("a", "ok"))

    def _after(self, name: str, called: Step) -> Workload:
        return Workload(name=name, given=Given(), setup=(*self.used(), close(), called))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what was answered after the closing, and at what the caller's code was then handed."""
        closed = False
        for operation in history.operations:
            if closed and operation.name in KEYED and isinstance(operation.value, str) and operation.value:
                yield broken(operation, "no key: it is closed", "a closed manager hands out a key")
            if closed and operation.name in ("send", "request"):
                yield broken(operation, "no key: it is closed", "a closed manager hands a key to its caller")
            if closed and operation.name == "record" and operation.value is True:
                yield broken(operation, "no record: it is closed", "a closed manager records")
            closed |= operation.name == "close"


@final
class OpenedAgain(Closing, Timed):
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
    timed = False  # what does not wait for time is judged without a clock too
    CONFORMING = (
        "close()\nopen() -> raises typed Closed",
        "close()\nopen()\nacquire() -> key-1",
        "given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nclose()\nopen()\nacquire() -> key-1",
        (
            "given regular=key-1 m1.rpm=1\nclose()\nopen()\nrecord(lease=key-1) -> True\n"
            'acquire() -> ""\nadvance(seconds=61)\nacquire() -> key-1'
        ),
    )
    VIOLATING = (
        "close()\nopen() -> raises AttributeError",
        'close()\nopen()\nacquire() -> ""',
        "close()\nopen()\nacquire() -> raises AttributeError",
        'close()\nopen()\nacquire(pool=vertex) -> ""',
        (
            "given regular=key-1 m1.rpm=1\nclose()\nopen()\nrecord(lease=key-1) -> True\nadvance(seconds=61)\n"
            'acquire() -> ""'
        ),
        "given regular=key-1 m1.rpm=1\nclose()\nopen()\nrecord(lease=key-1) -> True\nacquire() -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """Opened again after a close at once and after some calls; used, limits reached, and asked a window later."""
        again = (close(), opened())
        after = (*self.taking("y"), *self.told("t"), usage("key-1", optional=True), status(), *LATER, *self.taking("z"))
        yield Workload(name="fresh", given=Given(), setup=(*again, *after))
        yield Workload(name="used", given=Given(), setup=(*self.used(), *again, *after))
        yield Workload(name="twice", given=Given(), setup=(*again, *again, *after))
        for pool in POOLS:
            taken = self.taking("y", pool=pool)
            yield Workload(name=f"{pool}-taken", given=Given(), setup=(*again, *taken, status(pool=pool)))
            if self.policies.counted_on != "none" and self.claims.operations.get("record"):
                yield from self._spent(pool, again)
            recovery = self.recovery()
            if recovery is not None and self.claims.operations.get("fail"):
                marked = (*hurt(self, FIRST[pool], status=429, pool=pool), *self.refused(pool=pool))
                back = (advance(recovery), tick(), *self.taking("z", pool=pool))
                yield Workload(name=f"{pool}-marked", given=ONE, setup=(*again, *marked, *back))

    def _spent(self, pool: str, again: tuple[Step, ...]) -> Iterator[Workload]:
        """Yield the programs that reach a limit once it is opened again, and ask before and after the window's end."""
        morning = (advance(midnight(0.0, self.policies.day_zone) + CLOSE), tick())
        for field, limit, later in (("rpm", 1, LATER), ("tpm", 5, LATER), ("rpd", 1, morning)):
            spent = (*self.spend("s", tokens=5, pool=pool), *self.refused(pool=pool))
            seen = (usage(FIRST[pool], pool=pool, optional=True), *self.taking("z", pool=pool))
            given = one_of(limit_of(field, limit), pool)
            yield Workload(name=f"{pool}-{field}", given=given, setup=(*again, *spent, *later, *seen))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what works after the opening, unless it was refused; at the counts where there were none before."""
        reopened, fresh = False, _is_fresh(history)
        for moment in self.moments(history):
            operation = moment.operation
            if operation.name == "open" and operation is not history.operations[0]:
                if isinstance(operation.response, Raised) and operation.response.typed:
                    return
                reopened = True
            if reopened and operation.undeclared:
                yield broken(operation, "an answer or a typed error", f"{operation.name} fails once it is opened again")
            # What was counted before may be forgotten: then all the more is usable.
            refusal = nothing_served(moment) if reopened and operation.name == "acquire" and not fresh else None
            if refusal and isinstance(operation.response, Answered) and not history.clockless:
                yield broken(operation, refusal.expected, "nothing is served once it is opened again")
        if fresh and not history.clockless:
            yield from self.disorder(history)


def _is_fresh(history: History) -> bool:
    """Tell whether nothing was done before the first closing that may be counted or forgotten."""
    names = [operation.name for operation in history.operations]
    return "close" in names and all(name == "open" for name in names[: names.index("close")])
