"""QUO10: the numbers that were configured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import PAIR, failing, limit_of, limited, reported, told
from pytest_keyconform.catalogue.serving import no_replacement, nothing_served, unusable_served
from pytest_keyconform.catalogue.steps import acquire, advance, fail, is_valid, record, tick
from pytest_keyconform.model.state import Tri
from pytest_keyconform.workload import Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.workload import Step

FIELDS = ("rpm", "tpm", "rpd")
TWO_DAYS = 172_800.0


@final
class ConfiguredNumbersObeyed(Invariant):
    """Configured numbers are obeyed: max_failures, max_retries, limits, recoveries, default model.

    Why: a number that is configured and not obeyed is found in an outage (004-7).
    How it breaks: a constant where the setting should stand; a setting read once, for the first pool or model only.
    Fix: pass the settings in, and leave no second place where the number stands.
    """

    id = "QUO10"
    audits = ("004-7",)
    requires = ("acquire|is_valid|fail",)
    CONFORMING = (
        (
            "given regular=key-1 max_failures=2\nfail(lease=key-1, status=500) -> key-1\nis_valid(key=key-1) -> True\n"
            'fail(lease=key-1, status=500) -> ""\nis_valid(key=key-1) -> False'
        ),
        (
            "given max_retries=5\nfail(lease=key-1, status=500, retries=4) -> key-2\n"
            'fail(lease=key-1, status=500, retries=5) -> ""'
        ),
        (
            'policy auth_recovery=100\ngiven regular=key-1\nfail(lease=key-1, status=401) -> ""\nadvance(seconds=50)\n'
            'acquire() -> ""\nadvance(seconds=52)\nacquire() -> key-1'
        ),
    )
    VIOLATING = (
        "given regular=key-1 max_failures=5\nfail(lease=key-1, status=500) -> key-1\nis_valid(key=key-1) -> False",
        "given regular=key-1 max_failures=1\nfail(lease=key-1, status=500) -> key-1\nacquire() -> key-1",
        'given max_retries=5\nfail(lease=key-1, status=500, retries=4) -> ""',
        "given max_retries=1\nfail(lease=key-1, status=500, retries=1) -> key-2",
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nadvance(seconds=172800)\nacquire() -> key-1',
        (
            'policy quota_recovery=300\ngiven regular=key-1\nfail(lease=key-1, status=429) -> ""\n'
            "advance(seconds=150)\nacquire() -> key-1"
        ),
        'given regular=key-1 default_model=m2 m1.rpm=0\nacquire(model=None) -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """Each number changed from its default, and what it decides looked at on both sides of it."""
        for number in (1, 2, 5):
            yield from self._failures(number)
            yield from self._retries(number)
        if self.policies.counted_on == "record":
            yield from self._limits()
        other = replace(PAIR, default_model="m2", needs=frozenset({"default_model", "limits"}))
        marked = replace(other, limits=(("m1", Limits(rpm=0)), ("m2", Limits())))
        yield Workload(name="default-open", given=marked, setup=self.taking("a", model=None))
        yield Workload(
            name="default-marked", given=other, setup=(fail("key-1", status=429, model="m2"), acquire(model=None))
        )
        yield from self._recoveries()

    def _failures(self, number: int) -> Iterator[Workload]:
        given = replace(PAIR, regular=("key-1",), max_failures=number, needs=frozenset({"max_failures"}))
        once = failing(self, status=None)

        def strikes(count: int, tag: str) -> tuple[Step, ...]:
            return tuple(s for n in range(count) for s in reported(self, [("key-1", once)], tag=f"{tag}{n}x"))

        below = (*strikes(number - 1, "b"), *self.taking("a"), is_valid("key-1"))
        yield Workload(name=f"failures-{number}", given=given, setup=(*below, *strikes(1, "l"), acquire()))
        yield Workload(
            name=f"failures-{number}-valid", given=given, setup=(*below, *strikes(1, "l"), is_valid("key-1"))
        )

    def _retries(self, number: int) -> Iterator[Workload]:
        given = replace(PAIR, max_retries=number, needs=frozenset({"max_retries"}))
        for name, retries in (("last", number - 1), ("over", number)):
            report = fail("key-1", status=None, retries=retries)
            yield Workload(name=f"retries-{number}-{name}", given=given, setup=(report,))

    def _limits(self) -> Iterator[Workload]:
        for field in FIELDS:
            limits = (("m1", limit_of(field, 2)), ("m2", limit_of(field, 4)))
            given = replace(limited(Limits(), keys=1), limits=limits)
            one = told(self, record("key-1", tokens=1))
            two = told(self, record("key-1", model="m2", tokens=1))
            asked = (*one * 2, acquire(), *two * 3, *self.taking("a", model="m2"), *two, acquire(model="m2"))
            yield Workload(name=f"limits-{field}", given=given, setup=asked)

    def _recoveries(self) -> Iterator[Workload]:
        struck = replace(PAIR, max_failures=1, needs=frozenset({"max_failures"}))
        for name, given, status, recovery in (
            ("quota", PAIR, 429, self.policies.quota_recovery),
            ("strike", struck, None, self.policies.strike_recovery),
            ("auth", PAIR, 401, self.policies.auth_recovery),
        ):
            before, after = _around(recovery)
            first = failing(self, status=status)
            hurt = reported(self, [("key-1", first)])
            # Whether a mark makes a key invalid is left to the backend.
            asks = (*self.taking("a"), *self.taking("b"), *([] if name == "quota" else [is_valid("key-1")]))
            yield Workload(name=f"{name}-before", given=given, setup=(*hurt, advance(before), tick(), *asks))
            if after is not None:
                both = reported(self, [("key-1", first), ("key-2", failing(self, status=401))])
                yield Workload(name=f"{name}-after", given=given, setup=(*both, advance(after), tick(), *asks))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what another number than the configured one would explain."""
        match moment.name:
            case "acquire" | "random_key":
                return unusable_served(moment) or nothing_served(moment)
            case "is_valid" if moment.answered:
                truth = moment.oracle.valid(moment.state, moment.cell[:2], moment.operation.at)
                wrong = truth is not Tri.MAYBE and moment.value is not (truth is Tri.YES)
                return moment.refusal(f"{truth is Tri.YES}", "is_valid does not obey the numbers") if wrong else None
            case "fail":
                return self._retried(moment)
        return None

    def _retried(self, moment: Moment) -> Refusal | None:
        retries, most = moment.operation.get("retries", 0), moment.oracle.given.max_retries
        if not isinstance(retries, int) or retries < most:
            return no_replacement(moment)
        served = moment.served is not None
        return moment.refusal(f"no key: max_retries is {most}", "fail goes on after the last retry") if served else None


def _around(recovery: object) -> tuple[float, float | None]:
    """Answer a time at which a key is still out for sure, and one at which it is back; None if it is by hand."""
    match recovery:
        case "minute":
            return 40.0, 62.0
        case "day":
            return 3600.0, 90_000.0
        case tuple():
            return float(recovery[0]) / 2, float(recovery[0]) + 2
        case int() | float():
            return recovery / 2, recovery + 2
    return TWO_DAYS, None
