"""What several rules ask of the views: a usage that adds up, and readings that nothing has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.model.names import known
from pytest_keyconform.model.state import Bounds
from pytest_keyconform.model.windows import SLACK
from pytest_keyconform.operation import Answered, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_keyconform.catalogue.invariant import Moment, Refusal
    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Invocation, Operation

COUNTERS = ("rpm", "tpm", "rpd")
READS = ("usage", "failures", "is_valid", "status", "all_keys", "state")


def wrong_usage(moment: Moment) -> Refusal | None:
    """Refuse a usage that the records before it do not add up to; counters that are not answered are not judged."""
    if moment.name != "usage" or not moment.answered or not _countable(moment):
        return None
    value = moment.value
    expected = used(moment)
    if value is None:
        wrong = [name for name, bounds in expected.items() if bounds.low > 0]
    elif isinstance(value, dict):
        wrong = [name for name, bounds in expected.items() if _number(value.get(name)) and value[name] not in bounds]
    else:
        return None
    if not wrong:
        return None
    told = ", ".join(f"{name} {expected[name]}" for name in wrong)
    counters = [name for name in COUNTERS if name in (value or wrong)]
    gives = ", ".join(f"{name}: {expected[name]}" for name in counters)
    signature = f"usage answers a wrong {' and '.join(wrong)}"
    return moment.refusal(f"{told}: what was recorded", signature, gives=f"{{{gives}}}")


def used(moment: Moment) -> dict[str, Bounds]:
    """Answer the bounds of what is counted for the key and the model, at the call and at the return.

    A usage that knows no model may be of the default one or of all.
    """
    operation, pool, key = moment.operation, moment.pool, moment.key
    cells = [moment.cell]
    if not moment.oracle.claims.takes("usage", "model", pool=pool):
        cells += [cell for cell in moment.state.spent if cell[:2] == (pool, key) and cell != moment.cell]
    times = {operation.at, operation.at if operation.until is None else operation.until}
    own = [moment.oracle.used(moment.state, cells[0], now) for now in times]
    others = [moment.oracle.used(moment.state, cell, operation.at) for cell in cells[1:]]
    return {name: _bounds([one[name] for one in own], [one[name] for one in others]) for name in COUNTERS}


def _bounds(own: list[Bounds], others: list[Bounds]) -> Bounds:
    return Bounds(min(one.low for one in own), max(one.high for one in own) + sum(one.high for one in others))


def _countable(moment: Moment) -> bool:
    oracle, state = moment.oracle, moment.state
    policies, claims = oracle.policies, oracle.claims
    named = policies.unknown_model != "reject" or known(moment.model, oracle.given, policies)
    mixed = len(state.pools_of(moment.key)) > 1 and not claims.takes("usage", "pool", pool=moment.pool)
    return policies.counted_on != "none" and state.knows(moment.pool, moment.key) and named and not mixed


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def changed(
    history: History, quiet: Callable[[Operation], bool], *, within: float = SLACK
) -> Iterator[tuple[Operation, Operation]]:
    """Yield each reading that tells something else than the one before it, with nothing but quiet calls between them.

    ``within`` are the seconds in which time changes nothing of what they tell: both lie in its first ones, or no
    second apart.
    """
    seen: dict[Invocation, Operation] = {}
    for operation in history.operations if history.sequential else ():
        if operation.name in READS:
            before = seen.get(operation.invocation)
            if before is not None and _near(before, operation, within) and _told(before) != _told(operation):
                yield before, operation
            seen[operation.invocation] = operation
        elif not quiet(operation):
            seen.clear()


def _near(before: Operation, after: Operation, within: float) -> bool:
    return after.at < within or after.at - before.at < SLACK


def difference(before: Operation) -> str:
    """Say what was expected of a reading that should have told the same as the one before."""
    return f"{shown(before.value)}, as before: nothing was to change"


def _told(operation: Operation) -> object:
    """Answer what a reading tells, without what may be there or not, or depend on the clock."""
    value = operation.value
    if not isinstance(operation.response, Answered):
        return None
    if operation.name == "usage":
        counters = value if isinstance(value, dict) else {}
        return {name: counters[name] for name in COUNTERS if counters.get(name)}
    if operation.name == "state":
        return (value.get("summary"), _counts(value.get("models"))) if isinstance(value, dict) else None
    return value


def _counts(value: object) -> object:
    """Answer what is counted anywhere in a state, by its place in it; rows without a count are left out."""
    if isinstance(value, dict):
        inside = {name: told for name, part in value.items() if (told := _counts(part))}
        return {**inside, **{name: value[name] for name in COUNTERS if _number(value.get(name)) and value[name]}}
    if isinstance(value, list | tuple):
        return sorted((told for part in value if (told := _counts(part))), key=repr)
    return None
