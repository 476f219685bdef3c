"""UNK07 and UNK08: keys of no pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, accident, broken
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import (
    ENTRY_POINTS,
    FIRST,
    ONE,
    SECOND,
    asks,
    hurt,
    misstated,
    served_though,
    worn,
)
from pytest_keyconform.catalogue.steps import (
    POOLS,
    fail,
    failures,
    is_valid,
    next_key,
    random_key,
    reactivate,
    record,
    reset,
    step,
    tick,
    usage,
    views,
)
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

TRIO = Given()
STRANGER = "stranger-1"
CAUSES = ("struck", "barred", "marked")
HANDING = (*ENTRY_POINTS, "next_key", "fail")
COUNTERS = ("rpm", "tpm", "rpd")


def adopted(moment: Moment) -> Refusal | None:
    """Refuse that a key of no pool is handed out, listed, told valid, or counted."""
    if not isinstance(moment.operation.response, Answered):
        return None
    if moment.name in HANDING and moment.value == STRANGER:
        return moment.refusal("a key of a pool, or none", f"{moment.name} hands out a key of no pool")
    if moment.name in ("status", "all_keys", "state") and _names(moment.value, STRANGER):
        return moment.refusal(f"no {STRANGER}: it is in neither pool", f"{moment.name} lists a key of no pool")
    if moment.name == "usage" and moment.key == STRANGER and isinstance(moment.value, dict):
        counted = [name for name in COUNTERS if moment.value.get(name) not in (None, 0)]
        return moment.refusal("no usage", "a key of no pool is counted") if counted else None
    return None


def _names(value: object, label: str) -> bool:
    """Tell whether a plain value has a label in it, as a name or as a value."""
    if isinstance(value, dict):
        return any(_names(part, label) for pair in value.items() for part in pair)
    if isinstance(value, tuple | list):
        return any(_names(part, label) for part in value)
    return value == label


@final
class StrangerReported(Invariant):
    """A key in neither pool follows `unknown_key`: it is never served, listed or counted, and nothing else changes.

    Why: reports on a key arrive after it was removed; adopted, it is served again, and raised on, the caller's own
    failure handling fails (000-9).
    How it breaks: the report makes a row for any key it is told; a look-up raises KeyError; the report is charged to
    the first key, or to all.
    Fix: look whether the key is in the pool first; `record` answers False, `fail` answers another key.
    """

    id = "UNK07"
    audits = ("000-9",)
    requires = ("record|fail",)
    applies: ClassVar = {"tenure": ("rotation",)}  # under leases nobody can report on a key that was not taken
    CONFORMING = (
        (
            "record(lease=stranger-1, tokens=5) -> False\nfail(lease=stranger-1, status=500) -> key-1\n"
            'status() -> {"valid_keys": {"key-1": 0, "key-2": 0, "key-3": 0}, "invalid_keys": {}}'
        ),
        'fail(lease=stranger-1, status=500) -> ""',
        (
            "policy unknown_key=typed-error\nrecord(lease=stranger-1) -> raises typed UnknownKey\n"
            "fail(lease=stranger-1) -> raises typed UnknownKey\nusage(key=stranger-1) -> raises typed UnknownKey"
        ),
        (
            "policy exhaustion=typed-error\ngiven regular=key-1\nfail(lease=key-1, status=401) -> raises typed NoKey\n"
            "fail(lease=stranger-1) -> raises typed NoKey"
        ),
    )
    VIOLATING = (
        "record(lease=stranger-1, tokens=5) -> True",
        "record(lease=stranger-1, tokens=5) -> raises typed UnknownKey",
        "fail(lease=stranger-1, status=500) -> raises KeyError",
        "fail(lease=stranger-1, status=500) -> raises typed UnknownKey",
        "policy unknown_key=typed-error\nrecord(lease=stranger-1) -> raises KeyError",
        "fail(lease=stranger-1, status=500) -> stranger-1",
        "fail(lease=stranger-1, status=500) -> key-1\nacquire() -> stranger-1",
        (
            "record(lease=stranger-1) -> False\n"
            'status() -> {"valid_keys": {"key-1": 0, "key-2": 0, "key-3": 0, "stranger-1": 0}, "invalid_keys": {}}'
        ),
        "fail(lease=stranger-1, status=500) -> key-1\nfailures(key=key-2) -> 1",
        'record(lease=stranger-1, tokens=5) -> False\nusage(key=key-1) -> {"rpm": 1}',
        'given regular=key-1\nfail(lease=stranger-1, status=401) -> key-1\nacquire() -> ""',
        "given regular=key-1,key-2\nfail(lease=key-1, status=401) -> key-2\nfail(lease=stranger-1) -> key-1",
        'record(lease=stranger-1, tokens=5) -> False\nusage(key=stranger-1) -> {"rpm": 1}',
    )

    def workloads(self) -> Iterator[Workload]:
        """Every report on it, in both pools; then every view, the usage of all, and every way to be handed a key."""
        for pool in POOLS:
            reports = [("record", record(STRANGER, pool=pool, tokens=5))]
            reports += [
                (f"record-{out}", record(STRANGER, pool=pool, tokens=0, outcome=out)) for out in ("quota", "auth")
            ]
            reports += [(f"fail-{code}", fail(STRANGER, pool=pool, status=code)) for code in (None, 500, 429, 401, 400)]
            for name, report in reports:
                for shape, given in (("many", TRIO), ("alone", ONE), ("strict", worn(1, keys=1))):
                    seen = self._seen(given, pool)
                    yield Workload(name=f"{pool}-{name}-{shape}", given=given, setup=(report, *seen))
            spared = (*hurt(self, FIRST[pool], status=401, pool=pool), fail(STRANGER, pool=pool, status=500))
            yield Workload(name=f"{pool}-spared", given=TRIO, setup=(*spared, *self._seen(TRIO, pool)))
            out = (*hurt(self, FIRST[pool], status=401, pool=pool), fail(STRANGER, pool=pool, status=None))
            yield Workload(name=f"{pool}-exhausted", given=ONE, setup=out)

    def _seen(self, given: Given, pool: str) -> tuple[Step, ...]:
        keys = given.keys(pool)
        read = [usage(key, pool=pool) for key in (*keys, STRANGER)]
        handed = [next_key(pool=pool)] * (len(keys) + 1) + [random_key()] * (4 if pool == "regular" else 0)
        served = asks(self, keys=len(keys) + 1, pool=pool)
        every = (
            *views(given, pool=pool),
            step("state"),
            *read,
            tick(),
            *served,
            *handed,
        )
        return optional(*every)

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge what calls about the stranger raise, then the answers."""
        for operation in history.operations:
            named = STRANGER in (operation.get("lease"), operation.get("key"))
            if named and operation.name in ("record", "usage") and accident(operation, self.policies):
                expected = "an error that the backend declares" if self._typed else "no error"
                yield broken(operation, expected, f"{operation.name} of a key of no pool raises")
        yield from self.disorder(history)

    @property
    def _typed(self) -> bool:
        return self.policies.unknown_key == "typed-error"

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse that the stranger is adopted, that its report is taken, and any change."""
        reported = moment.name in ("record", "fail") and moment.key == STRANGER
        own = (self._recorded(moment) if moment.name == "record" else self._failed(moment)) if reported else None
        return adopted(moment) or own or self._changed(moment)

    def _recorded(self, moment: Moment) -> Refusal | None:
        wrong = moment.answered and moment.value is not False
        return moment.refusal("False", "record of a key of no pool does not answer False") if wrong else None

    def _failed(self, moment: Moment) -> Refusal | None:
        response = moment.operation.response
        servable = moment.servable()
        usable = [key for key, truth in servable.items() if truth is Tri.YES]
        if isinstance(response, Raised):
            lawful = response.typed and (self._typed or not usable)
            return None if lawful else moment.refusal("a usable key or the sentinel", "fail of a key of no pool raises")
        if not moment.answered or moment.value in ("", None):
            return None
        fallback = self.policies.exhaustion == "fallback" and not usable and moment.value in servable
        lawful = fallback or servable.get(moment.value, Tri.NO) is not Tri.NO
        word = "fail of a key of no pool answers an unusable one"
        return None if lawful else moment.refusal("a usable key or the sentinel", word)

    def _changed(self, moment: Moment) -> Refusal | None:
        if moment.name in ENTRY_POINTS:
            return served_though(moment, *CAUSES) or nothing_served(moment)
        return misstated(moment) or wrong_usage(moment)


@final
class StrangerRestored(Invariant):
    """Reset, reactivate, is_valid and fail count of an unknown key answer False/0 and change nothing.

    Why: the scheduled check works through a list that may be older than the pool (000-14).
    How it breaks: a look-up raises KeyError; an unknown key counts as valid, because it has no failures; the reset
    makes a row for it, or restores every key.
    Fix: look whether the key is in the pool, and answer False or 0 if it is not.
    """

    id = "UNK08"
    audits = ("000-14",)
    requires = ("reset|reactivate|is_valid|failures",)
    subject = ("reset", "reactivate", "is_valid", "failures")
    CONFORMING = (
        (
            "reset(key=stranger-1) -> False\nreactivate(key=stranger-1) -> False\nis_valid(key=stranger-1) -> False\n"
            "failures(key=stranger-1) -> 0"
        ),
        (
            "policy unknown_key=typed-error\nreset(key=stranger-1) -> raises typed UnknownKey\n"
            "is_valid(key=stranger-1) -> False"
        ),
    )
    VIOLATING = (
        "reset(key=stranger-1) -> True",
        "reactivate(key=stranger-1) -> None",
        "is_valid(key=stranger-1) -> True",
        "failures(key=stranger-1) -> -1",
        "failures(key=stranger-1) -> None",
        "reset(key=stranger-1) -> raises KeyError",
        "is_valid(key=stranger-1) -> raises typed UnknownKey",
        "fail(lease=key-1, status=401) -> key-2\nreset(key=stranger-1) -> False\nis_valid(key=key-1) -> True",
        "fail(lease=key-1, status=401) -> key-2\nreactivate(key=stranger-1) -> False\nacquire() -> key-1",
        (
            "reset(key=stranger-1) -> False\n"
            'status() -> {"valid_keys": {"key-1": 0, "key-2": 0, "key-3": 0, "stranger-1": 0}, "invalid_keys": {}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each of the calls, once and again, on a sound pool and on one with keys out; then every view and service."""
        for pool in POOLS:
            for name, call in (
                ("reset", reset(STRANGER, pool=pool)),
                ("reactivate", reactivate(STRANGER)),
                ("reactivate-model", reactivate(STRANGER, model=DEFAULT_MODEL)),
                ("is_valid", is_valid(STRANGER, pool=pool, optional=False)),
                ("failures", failures(STRANGER, pool=pool, optional=False)),
            ):
                seen = self._seen(pool)
                yield Workload(name=f"{pool}-{name}", given=TRIO, setup=(call, call))
                yield Workload(name=f"{pool}-{name}-seen", given=TRIO, setup=(call, *seen))
                hurts = (*hurt(self, FIRST[pool], status=401, pool=pool), *hurt(self, SECOND[pool], pool=pool))
                yield Workload(name=f"{pool}-{name}-out", given=TRIO, setup=(*hurts, call, *seen))
                marked = hurt(self, FIRST[pool], status=429, pool=pool)
                yield Workload(name=f"{pool}-{name}-marked", given=TRIO, setup=(*marked, call, *seen))

    def _seen(self, pool: str) -> tuple[Step, ...]:
        served = asks(self, keys=len(TRIO.keys(pool)), pool=pool)
        return optional(*views(TRIO, pool=pool), step("state"), *served)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse another answer than False or 0, and any change."""
        if moment.name in self.subject and moment.key == STRANGER:
            return self._answer(moment)
        if moment.name in ENTRY_POINTS:
            return adopted(moment) or served_though(moment, *CAUSES) or nothing_served(moment)
        return adopted(moment) or misstated(moment)

    def _answer(self, moment: Moment) -> Refusal | None:
        right = 0 if moment.name == "failures" else False
        same = isinstance(moment.value, int) and moment.value == right
        if not moment.answered or same:
            return None
        return moment.refusal(repr(right), f"{moment.name} of a key of no pool does not answer {right!r}")
