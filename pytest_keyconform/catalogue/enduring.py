"""DUR07: what becomes of a report whose write fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.durability import DEEPEST, Kept
from pytest_keyconform.catalogue.invariant import IN_PROCESS, broken
from pytest_keyconform.catalogue.steps import advance, fault, mend, restart
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

LATER: Final = 5.0  # seconds in which a write that failed may be tried again by itself; closing is the last moment
UNSURE: Final = Raised(kind="Failed", message="the store failed meanwhile", typed=True)


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
        failing = False
        told: list[Operation] = []
        for operation in history.operations:
            failing = operation.name == "fault" or (failing and operation.name != "mend")
            if failing and operation.name == "record" and operation.undeclared:
                yield broken(operation, "True, False, or an error the backend declares", "record raises an accident")
                return
            heard = isinstance(operation.response, Answered) and operation.value is False
            told.append(replace(operation, response=UNSURE) if failing and heard else operation)
        restarts = [place for place, one in enumerate(told) if one.name == "restart"]
        last = restarts[-1] if restarts else len(told)
        # How soon a write that failed is replayed is left open; closing is the last moment for it.
        judged = [one for place, one in enumerate(told) if one.name not in ("usage", "acquire") or place > last]
        yield from self.disorder(replace(history, operations=tuple(judged)))
