"""FAIL01, FAIL07 and FAIL08: how a failure report is called, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.standing import (
    FIRST,
    ONE,
    PAIR,
    SECOND,
    asks,
    given_back,
    hurt,
    is_rejected,
    misstated,
    served_though,
    unfit_replacement,
    worn,
)
from pytest_keyconform.catalogue.steps import POOLS, fail, record, step, views
from pytest_keyconform.operation import Raised
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation

TRIO = Given()
FAR = 1000
"""A retry that is the last one for any threshold that a factory cannot be told."""


@final
class FailureIsTaken(Invariant):
    """`fail` works with the three arguments every call site passes and with status and pool; it answers a str.

    Why: every call site passes (key, model, retries); a signature that wants more breaks all error handling at once
    (000-1, 000-8).
    How it breaks: the status became a required argument; a path returns without a value; a coroutine is not awaited.
    Fix: give the arguments after the third one defaults, and return a str on every path.
    """

    id = "FAIL01"
    audits = ("000-1", "000-8")
    requires = ("fail",)
    subject = ("fail",)
    general = True
    CONFORMING = (
        "fail(lease=key-1, model=m1, retries=0, positional=True) -> key-2",
        'given regular=key-1\nfail(lease=key-1, model=m1, retries=0, status=401) -> ""',
        "policy sentinel=None\ngiven regular=key-1\nfail(lease=key-1, model=m1, status=401) -> None",
        (
            "policy exhaustion=typed-error\ngiven regular=key-1\n"
            "fail(lease=key-1, model=m1, status=401) -> raises typed Exhausted"
        ),
        "policy unknown_model=reject\nfail(lease=key-1, model=m9, status=500) -> raises typed UnknownModel",
    )
    VIOLATING = (
        "fail(lease=key-1, model=m1, retries=0, positional=True) -> raises TypeError",
        "fail(lease=key-1, model=m1, retries=0) -> None",
        "fail(lease=key-1, model=m1, retries=0) -> True",
        "fail(lease=key-1, model=m1, retries=0) -> <coroutine>",
        'given regular=key-1\nfail(lease=key-1, model=m1, status=401) -> ""\nfail(lease=key-1, model=m1) -> None',
        "policy exhaustion=typed-error\nfail(lease=key-1, model=m1, retries=0) -> raises typed Exhausted",
    )

    def workloads(self) -> Iterator[Workload]:
        """Three arguments by position; by name with each kind of status, in both pools, with nothing left."""
        if any(form.name == "handle_api_failure" for form in self.claims.forms("fail")):
            three = step("fail", lease="key-1", model=DEFAULT_MODEL, retries=0, positional=True)
            again = step("fail", lease="key-1", model=DEFAULT_MODEL, retries=1, positional=True)
            yield Workload(name="positional", given=TRIO, setup=(three,))
            yield Workload(name="positional-again", given=TRIO, setup=(three, again))
        for pool in POOLS:
            plain = step("fail", lease=FIRST[pool], model=DEFAULT_MODEL, pool=pool, retries=0)
            yield Workload(name=f"{pool}-named", given=TRIO, setup=(plain,))
            for status in (429, 401, 400, 500, None):
                report = fail(FIRST[pool], status=status, pool=pool)
                yield Workload(name=f"{pool}-{status}", given=TRIO, setup=(report,))
                yield Workload(name=f"{pool}-{status}-alone", given=ONE, setup=(report,))
            last = fail(FIRST[pool], status=None, pool=pool, retries=TRIO.max_retries)
            yield Workload(name=f"{pool}-last", given=TRIO, setup=(last,))
        yield Workload(name="other-model", given=TRIO, setup=(fail("key-1", status=None, model="m2"),))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what is no str, and an error while another key is usable."""
        if moment.name != "fail" or moment.operation.get("bad") or not moment.state.knows(moment.pool, moment.key):
            return None
        if isinstance(moment.operation.response, Raised):
            return None if is_rejected(moment) else unfit_replacement(moment)
        sentinel = moment.value is None and self.policies.sentinel is None
        if not moment.answered or sentinel or isinstance(moment.value, str):
            return None
        return moment.refusal("a str", "fail answers no str")


@final
class RetriesEnd(Invariant):
    """retries ≥ max_retries answers the sentinel under every `exhaustion`, and the failure is still recorded.

    Why: the sentinel ends the retry loop of the caller; the last failure says as much of the key as the first (000-1).
    How it breaks: > in the place of >=; an early return before the failure is recorded; a fallback answered even then.
    Fix: record first, then look at the retries, then look for a replacement.
    """

    id = "FAIL07"
    audits = ("000-1",)
    requires = ("fail",)
    general = True
    CONFORMING = (
        'given max_retries=2\nfail(lease=key-1, retries=2, status=500) -> ""\nfailures(key=key-1) -> 1',
        (
            "policy sentinel=None exhaustion=fallback\nfail(lease=key-1, retries=3, status=401) -> None\n"
            "is_valid(key=key-1) -> False"
        ),
        "given max_retries=2\nfail(lease=key-1, retries=1, status=500) -> key-2",
        'policy sentinel=None\nfail(lease=key-1, retries=3) -> ""',
    )
    VIOLATING = (
        "given max_retries=2\nfail(lease=key-1, retries=2, status=500) -> key-2",
        'fail(lease=key-1, retries=3, status=500) -> ""\nfailures(key=key-1) -> 0',
        "policy exhaustion=typed-error\nfail(lease=key-1, retries=3, status=500) -> raises typed Exhausted",
        "policy exhaustion=fallback\nfail(lease=key-1, retries=4, status=401) -> key-2",
        'fail(lease=key-1, retries=3, status=401) -> ""\nacquire() -> key-1',
        "fail(lease=key-1, retries=3, status=500) -> None",
    )

    def workloads(self) -> Iterator[Workload]:
        """The last retry and one beyond it, with other keys usable and with none, and what became of the failure."""
        two = Given(regular=("key-1", "key-2"), max_retries=2, needs=frozenset({"max_retries"}))
        for pool in POOLS:
            for name, given, retries in (("last", two, 2), ("beyond", two, 3), ("far", PAIR, FAR)):
                for status in (None, 401, 429):
                    report = fail(FIRST[pool], status=status, pool=pool, retries=retries)
                    back = given_back(self, FIRST[pool], pool=pool)
                    seen = (*views(given, pool=pool), *asks(self, pool=pool))
                    yield Workload(name=f"{pool}-{name}-{status}", given=given, setup=(report, *back, *seen))
            far = fail(FIRST[pool], status=401, pool=pool, retries=FAR)
            yield Workload(name=f"{pool}-alone", given=ONE, setup=(far,))
        struck = Given(regular=("key-1", "key-2"), max_failures=1, needs=frozenset({"max_failures"}))
        far = fail("key-1", status=500, retries=FAR)
        after = (*given_back(self, "key-1"), *views(struck), *asks(self))
        yield Workload(name="struck", given=struck, setup=(far, *after))

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge the answers; and what became of the failures where all of them were last retries."""
        yield from self.accidents(history)
        reports = [moment for moment in self.moments(history) if moment.name == "fail"]
        for moment in reports:
            if self._is_last(moment) and not self._ends(moment):
                word = "raises" if isinstance(moment.operation.response, Raised) else "does not answer the sentinel"
                expected = f"the sentinel {self.policies.sentinel!r}"
                yield broken(moment.operation, expected, f"fail at the last retry {word}")
        if reports and all(map(self._is_last, reports)):
            yield from self.disorder(history)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a view and a service that know of no failure."""
        return misstated(moment) or served_though(moment, "struck", "barred", "marked")

    def _is_last(self, moment: Moment) -> bool:
        retries = moment.operation.get("retries", 0)
        limit = moment.oracle.given.max_retries if moment.oracle.told("max_retries") else FAR
        return isinstance(retries, int) and retries >= limit

    def _ends(self, moment: Moment) -> bool:
        strange = moment.operation.get("bad") or not moment.state.knows(moment.pool, moment.key)
        if strange or is_rejected(moment):
            return True
        if isinstance(moment.operation.response, Raised):
            return False
        return not moment.answered or moment.value in ("", self.policies.sentinel)


@final
class ReplacementIsFit(Invariant):
    """The replacement is usable for the model, of the same pool, and another key where another is usable.

    Why: a retry with the key that just failed, or with one that is spent, fails again and is counted again
    (000-28, 000-30).
    How it breaks: the replacement is chosen before the failure is recorded, for another model, or by rotation alone.
    Fix: record the failure, then acquire for the same pool and model, and put the failed key last.
    """

    id = "FAIL08"
    audits = ("000-28", "000-30")
    requires = ("fail",)
    general = True
    CONFORMING = (
        "fail(lease=key-1, status=500) -> key-2",
        'given regular=key-1\nfail(lease=key-1, status=500) -> key-1\nfail(lease=key-1, status=401) -> ""',
        'given regular=key-1\nfail(lease=key-1, status=500) -> ""',
        "policy exhaustion=fallback\ngiven regular=key-1\nfail(lease=key-1, status=401) -> key-1",
        (
            "given regular=key-1,key-2\nfail(lease=key-2, model=m1, status=429) -> key-1\n"
            "fail(lease=key-1, model=m2, status=429) -> key-2"
        ),
        'fail(lease=key-1, status=500, retries=3) -> ""',
    )
    VIOLATING = (
        "fail(lease=key-1, status=500) -> key-1",
        "fail(lease=key-1, status=500) -> vertex-1",
        'fail(lease=key-1, status=500) -> ""',
        "given regular=key-1\nfail(lease=key-1, status=401) -> key-1",
        "fail(lease=key-2, model=m2, status=429) -> key-1\nfail(lease=key-1, model=m2, status=500) -> key-2",
        "policy exhaustion=fallback\nfail(lease=key-1, status=401) -> key-1",
        "given m1.rpm=1\nrecord(lease=key-2) -> True\nfail(lease=key-1, status=500) -> key-2",
    )

    def workloads(self) -> Iterator[Workload]:
        """Each status with another key usable; others out, marked or spent; one key after the other; both pools."""
        for pool in POOLS:
            if not self.claims.answers("fail", pool):
                continue
            key, other = FIRST[pool], SECOND[pool]
            for status in (429, 401, 403, 400, 500, None):
                report = fail(key, status=status, pool=pool)
                yield Workload(name=f"{pool}-{status}", given=PAIR, setup=(report,))
                after = (*self.taking("a", pool=pool), report)
                yield Workload(name=f"{pool}-{status}-turned", given=PAIR, setup=after)
            yield Workload(name=f"{pool}-alone", given=ONE, setup=(fail(key, status=401, pool=pool),))
            for model in (DEFAULT_MODEL, "m2"):
                mark = hurt(self, other, status=429, model=model, pool=pool)
                for asked in (DEFAULT_MODEL, "m2"):
                    report = fail(key, status=None, model=asked, pool=pool)
                    yield Workload(name=f"{pool}-{model}-marked-{asked}", given=PAIR, setup=(*mark, report))
        if self.claims.answers("fail"):
            yield from self._one_left()

    def _one_left(self) -> Iterator[Workload]:
        last = Given(max_retries=2, needs=frozenset({"max_retries"}))
        yield Workload(name="last-but-one", given=last, setup=(fail("key-1", status=500, retries=1),))
        for name, given, spend in (
            ("out", TRIO, hurt(self, "key-2", status=401)),
            ("marked", TRIO, hurt(self, "key-2", status=429)),
            ("struck", worn(1, keys=3), hurt(self, "key-2")),
            ("spent", _limited(Limits(rpm=1)), (record("key-2"), *given_back(self, "key-2"))),
            ("tokens", _limited(Limits(tpm=5)), (record("key-2", tokens=5), *given_back(self, "key-2"))),
            ("day", _limited(Limits(rpd=1)), (record("key-2"), *given_back(self, "key-2"))),
        ):
            if name in ("spent", "tokens", "day") and self.policies.counted_on != "record":
                continue
            yield Workload(name=name, given=given, setup=(*spend, fail("key-1", status=401)))
            yield Workload(name=f"{name}-500", given=given, setup=(*spend, fail("key-1", status=500)))
            again = (*spend, fail("key-1", status=None), fail("key-1", status=None))
            yield Workload(name=f"{name}-again", given=given, setup=again)

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge calls that do not overlap: a failure is recorded and replaced in two steps."""
        yield from self.accidents(history)
        if history.sequential:
            yield from self.disorder(history)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an unfit replacement, and none while another key is usable."""
        known = moment.state.knows(moment.pool, moment.key)
        return unfit_replacement(moment) if known and not is_rejected(moment) else None


def _limited(limit: Limits) -> Given:
    return Given(limits=(("m1", limit), ("m2", limit)), needs=frozenset({"limits"}))
