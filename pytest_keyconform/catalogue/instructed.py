"""FAIL17 and UNK09: what a failure says of its end, and what a model's name is."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import limited, reported
from pytest_keyconform.catalogue.standing import ONE, asks, given_back
from pytest_keyconform.catalogue.steps import advance, fail, record, tick, usage
from pytest_keyconform.model.windows import FREE_AFTER, SLACK
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

CLOSE = 2.0  # seconds before and after the end that was told
VARIANTS = ("M1", " m1 ", "models/m1", "Models/M1")


@final
class RetryAfter(Invariant):
    """A failure that says when to come back (`retry_after`) keeps the key out that long.

    Why: the provider knows when its limit is free; who asks earlier is limited again, and for longer (000-1).
    How it breaks: the header is read and dropped; it is taken for minutes, or for an instant; a default is shorter.
    Fix: keep the key out until the later of now and ``retry_after`` seconds from now.
    """

    id = "FAIL17"
    audits = ("000-1",)
    requires = ("acquire", "fail")
    timed = True
    CONFORMING = (
        (
            'given regular=key-1\nfail(lease=key-1, status=429, retry_after=300) -> ""\nadvance(seconds=298)\n'
            'acquire() -> ""'
        ),
        (
            'given regular=key-1\nfail(lease=key-1, status=429, retry_after=5) -> ""\nadvance(seconds=63)\n'
            "acquire() -> key-1"
        ),
    )
    VIOLATING = (
        (
            'given regular=key-1\nfail(lease=key-1, status=429, retry_after=300) -> ""\nadvance(seconds=61)\n'
            "acquire() -> key-1"
        ),
        (
            'given regular=key-1\nfail(lease=key-1, status=429, retry_after=300) -> ""\nadvance(seconds=363)\n'
            'acquire() -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """A 429 that names 5 s, 300 s, none and nothing; asked for shortly before that and well after it."""
        if not self.claims.takes("fail", "retry_after"):
            return
        for told in (300, 5, 90.0):
            failed = self._failed(told)
            if self.policies.exhaustion != "blocks":
                early = (*failed, advance(told - CLOSE), tick(), *asks(self, keys=1))
                yield Workload(name=f"{told:g}-early", given=ONE, setup=early)
            late = (*failed, advance(told + FREE_AFTER + CLOSE), tick(), *self.taking("z"))
            if self.policies.quota_recovery == "minute":
                yield Workload(name=f"{told:g}-late", given=ONE, setup=late)
        for name, nothing in (("zero", 0), ("none", None)):
            plain = (*self._failed(nothing), advance(FREE_AFTER + CLOSE), tick(), *self.taking("z"))
            if self.policies.quota_recovery == "minute":
                yield Workload(name=name, given=ONE, setup=plain)

    def _failed(self, told: float | None) -> tuple[Step, ...]:
        report = fail("key-1", status=429, retries=ONE.max_retries, retry_after=told)
        return report, *given_back(self, "key-1")

    def violations(self, history: History) -> Iterator[Violation]:
        """Hold what is served against the longest pause that the failures before it named."""
        yield from self.accidents(history)
        end, certain = 0.0, 0.0
        for operation in history.operations:
            if operation.name == "fail" and isinstance(operation.response, Answered):
                seconds = float(str(operation.get("retry_after") or 0))
                end, certain = operation.at + seconds, operation.at + max(seconds, FREE_AFTER)
            elif operation.name == "acquire" and end:
                served = isinstance(operation.value, str) and bool(operation.value)
                if served and operation.at < end - SLACK and self.policies.exhaustion != "fallback":
                    yield broken(operation, "no key: its failure named a later time", "a key comes back too early")
                if not served and operation.at > certain + SLACK and self.policies.quota_recovery == "minute":
                    yield broken(operation, "the key: its time has passed", "a key does not come back when it was told")


@final
class OneNameOneModel(Invariant):
    """Names equal up to case, surrounding blanks or a `models/` prefix are one model.

    Why: clients write the name as they found it; counted apart, each spelling has the whole quota to itself (001-1).
    How it breaks: the name is a key of a dict as it came.
    Fix: strip blanks and ``models/`` and fold the case once, where a name comes in.
    """

    id = "UNK09"
    level = "should"
    audits = ("001-1",)
    requires = ("acquire", "record")
    applies: ClassVar = {"counted_on": ("record",)}
    CONFORMING = (
        'given regular=key-1 m1.rpm=1\nrecord(lease=key-1, model=M1) -> True\nacquire() -> ""',
        'record(lease=key-1, model=M1) -> True\nusage(key=key-1, model=m1) -> {"rpm": 1}',
        "given regular=key-1 m1.rpm=1\nl = acquire() -> key-1\nrecord(lease=l, model=M1) -> True",
    )
    VIOLATING = (
        "given regular=key-1 m1.rpm=1\nrecord(lease=key-1, model=M1) -> True\nacquire() -> key-1",
        'record(lease=key-1, model=models/m1) -> True\nusage(key=key-1, model=m1) -> {"rpm": 0}',
    )

    def workloads(self) -> Iterator[Workload]:
        """One report under each spelling: its plain name is spent, and its usage tells so."""
        for number, name in enumerate(VARIANTS):
            told = self._told(name)
            given = limited(Limits(rpm=1), keys=1)
            if self.policies.exhaustion != "blocks":
                yield Workload(name=f"acquire-{number}", given=given, setup=(*told, *asks(self, keys=1)))
            yield Workload(name=f"usage-{number}", given=given, setup=(*told, usage("key-1", optional=True)))

    def _told(self, name: str) -> tuple[Step, ...]:
        return reported(self, [("key-1", lambda lease: record(lease, model=name, tokens=5))])

    def violations(self, history: History) -> Iterator[Violation]:
        """Tell a spelling that was counted apart from its model."""
        told = [op for op in history.named("record") if op.value is True and op.get("model") != "m1"]
        for operation in history.operations:
            apart = [op for op in told if op.returned is not None and op.returned < operation.called]
            if not apart:
                continue
            if operation.name == "acquire" and operation.value and self.policies.exhaustion != "fallback":
                limits = history.given.limits_of("m1")
                if limits is not None and limits.rpm is not None and len(apart) >= limits.rpm:
                    yield broken(
                        operation, "no key: another spelling of m1 has spent it", "a spelling is counted apart"
                    )
            elif operation.name == "usage" and isinstance(operation.value, dict) and operation.value.get("rpm") == 0:
                yield broken(operation, "the requests of every spelling of m1", "a spelling is counted apart")
