"""Whether what a scenario expects holds in a history. Pure: a history in, violations out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_keyconform.catalogue.invariant import answer
from pytest_keyconform.history import NoiseKind
from pytest_keyconform.operation import Answered, Operation, Raised, Skipped, shown
from pytest_keyconform.verdict import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.spec.scenario import Expectation, StateOf, UsageIs

SLACK = 0.01  # seconds that the calls themselves take
FORWARDING = ("call", "send", "stream", "request")  # let an error of an upstream, or of the caller's code, through
COUNTERS = ("rpm", "tpm", "rpd")


@dataclass(frozen=True, slots=True)
class Seen:
    """A history, with its answers by the names that the scenario gave them, and what was read for each expectation."""

    history: History
    policies: Policies
    claims: Claims
    names: Mapping[str, tuple[str, ...]]
    reads: Mapping[int, tuple[str, ...]]

    def named(self, name: str) -> Iterator[Operation]:
        """Yield the calls of a name that came back with what may be judged."""
        for bind in self.names.get(name, ()):
            yield from self._bound(bind)

    def read(self, number: int) -> Iterator[Operation]:
        """Yield what was read for an expectation."""
        for bind in self.reads.get(number, ()):
            yield from self._bound(bind)

    def _bound(self, bind: str) -> Iterator[Operation]:
        for operation in self.history.operations:
            if operation.bind == bind and self._is_judged(operation):
                yield operation

    def _is_judged(self, operation: Operation) -> bool:
        """Tell whether an answer was promised, and came; what raised came as well."""
        known = operation.name in self.claims.operations
        pool = str(operation.get("pool", "regular"))
        promised = not known or self.claims.answers(operation.name, pool) or isinstance(operation.response, Raised)
        return promised and operation.response is not None and not isinstance(operation.response, Skipped)

    def keys(self, pool: object) -> tuple[str, ...]:
        """Answer the keys that a pool was opened with."""
        return self.history.given.keys(str(pool))


def broken(expectation: Expectation, number: int, seen: Seen) -> Iterator[Violation]:
    """Yield why an expectation does not hold; `keeps` is not this module's."""
    kind = expectation.kind
    check = CHECKS.get(kind)
    if check is not None:
        yield from check(getattr(expectation, kind), seen, number)


def _violation(kind: str, operation: Operation, expected: str) -> Violation:
    return Violation(
        observed=f"{_told_name(operation)}{operation.invocation} {answer(operation)}",
        expected=expected,
        signature=f"{kind}: {operation.name}",
        operation=operation,
    )


def _told_name(operation: Operation) -> str:
    bind = operation.bind
    return f"{bind} = " if bind and not bind.startswith("then_") else ""


def is_value(operation: Operation, wanted: object, seen: Seen) -> bool:
    """Tell whether a call answered this; `nothing` and `sentinel` stand for what the policies say."""
    match wanted:
        case "nothing":
            return _is_nothing(operation, seen)
        case "sentinel":
            return isinstance(operation.response, Answered) and operation.value == seen.policies.sentinel
        case _:
            return isinstance(operation.response, Answered) and same(operation.value, wanted)


def same(one: object, other: object) -> bool:
    """Tell whether two plain values are equal; a bool is no number, and a list is a tuple."""
    match one, other:
        case dict(), dict():
            return set(one) == set(other) and all(same(one[name], other[name]) for name in one)
        case ((tuple() | list()), (tuple() | list())):
            return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
        case _:
            return isinstance(one, bool) is isinstance(other, bool) and one == other


def _is_nothing(operation: Operation, seen: Seen) -> bool:
    """Tell whether this is what an acquire answers when nothing is usable (catalogue: *exhaustion*)."""
    value, response = operation.value, operation.response
    sentinel = isinstance(response, Answered) and value == seen.policies.sentinel
    typed = isinstance(response, Raised) and response.typed
    keys = seen.keys(operation.get("pool", "regular"))
    match seen.policies.exhaustion:
        case "sentinel":
            return sentinel
        case "fallback":
            return value in keys if keys else sentinel or typed
        case "typed-error":
            return typed
        case "blocks":
            return sentinel or typed


def _equals(wanted: Mapping[str, Any], seen: Seen, _number: int) -> Iterator[Violation]:
    for name, value in wanted.items():
        for operation in seen.named(name):
            if not is_value(operation, value, seen):
                yield _violation("equals", operation, f"{name} is {_told(value, seen)}")


def _told(value: object, seen: Seen) -> str:
    if value == "nothing":
        return f"what the policy exhaustion says ({seen.policies.exhaustion})"
    return shown(seen.policies.sentinel if value == "sentinel" else value)


def _one_of(wanted: Mapping[str, list[Any]], seen: Seen, _number: int) -> Iterator[Violation]:
    for name, values in wanted.items():
        for operation in seen.named(name):
            if not any(is_value(operation, value, seen) for value in values):
                yield _violation("one of", operation, f"{name} is one of {shown(values)}")


def _not_in(wanted: Mapping[str, list[Any]], seen: Seen, _number: int) -> Iterator[Violation]:
    for name, values in wanted.items():
        for operation in seen.named(name):
            if any(is_value(operation, value, seen) for value in values):
                yield _violation("not in", operation, f"{name} is none of {shown(values)}")


def _distinct(names: tuple[str, ...], seen: Seen, _number: int) -> Iterator[Violation]:
    before: dict[object, Operation] = {}
    told = ", ".join(names)
    for operation in (operation for name in names for operation in seen.named(name)):
        value = operation.value
        if not isinstance(value, str) or not value:
            yield _violation("distinct", operation, f"{told} are keys, no two of them the same")
        elif value in before:
            first = before[value]
            yield Violation(
                observed=f"{first.bind} and {operation.bind} are both {shown(value)}",
                expected=f"{told} are keys, no two of them the same",
                signature=f"distinct: {operation.name}",
                operation=operation,
            )
        else:
            before[value] = operation


def _permutation_of(wanted: Any, seen: Seen, _number: int) -> Iterator[Violation]:  # noqa: ANN401 - a `Permutation`
    operations = [operation for name in wanted.answers for operation in seen.named(name)]
    values = [operation.value for operation in operations]
    if operations and sorted(map(str, values)) != sorted(wanted.keys):
        yield Violation(
            observed=f"{', '.join(wanted.answers)} are {shown(values)}",
            expected=f"they are {shown(wanted.keys)}, each once, in any order",
            signature=f"permutation: {operations[0].name}",
            operation=operations[-1],
        )


def _in_pool(wanted: Mapping[str, str], seen: Seen, _number: int) -> Iterator[Violation]:
    for name, pool in wanted.items():
        for operation in seen.named(name):
            if operation.value not in seen.keys(pool):
                yield _violation("in pool", operation, f"{name} is a key of the {pool} pool")


def _usage(wanted: UsageIs, seen: Seen, number: int) -> Iterator[Violation]:
    for operation in seen.read(number):
        found = operation.value if operation.value is not None else {}
        for counter in COUNTERS:
            value = getattr(wanted, counter)
            if value is None:
                continue
            counted = found.get(counter, 0 if not found else None) if isinstance(found, dict) else found
            if counted is not None and not same(counted, value):
                yield _violation("usage", operation, f"{counter} of {wanted.key} is {value}")


def _state_of(wanted: StateOf, seen: Seen, number: int) -> Iterator[Violation]:
    for operation in seen.read(number):
        for observed, expected in _views(wanted, operation, seen):
            if not same(observed, expected):
                word = {True: "valid", False: "not valid"}.get(expected) if isinstance(expected, bool) else None
                told = word or f"at {shown(expected)} failures"
                yield _violation("state of", operation, f"{wanted.key} is {told}")


def _views(wanted: StateOf, operation: Operation, seen: Seen) -> Iterator[tuple[object, object]]:
    """Yield what a view says beside what was expected; counts are not judged where the policies leave them."""
    value = operation.value
    counted = wanted.failures is not None and seen.policies.failures == "threshold"
    match operation.name, value:
        case "status", {"valid_keys": dict() as valid, "invalid_keys": dict() as invalid}:
            if wanted.valid is not None:
                yield wanted.key in (valid if wanted.valid else invalid), True
            if counted:
                yield (valid | invalid).get(wanted.key), wanted.failures
        case "is_valid", _ if wanted.valid is not None:
            yield value, wanted.valid
        case "failures", _ if counted:
            yield value, wanted.failures
        case "status", _:
            yield value, "a status"


def _raises(wanted: str | Mapping[str, str], seen: Seen, _number: int) -> Iterator[Violation]:
    if isinstance(wanted, str):
        pairs = [(operation, wanted) for operation in seen.history.operations if operation.name not in FORWARDING]
    else:
        pairs = [(operation, how) for name, how in wanted.items() for operation in seen.named(name)]
    for operation, how in pairs:
        response = operation.response
        if isinstance(response, Raised) and (how == "never" or not response.typed):
            allowed = "an answer, and no error" if how == "never" else "an answer, or an error the backend declares"
            yield _violation("raises", operation, allowed)


def _within(wanted: Mapping[str, float], seen: Seen, _number: int) -> Iterator[Violation]:
    for name, seconds in wanted.items():
        for operation in seen.named(name):
            if operation.until is not None and operation.until - operation.at > seconds + SLACK:
                took = operation.until - operation.at
                yield Violation(
                    observed=f"{name} = {operation.invocation} took {took:g} s",
                    expected=f"at most {seconds:g} s",
                    signature=f"within: {operation.name}",
                    operation=operation,
                )


def _unchanged_since(wanted: Mapping[str, str], seen: Seen, _number: int) -> Iterator[Violation]:
    for name, earlier in wanted.items():
        before = next(seen.named(earlier), None)
        for operation in seen.named(name):
            if before is not None and not same(operation.value, before.value):
                yield _violation("unchanged since", operation, f"as {earlier} was: {shown(before.value)}")


def _log_free_of_keys(_wanted: object, seen: Seen, _number: int) -> Iterator[Violation]:
    for noise in seen.history.noise:
        if noise.kind is NoiseKind.LOGGED:
            expected = "no whole key in a log or in output"
            yield Violation(observed=str(noise), expected=expected, signature="log of a key")


CHECKS: Mapping[str, Callable[[Any, Seen, int], Iterator[Violation]]] = {
    "equals": _equals,
    "one_of": _one_of,
    "not_in": _not_in,
    "distinct": _distinct,
    "permutation_of": _permutation_of,
    "in_pool": _in_pool,
    "usage": _usage,
    "state_of": _state_of,
    "raises": _raises,
    "within": _within,
    "unchanged_since": _unchanged_since,
    "log_free_of_keys": _log_free_of_keys,
}
