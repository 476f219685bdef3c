"""FAIL14 to FAIL16, LIVE05 and LIVE06: the backend's own retry wrapper, and the caller's code that it hands keys to."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import ONE, PAIR, misstated
from pytest_keyconform.catalogue.steps import acquire, failures, is_valid, next_key, status, step, usage
from pytest_keyconform.model.outcome import outcome_of
from pytest_keyconform.operation import Answered, Operation, Raised
from pytest_keyconform.workload import SLOW, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Response
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

TRIO: Final = Given()
SLACK: Final = 0.5
OWN: Final = "CallersOwn"


def call(*script: str, bind: str | None = None, pool: str = "regular") -> Step:
    """Let the backend call code that answers as this script says."""
    return step("call", bind, model=ONE.default_model, pool=pool, send=script)


def sends(history: History, operation: Operation) -> list[Operation]:
    """Answer what the caller's code was asked within a call."""
    return [
        one
        for one in history.named("send")
        if one.client == operation.client
        and operation.called < one.called
        and (operation.returned is None or one.called < operation.returned)
    ]


def status_of(sent: Operation) -> int | None:
    """Answer the status that the caller's code met; None where it met none."""
    refused = sent.response
    text = refused.message[:3] if isinstance(refused, Raised) else ""
    return int(text) if text.isdigit() else None


class _Calling(Invariant, shared=True):
    """What the rules share: a call, and what is then said and served."""

    requires: ClassVar[tuple[str, ...]] = ("call",)
    unhindered: ClassVar[bool] = True

    def after(self, given: Given, pool: str = "regular") -> tuple[Step, ...]:
        """Read what there is to read of the keys of a pool, and ask for one."""
        keys = given.keys(pool)
        reads = tuple(read for key in keys for read in (is_valid(key, pool=pool), failures(key, pool=pool)))
        asked = () if self.policies.exhaustion == "blocks" else (acquire("z", pool=pool, optional=True),)
        return (*reads, status(pool=pool), *asked)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a view or a key that does not follow from what the calls met."""
        if moment.name == "acquire":
            return unusable_served(moment) or nothing_served(moment)
        return misstated(moment)


@final
class ChargedToItsKey(_Calling):
    """`call` tries no key twice while another is usable, charges each failure to its key, and ends as declared.

    Why: a wrapper that tries one limited key again and again takes the service down with keys to spare (000-28, 004-2).
    How it breaks: the key is kept in an attribute that other calls write to; the replacement is the key that failed.
    Fix: keep the key of each attempt in a variable of its own, report by it, and leave out what was tried.
    """

    id = "FAIL14"
    audits = ("000-28", "004-2")
    overlap = True
    CONFORMING = ("call(model=m1) -> raises typed NoKey\nis_valid(key=key-1) -> True",)
    VIOLATING = (
        "call(model=m1) -> raises KeyError",
        'call(model=m1) -> ""',
        "call(model=m1) -> ok",
        "call(model=m1) -> raises typed NoKey\nis_valid(key=key-1) -> False",
    )

    def workloads(self) -> Iterator[Workload]:
        """A first key that is limited or refused and then every other one; two calls at once that fail differently."""
        for name, script in (
            ("limited", ("429",)),
            ("refused", ("401",)),
            ("transient", ("500",)),
            ("two", ("429", "401")),
            ("all-refused", ("429", *("401",) * 9)),
            ("all-limited", ("429",) * 9),
            ("all-transient", ("500",) * 9),
        ):
            yield Workload(name=name, given=TRIO, setup=(call(*script),), finale=self.after(TRIO))
            if self.claims.takes("call", "pool"):
                vertex = (call(*script, pool="vertex"),)
                finale = (*self.after(TRIO, "vertex"), *self.after(TRIO))
                yield Workload(name=f"vertex-{name}", given=TRIO, setup=vertex, finale=finale)
        yield Workload(name="one-key", given=ONE, setup=(call("401", "401"),), finale=self.after(ONE))
        for name, first, second in (("at-once", ("401",), ("ok",)), ("both", ("401",), ("429",))):
            clients = ((call(*first),), (call(*second),))
            yield Workload(name=name, given=TRIO, clients=clients, finale=self.after(TRIO))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at the keys that each call tried, at how it ended, and at what is said of the keys afterwards."""
        for operation in history.named("call"):
            yield from self._tried(history, operation)
            yield from self._ended(history, operation)
        yield from self.disorder(history)

    def _tried(self, history: History, operation: Operation) -> Iterator[Violation]:
        tried: list[str] = []
        for sent in sends(history, operation):
            key = str(sent.get("key"))
            others = self._usable(history, sent) - {key} - set(tried)
            if key in tried and others:
                yield broken(sent, f"{min(others)}: it is usable and was not tried", "call tries one key twice")
                return
            tried.append(key)

    def _usable(self, history: History, sent: Operation) -> set[str]:
        """Answer the keys that nothing before this attempt can have taken out."""
        before = [one for one in history.named("send") if one.called < sent.called]
        hurt = {one.get("key") for one in before if outcome_of(status_of(one)) in ("quota", "auth") and _met(one)}
        worn = {one.get("key") for one in before if _met(one)} if self._worn(before) else set()
        return set(history.given.keys(str(sent.get("pool", "regular")))) - hurt - worn

    def _worn(self, before: list[Operation]) -> bool:
        """Tell whether transient failures may have taken a key out."""
        return self.policies.failures == "immediate" or len(before) >= TRIO.max_failures

    def _ended(self, history: History, operation: Operation) -> Iterator[Violation]:
        made = sends(history, operation)
        last, ended = (made[-1].response if made else None), operation.response
        if isinstance(last, Answered):
            if not isinstance(ended, Answered) or ended.value != last.value:
                yield broken(operation, f"what the caller's code answered: {last.value}", "call loses the answer")
        elif isinstance(ended, Answered) and ended.value not in ("", None):
            yield broken(operation, "an end as declared: every attempt failed", "call answers though all failed")
        elif isinstance(ended, Answered) and last is None:
            yield broken(operation, "an attempt: keys are usable", "call tries no key")
        elif isinstance(ended, Raised) and not ended.typed:
            yield from _leaked(operation, ended, last)


def _leaked(operation: Operation, ended: Raised, last: Response | None) -> Iterator[Violation]:
    """Look at an error that is not the backend's own: it has to be the last one of the upstream."""
    if not isinstance(last, Raised) or last.kind != ended.kind:
        yield broken(operation, "the last error of the upstream, or as declared", f"call raises {ended.kind}")
    elif last.message != ended.message:
        yield broken(operation, f"the last error: {last}", "call raises an earlier error")


def _met(sent: Operation) -> bool:
    return status_of(sent) is not None


@final
class OwnErrorsPass(_Calling):
    """An exception of the caller's own code passes through `call` and takes no key out.

    Why: a mistake in a caller disables every key of the service, one after the other (004-3).
    How it breaks: ``except Exception`` around the call counts whatever comes as a failure of the key.
    Fix: handle the errors of the upstream by name, and let all others out.
    """

    id = "FAIL15"
    level = "should"
    audits = ("004-3",)
    CONFORMING = ("call(model=m1) -> raises CallersOwn\nis_valid(key=key-1) -> True",)
    VIOLATING = (
        "call(model=m1) -> raises CallersOwn\nis_valid(key=key-1) -> False",
        "call(model=m1) -> raises KeyError",
    )

    def workloads(self) -> Iterator[Workload]:
        """The caller's code raises once, and in each of several calls."""
        after = (is_valid("key-1"), status(), *(() if self.policies.exhaustion == "blocks" else (acquire("z"),)))
        yield Workload(name="once", given=ONE, setup=(call("own"), *after))
        yield Workload(name="often", given=ONE, setup=((call("own"),) * (ONE.max_failures + 1) + after))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that is taken out; that a failure was counted is no matter."""
        if moment.name == "is_valid" and moment.answered and moment.value is False:
            return moment.refusal("True: no upstream failed", "a mistake of the caller's takes a key out")
        return nothing_served(moment) if moment.name == "acquire" else None

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what came out of each call, and at the keys."""
        for operation in history.named("call"):
            if isinstance(operation.response, Answered) or getattr(operation.response, "kind", OWN) != OWN:
                yield broken(operation, "the caller's own error", "call hides an error of the caller's own")
        yield from self.disorder(history)


@final
class StatusDecides(_Calling):
    """The status decides, not digits or words in a message.

    Why: a slow answer that "took 4290 ms" is taken for a 429, and a good key is out (000-1).
    How it breaks: ``"429" in str(error)``.
    Fix: read the status of the response.
    """

    id = "FAIL16"
    level = "should"
    audits = ("000-1",)
    CONFORMING = ("call(model=m1) -> ok\nis_valid(key=key-1) -> True",)
    VIOLATING = ("is_valid(key=key-1) -> False",)

    def workloads(self) -> Iterator[Workload]:
        """Messages that name another status than the response has."""
        for name, line in (
            ("took", "500 took 4290 ms"),
            ("lines", "500 quota table has 401 lines"),
            ("words", "503 rate limit service unavailable, invalid api key cache"),
            ("asked", "400 model 429 is unknown, permission denied"),
            ("quota", "429 internal error 500"),
            ("auth", "401 quota 429 exceeded"),
        ):
            given = PAIR if line[:3] in ("429", "401") else ONE
            yield Workload(name=name, given=given, setup=(call(line, "ok"),), finale=self.after(given))
            if given is ONE:
                alone = (call(*(line,) * 2),)
                yield Workload(name=f"{name}-twice", given=PAIR, setup=alone, finale=self.after(PAIR))


@final
class OthersGoOn(_Calling):
    """A slow upstream does not stall calls that need none: no lock is held over I/O.

    Why: one request that takes its time stops every other one of the service (000-22).
    How it breaks: the wrapper holds the manager's lock until the upstream has answered.
    Fix: take the lock to choose and to report, and let it go between.
    """

    id = "LIVE05"
    audits = ("000-22",)
    overlap = True
    CONFORMING = ("| call(model=m1) -> ok after 3\n| acquire() -> key-1",)
    VIOLATING = ("| call(model=m1) -> ok after 3\n| acquire() -> key-1 after 3",)

    def workloads(self) -> Iterator[Workload]:
        """A slow call beside each operation that needs no upstream."""
        calls = (acquire("a"), next_key(), status(), usage("key-1"), is_valid("key-1"))
        for other in calls:
            if self.claims.operations.get(other.name) and not (other.name == "acquire" and self._waits()):
                yield Workload(name=other.name, given=TRIO, clients=((call("slow"),), (other,)))

    def _waits(self) -> bool:
        return self.policies.tenure == "lease"

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for a call that took as long as the upstream."""
        for operation in history.parallel():
            if operation.name in ("call", "send") or operation.until is None:
                continue
            if operation.until - operation.at >= SLOW - SLACK:
                yield broken(operation, "an answer at once", f"{operation.name} waits for a slow upstream")


@final
class HangsEnd(_Calling):
    """A hanging dependency ends in a typed time-out by the deadline; later calls work.

    Why: a connection that never answers holds its caller for ever, and a worker with it (004-6, 000-22).
    How it breaks: nothing limits the wait; the time-out leaves a lock or a lease behind.
    Fix: put a time-out around what waits for others, and give back what is held in ``finally``.
    """

    id = "LIVE06"
    audits = ("004-6", "000-22")
    ends = True
    awaited = True
    CONFORMING = (
        "call(model=m1) -> raises typed TimeoutError after 5\nacquire() -> key-1",
        "call(model=m1) -> ok after 4",
    )
    VIOLATING = (
        "call(model=m1) -> raises typed TimeoutError after 60",
        "call(model=m1) -> raises CancelledError after 5",
    )

    def workloads(self) -> Iterator[Workload]:
        """The upstream hangs at each attempt; then it answers again."""
        hang = ("hang",) * 9
        asked = () if self.policies.exhaustion == "blocks" else (acquire("z", optional=True),)
        yield Workload(name="hangs", given=TRIO, setup=(call(*hang), *asked, status()))
        yield Workload(name="recovers", given=TRIO, setup=(call(*hang), call("ok"), *asked))
        yield Workload(name="beside", given=TRIO, clients=((call(*hang),), (call("ok"),)), finale=asked)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at how long each call took, at how it ended, and at what comes after it."""
        for operation in history.named("call", "acquire", "status"):
            wrong = self._wrong(operation)
            if wrong is not None:
                yield broken(operation, *wrong)

    def _wrong(self, operation: Operation) -> tuple[str, str] | None:
        """Answer what was to be expected and what is wrong; None where nothing is."""
        within, asked = f"an end within {self.policies.deadline:g} s", operation.name == "call"
        if operation.pending or operation.until is None:
            return within, f"{operation.name} never ends"
        if asked and operation.until - operation.at > self.policies.deadline + SLACK:
            return within, "call passes its deadline"
        if operation.undeclared:
            return "a typed error, or an answer", f"{operation.name} ends in an accident once the upstream hangs"
        well = asked and operation.get("send") == ("ok",)
        if well and operation.value != "ok":
            return "the answer of the upstream", "call fails though the upstream is back"
        return ("a key", "nothing is served once the upstream has hung") if _empty(operation) else None


def _empty(operation: Operation) -> bool:
    return operation.name == "acquire" and isinstance(operation.response, Answered) and not operation.value
