"""QUO05, QUO06, QUO07 and QUO09: what a record answers and counts, what it refuses, and what zeroes it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import PAIR, failing, limited, reported, told
from pytest_keyconform.catalogue.reading import changed, difference, wrong_usage
from pytest_keyconform.catalogue.serving import at_limit, nothing_served
from pytest_keyconform.catalogue.steps import (
    acquire,
    fail,
    record,
    reset_usage,
    step,
    usage,
    views,
)
from pytest_keyconform.model.names import known
from pytest_keyconform.model.outcome import OUTCOMES
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.provoking import Report
    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

ENTRY_POINTS = ("acquire", "random_key")
COUNTED = {"counted_on": ("record", "acquire")}


def _recording(*, pool: str = "regular", tokens: int, outcome: str = "success") -> Report:
    return lambda lease: record(lease, pool=pool, tokens=tokens, outcome=outcome)


@final
class RecordAnswers(Invariant):
    """`record` answers a bool, True exactly when it was recorded.

    Why: a caller that cannot tell a lost report from a kept one can neither repeat nor alert (000-4, 000-29).
    How it breaks: a ``return`` without a value on the path of errors; True for a key that nobody knows.
    Fix: one exit that says what was stored.
    """

    id = "QUO05"
    audits = ("000-4", "000-29")
    requires = ("record",)
    subject = ("record",)
    general = True
    CONFORMING = (
        'record(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        "record(lease=stranger-1) -> False",
        "policy unknown_key=typed-error\nrecord(lease=stranger-1) -> raises typed UnknownKey",
        "policy error_usage=free\nrecord(lease=key-1, outcome=transient) -> False",
        "record(lease=key-1, outcome=auth) -> True",
    )
    VIOLATING = (
        "record(lease=key-1) -> None",
        "record(lease=key-1) -> False",
        "record(lease=key-1, outcome=quota) -> None",
        "record(lease=stranger-1) -> True",
        "record(lease=key-1, model=m9) -> False",
        'record(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
    )

    def workloads(self) -> Iterator[Workload]:
        """A success, each class of error, an unknown model and key, a key that is out, a spent one."""
        read = usage("key-1", optional=True)
        yield Workload(name="success", given=Given(), setup=(record("key-1", tokens=5), read))
        yield Workload(name="vertex", given=Given(), setup=(record("vertex-1", pool="vertex", tokens=5),))
        for outcome in OUTCOMES:
            yield Workload(name=outcome, given=Given(), setup=(record("key-1", tokens=0, outcome=outcome), read))
        model = (record("key-1", model="m9", tokens=5), usage("key-1", model="m9", optional=True))
        yield Workload(name="model", given=Given(), setup=model)
        yield Workload(name="stranger", given=Given(), setup=(record("stranger-1", tokens=5), read))
        yield Workload(name="stranger-vertex", given=Given(), setup=(record("stranger-1", pool="vertex"),))
        if self.policies.tenure == "rotation":
            again = (record("key-1", tokens=5), read)
            spent = limited(Limits(rpm=1))
            yield Workload(name="again", given=Given(), setup=again * 3)
            yield Workload(name="spent", given=spent, setup=again * 2)
            yield Workload(name="out", given=Given(), setup=(fail("key-1", status=401), *again))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what is no bool, the wrong one, and a usage that shows it was."""
        if moment.name != "record" or not moment.answered or moment.operation.get("bad"):
            return wrong_usage(moment)
        if not isinstance(moment.value, bool):
            return moment.refusal("True or False", f"record answers a {type(moment.value).__name__}")
        expected = self._expected(moment)
        if expected is None or moment.value is expected:
            return None
        why = "it is to be recorded" if expected else "no pool has the key"
        return moment.refusal(f"{expected}: {why}", f"record answers {moment.value}")

    def _expected(self, moment: Moment) -> bool | None:
        """Answer what is to be answered; None where the catalogue leaves it open."""
        oracle, state, operation = moment.oracle, moment.state, moment.operation
        if self.policies.unknown_model == "reject" and not known(moment.model, oracle.given, self.policies):
            return None
        if not state.pools_of(moment.key):
            return False
        held = self.policies.tenure == "rotation" or state.held.get(moment.cell[:2]) is not None
        fit = state.knows(moment.pool, moment.key) and oracle.usable(state, moment.cell, operation.at) is Tri.YES
        return True if fit and held and self._stores(operation) else None

    def _stores(self, operation: Operation) -> bool:
        """Tell whether such a report of a usable key leaves something behind for sure."""
        outcome, counted_on = operation.get("outcome", "success"), self.policies.counted_on
        if outcome in ("quota", "auth"):
            return True
        if counted_on == "record":
            return outcome == "success" or self.policies.error_usage == "counts"
        return counted_on == "acquire" and outcome == "success" and bool(operation.get("tokens"))


@final
class FailedCallCountedOnce(Invariant):
    """A failed call is counted once or not at all, as declared.

    Why: providers count refused requests too, or do not; counted twice a key rests for nothing (000-4).
    How it breaks: the record of an error returns before it counts; the failure report counts the request again.
    Fix: count in the record alone, and decide there whether an error counts.
    """

    id = "QUO06"
    audits = ("000-4",)
    requires = ("record|fail", "usage|acquire")
    applies: ClassVar = COUNTED
    CONFORMING = (
        'record(lease=key-1, tokens=0, outcome=transient) -> True\nusage(key=key-1) -> {"rpm": 1, "rpd": 1}',
        "policy error_usage=free\nrecord(lease=key-1, tokens=0, outcome=request) -> True\nusage(key=key-1) -> None",
        'fail(lease=key-1, status=500) -> key-2\nusage(key=key-1) -> {"rpm": 0, "rpd": 0}',
        'record(lease=key-1, tokens=0, outcome=quota) -> True\nusage(key=key-1) -> {"rpm": 0}',
    )
    VIOLATING = (
        'record(lease=key-1, tokens=0, outcome=transient) -> True\nusage(key=key-1) -> {"rpm": 0, "rpd": 0}',
        'policy error_usage=free\nrecord(lease=key-1, outcome=request) -> True\nusage(key=key-1) -> {"rpd": 1}',
        'fail(lease=key-1, status=500) -> key-2\nusage(key=key-1) -> {"rpm": 1}',
        (
            "record(lease=key-1, tokens=0, outcome=transient) -> True\nfail(lease=key-1, status=500) -> key-2\n"
            'usage(key=key-1) -> {"rpm": 2}'
        ),
        'given regular=key-1 m1.rpm=1\nfail(lease=key-1, status=500, retries=3) -> ""\nacquire() -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """Each class of error recorded, reported as a failure, both, and after a success; by usage and by quota."""
        read = usage("key-1")
        if self.policies.counted_on == "acquire" and self.policies.error_usage == "free":
            return  # the acquire has counted it, and whether the record takes that back is open
        for outcome in OUTCOMES:
            report = record("key-1", tokens=0, outcome=outcome)
            yield Workload(name=outcome, given=Given(), setup=(report,), finale=(read,))
            both = (report, fail("key-1", status=None))
            yield Workload(name=f"{outcome}-failed", given=Given(), setup=both, finale=(read,))
            after = (*told(self, record("key-1", tokens=0)), report)
            yield Workload(name=f"{outcome}-after", given=Given(), setup=after, finale=(read,))
        for code in (None, 401, 429, 400, 500):
            report = fail("key-1", status=code)
            yield Workload(name=f"failed-{code}", given=Given(), setup=(report,), finale=(read,))
        if self.policies.counted_on == "record":
            yield from self._by_quota()

    def _by_quota(self) -> Iterator[Workload]:
        last = failing(self, status=None, last=True)  # hands out nothing that might count
        for field in (Limits(rpm=1), Limits(rpd=1)):
            given, name = limited(field, keys=1), str(field).partition("=")[0]
            failed = reported(self, [("key-1", last)])
            yield Workload(name=f"{name}-failed", given=given, setup=failed, finale=self.taking("a"))
            for outcome in ("transient", "request"):
                steps = reported(self, [("key-1", _recording(tokens=0, outcome=outcome))])
                yield Workload(name=f"{name}-{outcome}", given=given, setup=steps, finale=self.taking("a"))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage, and what is served for it, that the declared counting does not explain."""
        return at_limit(moment) if moment.name in ENTRY_POINTS else wrong_usage(moment)


@final
class InvalidUsageRefused(Invariant):
    """Invalid usage (negative tokens, NaN, empty key) is refused with a typed error or False and changes nothing.

    Why: one NaN makes every comparison with a limit false for good; a negative number gives quota back (002-O4).
    How it breaks: the numbers are added as they come; the request is counted before the tokens are looked at.
    Fix: check the arguments first, then change the state.
    """

    id = "QUO07"
    audits = ("002-O4",)
    requires = ("record",)
    applies: ClassVar = COUNTED
    subject = ("record",)
    CONFORMING = (
        (
            'usage(key=key-1) -> {"rpm": 0}\nrecord(lease=key-1, tokens=-1, bad=True) -> raises typed ValueError\n'
            'usage(key=key-1) -> {"rpm": 0}'
        ),
        "record(lease=key-1, tokens=3) -> True\nrecord(lease=key-1, tokens=-1, bad=True) -> False",
        "record(lease=, bad=True) -> False",
    )
    VIOLATING = (
        "record(lease=key-1, tokens=-1, bad=True) -> True",
        "record(lease=key-1, tokens=-1, bad=True) -> raises AttributeError",
        "record(lease=key-1, tokens=3) -> True\nrecord(lease=key-1, tokens=-1, bad=True) -> None",
        'record(lease=key-1, tokens=-3, bad=True) -> False\nusage(key=key-1) -> {"rpm": 1}',
        "is_valid(key=key-1) -> True\nrecord(lease=key-1, tokens=-3, bad=True) -> False\nis_valid(key=key-1) -> False",
        (
            "given regular=key-1,key-2 m1.tpm=5\nrecord(lease=key-1, tokens=-5, bad=True) -> False\n"
            "record(lease=key-1, tokens=5) -> True\nacquire() -> key-1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each kind of bad input between readings of every view; and before and after the quota is reached."""
        good = told(self, record("key-1", tokens=3))
        state = [step("state", optional=True)] if self.policies.tenure == "rotation" else []  # a lease may show
        read = (usage("key-1", optional=True), *views(PAIR), *state)
        full = limited(Limits(tpm=5))
        asks = (*self.taking("a"), *self.taking("b"))
        for name, bad in (
            ("negative", self._bad("key-1", tokens=-1)),
            ("very-negative", self._bad("key-1", tokens=-1000)),
            ("nan", self._bad("key-1", tokens=math.nan)),
            ("no-key", self._bad("")),
        ):
            yield Workload(name=name, given=PAIR, setup=(*good, *read, bad, *read))
            if self.policies.counted_on == "record":
                filled = told(self, record("key-1", tokens=5))
                yield Workload(name=f"{name}-before", given=full, setup=(bad, *filled, *asks))
                yield Workload(name=f"{name}-after", given=full, setup=(*filled, bad, *asks))
                if self.policies.tenure == "rotation":
                    once = limited(Limits(rpm=1), keys=1)
                    yield Workload(name=f"{name}-request", given=once, setup=(bad, acquire()))
        if self.policies.error_usage == "counts" and self.claims.takes("record", "outcome"):
            for outcome in OUTCOMES:  # an error is looked at before the numbers are, or instead of them
                for name, bad in (
                    ("negative", self._bad("key-1", tokens=-5, outcome=outcome)),
                    ("nan", self._bad("key-1", tokens=math.nan, outcome=outcome)),
                    ("no-key", self._bad("", outcome=outcome)),
                ):
                    yield Workload(name=f"{name}-as-{outcome}", given=PAIR, setup=(*good, *read, bad, *read, *asks))

    def _bad(self, lease: str, **wrong: object) -> Step:
        """Answer a report whose only fault is this one: whatever else is said is what the backend takes."""
        forms = self.claims.forms("record")
        said = {"model": DEFAULT_MODEL, "tokens": 1}
        taken = {name: value for name, value in said.items() if forms and name in forms[0].parameters}
        return step("record", **{"lease": lease, **taken, **wrong, "bad": True})

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge the answers, compare the readings around them, and look at what is counted and served after them."""
        yield from self.accidents(history)
        reports = list(history.named("record"))
        says = any(isinstance(op.value, bool) for op in reports if not op.get("bad"))
        for operation in reports:
            taken = operation.value is True or (says and operation.value is not False)
            if operation.get("bad") and isinstance(operation.response, Answered) and taken:
                yield broken(operation, "False, or an error that the backend declares", "record takes invalid usage")
        for before, after in changed(history, self._quiet):
            yield broken(after, difference(before), f"invalid usage changes {after.name}")
        yield from self.disorder(history)

    def _quiet(self, operation: Operation) -> bool:
        """Tell whether a call changes no view: a refused one, or a lease that is taken to report on."""
        leasing = self.policies.tenure == "lease" and self.policies.counted_on == "record"
        return bool(operation.get("bad")) or (leasing and operation.name in ("acquire", "release"))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage, and what is served for it, that counts what was to be refused."""
        return at_limit(moment) if moment.name in ENTRY_POINTS else wrong_usage(moment)


@final
class UsageReset(Invariant):
    """`reset_usage` zeroes the counters, frees the keys, and is idempotent.

    Why: it is the operator's way out when the counters are wrong; half a reset is worse than none (000-R).
    How it breaks: the counters are zeroed and the flag "exhausted" stays; one pool, model or window is forgotten.
    Fix: derive "exhausted" from the counters, and zero every row there is.
    """

    id = "QUO09"
    audits = ("000-R",)
    requires = ("reset_usage",)
    applies: ClassVar = COUNTED
    subject = ("reset_usage",)
    CONFORMING = (
        'record(lease=key-1, tokens=5) -> True\nreset_usage()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0, "rpd": 0}',
        "given regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\nreset_usage()\nreset_usage()\nacquire() -> key-1",
    )
    VIOLATING = (
        'record(lease=key-1, tokens=5) -> True\nreset_usage()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0, "rpd": 1}',
        'given regular=key-1 m1.tpm=5\nrecord(lease=key-1, tokens=5) -> True\nreset_usage()\nacquire() -> ""',
        "reset_usage()\nreset_usage() -> raises KeyError",
        'reset_usage()\nrecord(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> {"rpm": 0}',
    )

    def workloads(self) -> Iterator[Workload]:
        """Counters of keys, models and pools, and exhausted keys; reset once and twice, alone and beside a report."""
        again = record("key-1", tokens=5)
        read = (usage("key-1"), usage("key-2"))
        filled = (*told(self, again), *told(self, record("key-2", tokens=7)))
        other, vertex = record("key-1", model="m2", tokens=5), record("vertex-1", pool="vertex", tokens=5)
        for name, before, finale in (
            ("keys", filled, read),
            ("models", told(self, other), (usage("key-1", model="m2"),)),
            ("vertex", told(self, vertex), (usage("vertex-1", pool="vertex"),)),
            ("unknown", told(self, record("key-1", model="m9")), (usage("key-1", model="m9"),)),
        ):
            if name == "unknown" and self.policies.unknown_model == "reject":
                continue
            yield Workload(name=name, given=Given(), setup=(*before, reset_usage()), finale=finale)
            yield Workload(name=f"{name}-twice", given=Given(), setup=(*before, *[reset_usage()] * 2), finale=finale)
        counted = (reset_usage(), *told(self, again))
        yield Workload(name="anew", given=Given(), setup=(*told(self, again), *counted), finale=read)
        if self.policies.tenure == "rotation":
            racing = ((again,), (reset_usage(),))
            yield Workload(name="racing", given=Given(), setup=(again,), clients=racing, finale=read)
        yield from self._exhausted()

    def _exhausted(self) -> Iterator[Workload]:
        for limit in (Limits(rpm=1), Limits(tpm=5), Limits(rpd=1)):
            name = str(limit).partition("=")[0]
            given = limited(limit, keys=1)
            for pool, key in (("regular", "key-1"), ("vertex", "vertex-1")):
                given = replace(given, vertex=("vertex-1",))
                spent = reported(self, [(key, _recording(pool=pool, tokens=5))], pool=pool)
                if self.policies.counted_on == "acquire":
                    spent = (*self.taking("filled", pool=pool), *spent)
                asked = (*spent, acquire(pool=pool), reset_usage(), *self.taking("a", pool=pool))
                yield Workload(name=f"{name}-{pool}", given=given, setup=asked)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that was not zeroed, and a key that was not freed."""
        return nothing_served(moment) if moment.name in ENTRY_POINTS else wrong_usage(moment)
