"""FMT, continued: answers are copies, and of the declared type in every state."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.calls import every, optional, reads
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal, accident, broken
from pytest_keyconform.catalogue.provoking import depletions, failing, told
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.steps import POOLS, advance, record, status, step, views
from pytest_keyconform.operation import Answered, Opaque, shown
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation

TRIO = Given()
VIEWS = ("status", "all_keys", "usage", "state", "failures", "is_valid")
STRINGS = ("acquire", "next_key", "random_key", "fail")
BOOLS = ("record", "reset", "reactivate", "is_valid", "health")
DICTS = ("status", "all_keys", "state")
COUNTERS = ("rpm", "tpm", "rpd")


@final
class AnswersAreCopies(Invariant):
    """Answers are copies: changing one changes nothing inside.

    Why: a page that sorts out or blanks what it was answered would otherwise take keys from the pool (002-C2).
    How it breaks: the dict that is answered is the one that is kept, or holds lists and rows that are.
    Fix: build each answer anew, down to the innermost dict and list.
    """

    id = "FMT06"
    audits = ("002-C2",)
    requires = ("status|all_keys|usage|state",)
    unhindered = True
    CONFORMING = (
        (
            'given regular=key-1\nstatus() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}\n'
            'status(mutate=True) -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}\n'
            'status() -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}\nacquire() -> key-1'
        ),
        (
            'given regular=key-1\nstatus(mutate=True) -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}\n'
            'fail(lease=key-1, status=401) -> ""\n'
            'status() -> {"valid_keys": {}, "invalid_keys": {"key-1": 3}}\nacquire() -> ""'
        ),
        'usage(key=key-1, mutate=True) -> {"rpm": 0}\nusage(key=key-1) -> {"rpm": 0}\nusage(key=key-2) -> {}',
        'acquire() -> ""\nall_keys(mutate=True) -> {}\nacquire() -> ""',
    )
    VIOLATING = (
        (
            'given regular=key-1\nstatus(mutate=True) -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}\n'
            'status() -> {"valid_keys": {}, "invalid_keys": {}}'
        ),
        (
            "given regular=key-1\nis_valid(key=key-1) -> True\n"
            'all_keys(mutate=True) -> {"valid_keys": {"key-1": 0}}\nis_valid(key=key-1) -> raises KeyError'
        ),
        'acquire() -> key-1\nstatus(mutate=True) -> {"valid_keys": {"key-1": 0}, "invalid_keys": {}}\nacquire() -> ""',
        'state(mutate=True) -> {"models": {"m1": {"regular_keys": {}}}}\nstate() -> {"models": {}}',
        (
            "record(lease=key-1, model=m1, tokens=5) -> True\n"
            'usage(key=key-1, model=m1, mutate=True) -> {"rpm": 1, "tpm": 5}\n'
            'usage(key=key-1, model=m1) -> {"rpm": 0, "tpm": 0}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Every view read and emptied, on a used pool; then every view and acquire again."""
        used = optional(*told(self, record("key-1", tokens=5)), *told(self, failing(self, status=None)("key-2")))
        looks = tuple(dict.fromkeys((*reads("key-1"), *(s for pool in POOLS for s in views(TRIO, pool=pool)))))
        own = [look for look in looks if look.invocation.get("pool") != "vertex"]
        emptied = {look.name: look for look in own if look.name in ("status", "all_keys", "usage", "state")}
        emptied["vertex"] = status(pool="vertex")
        for name, look in emptied.items():
            mutated = step(look.name, **dict(look.invocation.arguments), mutate=True)
            setup = (*used, *self.taking("a"), *looks, mutated, *looks)
            again = optional(*told(self, failing(self, status=None)("key-2")))
            yield Workload(name=name, given=TRIO, setup=setup, finale=(*self.taking("b"), *again))

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare what is told, served and raised after an answer was emptied with what was before."""
        seen: dict[tuple[object, ...], Operation] = {}
        emptied = refused = False
        for moment in self.moments(history) if history.sequential else ():
            operation = moment.operation
            if emptied:
                yield from self._changed(moment, seen, refused=refused)
            if operation.name not in VIEWS:
                refused |= self._misserved(moment) is not None
                seen = {call: before for call, before in seen.items() if before.name not in VIEWS}
            if isinstance(operation.response, Answered):
                seen.setdefault(_call(operation), operation)
                emptied |= bool(operation.get("mutate"))

    def _changed(
        self, moment: Moment, seen: dict[tuple[object, ...], Operation], *, refused: bool
    ) -> Iterator[Violation]:
        operation = moment.operation
        before = seen.get(_call(operation))
        if before is not None and accident(operation, self.policies):
            yield broken(operation, "an answer, as before", f"{operation.name} raises after an answer was changed")
        elif before is not None and operation.name in VIEWS and self._told(before) != self._told(operation):
            expected = f"{shown(before.value)}, as before"
            yield broken(operation, expected, f"{operation.name} changes after an answer was changed")
        refusal = None if refused else self._misserved(moment)
        if refusal is not None:
            yield broken(operation, refusal.expected, "acquire goes wrong after an answer was changed")

    def _misserved(self, moment: Moment) -> Refusal | None:
        if moment.name != "acquire":
            return None
        return nothing_served(moment) or unusable_served(moment)

    def _told(self, operation: Operation) -> object:
        """Answer what has to stay: all of it, but of what may follow the clock the shape alone."""
        drains = operation.name == "usage" and self.policies.minute_window == "bucket"
        moves = drains or operation.name == "state"
        value = operation.value if isinstance(operation.response, Answered) else operation.response
        return _shape(value) if moves else value


def _call(operation: Operation) -> tuple[object, ...]:
    """Answer what tells a call from another one, whether its answer was changed or not."""
    return operation.name, *(pair for pair in operation.invocation.arguments if pair[0] != "mutate")


def _shape(value: object) -> object:
    match value:
        case dict():
            return {name: _shape(item) for name, item in value.items()}
        case tuple():
            return sorted((_shape(item) for item in value), key=repr)
        case _:
            return None


@final
class DeclaredTypes(Invariant):
    """Every operation answers its declared type in every state: no None for a str, no coroutine, no NaN.

    Why: a None that is put into a header, or a coroutine that is taken for a yes, fails far from its cause
    (002-C2, 004-3, 000-4).
    How it breaks: a branch returns nothing; an ``await`` is missing; a rate is nought divided by nought.
    Fix: annotate every operation and let a type checker hold it; answer in every branch.
    """

    id = "FMT08"
    audits = ("002-C2", "004-3", "000-4")
    requires = ("acquire|next_key|random_key|record|fail|usage|status",)
    subject = (*STRINGS, *BOOLS, *DICTS, "failures", "usage", "paid_key", "reset_all", "reset_usage", "tick")
    general = True
    unhindered = True
    CONFORMING = (
        (
            'acquire() -> key-1\nfail(lease=key-1, status=401) -> ""\nrecord(lease=key-1) -> True\n'
            "failures(key=key-1) -> 3\n"
            'usage(key=key-1) -> {"rpm": 1, "tpm": 2.5}\nusage(key=stranger-1) -> None\nis_valid(key=key-1) -> False'
        ),
        "policy sentinel=None\nacquire() -> None",
        "policy unknown_key=typed-error\nreset(key=stranger-1) -> raises typed UnknownKey",
        "reset_all()\nreset_usage() -> 7",
        "close()\nusage(key=key-1) -> raises RuntimeError",
    )
    VIOLATING = (
        "acquire() -> None",
        "random_key() -> <coroutine>",
        "record(lease=key-1) -> None",
        "record(lease=key-1) -> 1",
        "failures(key=key-1) -> True",
        "is_valid(key=key-1) -> None",
        'usage(key=key-1) -> {"rpm": True}',
        "status() -> []",
        "reset_all() -> <coroutine>",
        "failures(key=key-1) -> raises KeyError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Every operation on a fresh pool, a used, an exhausted and an empty one, and about names nobody knows."""
        strangers = (("model", every(self, "key-1", model="unheard-of")), ("stranger", every(self, "stranger-1")))
        fresh = replace(TRIO, paid_key="paid-1")
        yield Workload(name="fresh", given=fresh, setup=every(self, "key-1"))
        yield Workload(name="vertex", given=TRIO, setup=every(self, "vertex-1", pool="vertex"))
        for name, calls in strangers:
            yield Workload(name=name, given=TRIO, setup=calls)
        for pool in POOLS:
            for way in depletions(self, pool):
                key = way.given.keys(pool)[0]
                after = every(self, key, pool=pool)
                yield Workload(name=f"{pool}-{way.name}", given=way.given, setup=way.steps, finale=after)
        yield from self._empty()
        used = optional(*told(self, record("key-1", tokens=5)), *told(self, failing(self, status=None)("key-2")))
        for name, seconds in (("minute", 61), ("day", 86_400)):
            setup = (*used, advance(seconds))
            yield Workload(name=name, given=TRIO, setup=setup, finale=every(self, "key-1"))

    def _empty(self) -> Iterator[Workload]:
        if self.policies.empty_pools == "warn":
            for name, given in (("regular", replace(TRIO, regular=())), ("vertex", replace(TRIO, vertex=()))):
                pool = name
                yield Workload(name=f"{name}-empty", given=given, setup=every(self, "stranger-1", pool=pool))
            yield Workload(name="empty", given=replace(TRIO, regular=(), vertex=()), setup=every(self, "stranger-1"))

    def accidents(self, history: History) -> Iterator[Violation]:
        """Look at what was called while the manager was open."""
        yield from super().accidents(replace(history, operations=tuple(_open(history))))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an answer of another type, and one with a coroutine or a NaN in it."""
        if not moment.answered:
            return None
        expected = self._expected(moment)
        if expected is None and not any(map(_impossible, _parts(moment.value))):
            return None
        kind = moment.value.type_name if isinstance(moment.value, Opaque) else type(moment.value).__name__
        signature = f"{moment.name} answers {'a NaN or a coroutine inside' if expected is None else kind}"
        return moment.refusal(expected or "no coroutine and no NaN", signature)

    def _expected(self, moment: Moment) -> str | None:
        """Answer the declared type of an answer that is not of it."""
        name, value = moment.name, moment.value
        if name in STRINGS:
            lawful = isinstance(value, str) or (value is None and self.policies.sentinel is None)
            return None if lawful else "a str"
        if name in BOOLS:
            return None if isinstance(value, bool) else "a bool"
        if name == "failures":
            return None if type(value) is int else "an int"
        if name in DICTS:
            return None if isinstance(value, dict) else "a dict"
        return self._expected_of_others(moment)

    def _expected_of_others(self, moment: Moment) -> str | None:
        given, value = self.claims.given, moment.value
        if moment.name == "usage" and value is not None:
            return None if _countable(value) else "None, or a dict of numbers"
        if moment.name == "paid_key" and moment.oracle.given.paid_key and (given is None or "paid_key" in given):
            return None if isinstance(value, str) else "a str"
        return None


def _countable(usage: object) -> bool:
    if not isinstance(usage, dict):
        return False
    counted = [usage[name] for name in COUNTERS if usage.get(name) is not None]
    return all(isinstance(one, int | float) and not isinstance(one, bool) for one in counted)


def _open(history: History) -> Iterator[Operation]:
    for operation in history.operations:
        if operation.name == "close":
            return
        yield operation


def _parts(value: object) -> Iterator[object]:
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, tuple | list) else ()
    for item in inside:
        yield from _parts(item)


AWAITED: Final = ("coroutine", "Future", "Task")


def _impossible(value: object) -> bool:
    if isinstance(value, Opaque):
        return value.type_name in AWAITED
    return isinstance(value, float) and math.isnan(value)
