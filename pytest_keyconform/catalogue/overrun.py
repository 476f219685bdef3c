"""QUO03: what the provider sees of loops that acquire, send and record."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import limited
from pytest_keyconform.catalogue.steps import acquire, record, release
from pytest_keyconform.model.windows import ALIGNED
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step


@final
class ProviderSeesTheLimit(Invariant):
    """Loops that acquire, send and record in parallel never have the provider see more than the limit.

    Why: what is admitted and not yet reported only the provider sees, and it blocks the key (003-B2b, 002-C1).
    How it breaks: acquire looks at what was recorded, so that all who ask before the first report are let through.
    Fix: reserve a request at acquire, and settle it by the report.
    """

    id = "QUO03"
    level = "should"
    audits = ("003-B2b", "002-C1")
    requires = ("acquire", "record")
    applies: ClassVar = {"counted_on": ("record",), "exhaustion": ("sentinel", "typed-error", "blocks")}
    overlap = True
    CONFORMING = (
        'given regular=key-1 m1.rpm=1\n| acquire() -> key-1\n| acquire() -> ""',
        "given regular=key-1,key-2 m1.rpm=1\n| acquire() -> key-1\n| acquire() -> key-2",
        "policy exhaustion=blocks\ngiven regular=key-1 m1.rpm=1\n| acquire() -> key-1\n| acquire() -> key-1 after 60",
    )
    VIOLATING = ("given regular=key-1 m1.rpm=1\n| acquire() -> key-1\n| acquire() -> key-1",)

    def workloads(self) -> Iterator[Workload]:
        """One caller more than the limit allows, on one key and on two."""
        for name, rpm, keys, callers in (("one", 1, 1, 2), ("two", 2, 1, 3), ("two-keys", 1, 2, 3)):
            clients = tuple(self._loop(f"c{number}") for number in range(callers))
            yield Workload(name=name, given=limited(Limits(rpm=rpm), keys=keys), clients=clients)

    def _loop(self, bind: str) -> tuple[Step, ...]:
        back = self.policies.tenure == "lease" and self.policies.release == "explicit"
        return acquire(bind), record(Ref(bind)), *((release(Ref(bind)),) if back else ())

    def violations(self, history: History) -> Iterator[Violation]:
        """Count the keys that were handed out: each is one request that the provider sees."""
        limits, seen = history.given.limits_of("m1"), Counter[object]()
        for operation in history.named("acquire"):
            soon = operation.until is not None and operation.until <= ALIGNED  # else in another minute
            if soon and operation.value in history.given.regular and limits is not None and limits.rpm is not None:
                seen[operation.value] += 1
                if seen[operation.value] > limits.rpm:
                    expected = f"another answer: the provider has seen {limits.rpm} of this key's requests"
                    yield broken(operation, expected, "the provider sees more than the limit")
                    return
