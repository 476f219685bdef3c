"""DUR06 to DUR08: a report that is killed half-way, one whose write fails, and service without a store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.durability import APART, DEEPEST, Kept, killed
from pytest_keyconform.catalogue.invariant import IN_PROCESS, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import limited
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.steps import advance, fault, mend, restart, step
from pytest_keyconform.model.windows import FREE_AFTER
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

LATER: Final = 5.0  # seconds in which a write that failed may be tried again by itself; closing is the last moment
UNSURE: Final = Raised(kind="Failed", message="the store failed meanwhile", typed=True)


@final
class CountersExpire(Kept):
    """A counter and its expiry are set in one step: a crash between them leaves no immortal counter.

    Why: a counter without an end keeps its key out for good, and nobody sees why (003-B2).
    How it breaks: the count is added first and its window or its time to live set afterwards, as INCR and EXPIRE do.
    Fix: set both in one statement, one transaction or one script; or keep the window in the counter's name.
    """

    id = "DUR06"
    audits = ("003-B2",)
    engines = APART
    timed = True
    CONFORMING = (
        'record(lease=key-1, tokens=5) -> pending\ncrash()\nadvance(seconds=61)\nusage(key=key-1) -> {"rpm": 0}',
        'record(lease=key-1, tokens=5) -> pending\ncrash()\nusage(key=key-1) -> {"rpm": 1}',
    )
    VIOLATING = (
        'record(lease=key-1, tokens=5) -> pending\ncrash()\nadvance(seconds=61)\nusage(key=key-1) -> {"rpm": 1}',
        (
            "record(lease=key-1, tokens=5) -> pending\ncrash()\nadvance(seconds=61)\n"
            'record(lease=key-1, tokens=7) -> True\nusage(key=key-1) -> {"rpm": 1, "tpm": 12}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Killed at each touch of the store within a first report and a second one; read in the next minute."""
        over = (step("advance", seconds=FREE_AFTER, jump=True), restart())
        dies = "acquire" if self.policies.counted_on == "acquire" else "record"
        first = self.taking("a") if dies == "acquire" else self.reporting("a")
        for at in range(DEEPEST):
            dying = tuple(killed(one, at) if one.name == dies else one for one in first)
            again = (*self.reporting("b", tokens=7), *over)
            for name, client in (("first", (*dying, *over)), ("again", (*dying, *over, *again))):
                steps = (*client, *self.reads(self.given))
                yield Workload(name=f"{name}-{at}", given=self.given, clients=(steps,), apart=True, paced=True)


@final
class FailedWritesAreTold(Kept):
    """A failed store write is reported (False or typed error) or replayed later; never silently lost.

    Why: a full disk or a restarted database loses counts that nobody misses until a key is over its limit (004-10).
    How it breaks: what the store raised is logged, and True answered; a batch is dropped where its write fails.
    Fix: answer False or raise an error of one's own; or keep what is unwritten and write it again until it is there.
    """

    id = "DUR07"
    audits = ("004-10", "002-C1")
    engines = IN_PROCESS
    CONFORMING = (
        'fault()\nrecord(lease=key-1, tokens=5) -> False\nmend()\nrestart()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        (
            "fault()\nrecord(lease=key-1, tokens=5) -> raises typed StoreDown\nmend()\nrestart()\n"
            'usage(key=key-1) -> {"rpm": 0, "tpm": 0}'
        ),
        'fault()\nrecord(lease=key-1, tokens=5) -> False\nmend()\nrestart()\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        'fault()\nrecord(lease=key-1, tokens=5) -> True\nmend()\nrestart()\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
    )
    VIOLATING = (
        'fault()\nrecord(lease=key-1, tokens=5) -> True\nmend()\nrestart()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        "fault()\nrecord(lease=key-1, tokens=5) -> raises OperationalError\nmend()",
        (
            "record(lease=key-1, tokens=5) -> True\nfault()\nrecord(lease=key-1, tokens=7) -> False\nmend()\n"
            'restart()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """A report whose touches of the store fail one by one, some in a row, and all; read after a clean restart."""
        for at in range(DEEPEST):
            yield self._failing(f"at-{at}", fault(after=at, times=1), 1)
        yield self._failing("three", fault(times=3), 2)
        yield self._failing("down", fault(), 3)

    def _failing(self, name: str, breaks: Step, reports: int) -> Workload:
        """Report while the store is whole, while it fails, and again; what is to be written has time between."""
        lasting = self.policies.durability
        pause = advance(3 * lasting if isinstance(lasting, float) else LATER)
        held = [self.reporting(f"b{number}", tokens=7) for number in range(reports)]
        taken = [one for steps in held for one in steps if one.name == "acquire"]
        told = [one for steps in held for one in steps if one.name == "record"]
        back = [one for steps in held for one in steps if one.name == "release"]
        if self.policies.tenure == "lease" and reports > 1:  # a key is held once: the reports are on several keys
            taken, told, back = taken[:2], told[:2], back[:2]
        steps = (*self.reporting("a"), *taken, breaks, *told, pause, mend(), pause, *back)
        after = (*self.reporting("c", tokens=100), pause, restart())
        return Workload(name=name, given=self.given, setup=(*steps, *after), finale=self.reads(self.given))

    def violations(self, history: History) -> Iterator[Violation]:
        """Add up what was answered as recorded; what failed while the store did may be there or not."""
        for operation, failing in told_while(history):
            if failing and operation.name == "record" and operation.undeclared:
                yield broken(operation, "True, False, or an error the backend declares", "record raises an accident")
                return
        yield from self.disorder(merged(history, without=("acquire",)))


@final
class ServesMeanwhile(Kept):
    """With the store down, service goes on within the limits and merges on recovery.

    Why: a database that is restarted must not take every caller down with it, nor cost any key its quota (003-B2b).
    How it breaks: each acquire asks the store; while it is down nothing is counted, or what was is forgotten.
    Fix: go by what is known, count in memory while the store is down, and add that to it once it is back.
    """

    id = "DUR08"
    level = "should"
    audits = ("003-B2b",)
    requires = ("record", "acquire")
    engines = IN_PROCESS
    unhindered = True
    CONFORMING = (
        'fault()\nacquire() -> key-1\nrecord(lease=key-1) -> True\nmend()\nrestart()\nusage(key=key-1) -> {"rpm": 1}',
        'fault()\nacquire() -> key-1\nrecord(lease=key-1) -> False\nmend()\nrestart()\nusage(key=key-1) -> {"rpm": 0}',
    )
    VIOLATING = (
        "fault()\nacquire() -> raises typed StoreDown\nmend()",
        "given regular=key-1 m1.rpm=1\nfault()\nrecord(lease=key-1) -> True\nacquire() -> key-1\nmend()",
        'fault()\nrecord(lease=key-1) -> True\nmend()\nrestart()\nusage(key=key-1) -> {"rpm": 0}',
    )

    def workloads(self) -> Iterator[Workload]:
        """Asked and told while the store is down, up to a limit and beyond; read once it is back."""
        pause = advance(LATER)
        ask = self.taking("x")
        for name, given in (("served", self.given), ("within", limited(Limits(rpm=2), keys=1))):
            meanwhile = (*ask, *self.reporting("b", tokens=7), *self.taking("y"))
            setup = (*self.taking("w"), *self.reporting("a"), fault(), *meanwhile, mend(), pause, restart())
            yield Workload(name=name, given=given, setup=setup, finale=self.reads(given))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key over its limit, an empty answer while one is usable, and a usage that lacks what was told."""
        if moment.name == "acquire":
            return unusable_served(moment) or nothing_served(moment)
        return super().refuses(moment)

    def violations(self, history: History) -> Iterator[Violation]:
        """Go through it in order; what failed while the store did may be counted or not."""
        yield from self.disorder(merged(history))


def told_while(history: History) -> Iterator[tuple[Operation, bool]]:
    """Yield each operation, and whether the store was failing at its call."""
    failing = False
    for operation in history.operations:
        failing = operation.name == "fault" or (failing and operation.name != "mend")
        yield operation, failing


def merged(history: History, *, without: tuple[str, ...] = ()) -> History:
    """Answer the history as it is added up: how soon a write that failed is replayed is left open, until closing.

    A report that was answered False while the store failed may be stored all the same. What was read before the last
    restart is left out, and operations named ``without``, too.
    """
    told = []
    for operation, failing in told_while(history):
        heard = operation.name == "record" and isinstance(operation.response, Answered) and operation.value is False
        told.append(replace(operation, response=UNSURE) if failing and heard else operation)
    restarts = [place for place, one in enumerate(told) if one.name == "restart"]
    last = restarts[-1] if restarts else len(told)
    judged = [one for place, one in enumerate(told) if one.name not in ("usage", *without) or place > last]
    return replace(history, operations=tuple(judged))
