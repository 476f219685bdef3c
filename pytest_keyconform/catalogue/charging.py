"""Which pool a report is charged to, as every view and every acquire show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.reading import COUNTERS, used
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served, validity
from pytest_keyconform.model.state import Tri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.invariant import Moment, Refusal
    from pytest_keyconform.model.state import Bounds
    from pytest_keyconform.operation import Claims

OF_A_KEY = frozenset({"key", "lease"})


def names_its_pool(claims: Claims, name: str, pool: str, form: object = None) -> bool:
    """Tell whether a form says which pool it means: by an argument, or by being one of a pair.

    ``get_key`` takes the pool; ``get_keys_by_status`` has a vertex counterpart. A form that is about a key says it by
    its argument or by being the vertex counterpart: the other one may look the key up in both pools.
    """
    forms = claims.forms(name, pool)
    own = next((one for one in forms if form in (None, one.name)), None)
    if own is None or "pool" in own.parameters or own.pools == {"vertex"}:
        return own is not None
    paired = any("regular" not in one.pools for one in claims.forms(name, "vertex"))
    return paired and not own.parameters & OF_A_KEY


def mischarged(moment: Moment) -> Refusal | None:
    """Refuse an answer that shows a charge that was not made to this pool, or misses one that was."""
    claims = moment.oracle.claims
    shared = any(len(moment.state.pools_of(key)) > 1 for key in _about(moment))
    if shared and not names_its_pool(claims, moment.name, moment.pool, moment.operation.get("form")):
        return None
    if moment.name == "acquire":
        return nothing_served(moment) or unusable_served(moment)
    wrong = next(_wrong(moment), None) if moment.answered else None
    if wrong is None:
        return None
    key, word = wrong
    expected = f"{key} as the reports on the {moment.pool} pool left it"
    return moment.refusal(expected, f"{moment.name} {word}")


def _about(moment: Moment) -> tuple[str, ...]:
    members = moment.state.members.get(moment.pool, ())
    return tuple(key for key in members if moment.key in (key, "None"))


def _wrong(moment: Moment) -> Iterator[tuple[str, str]]:
    """Yield the keys whose charge is shown wrongly, and how."""
    key, value = moment.key, moment.value
    known = moment.state.knows(moment.pool, key)
    match moment.name:
        case "failures" if known:
            yield from _counted(key, value, moment.oracle.failures(moment.state, (moment.pool, key)))
        case "is_valid" if known and isinstance(value, bool):
            yield from _placed(key, validity(moment, key), valid=value, invalid=not value)
        case "usage" if known and moment.oracle.policies.counted_on != "none":
            counters = dict.fromkeys(COUNTERS, 0) if value is None else value
            for name, bounds in used(moment).items() if isinstance(counters, dict) else ():
                yield from _counted(key, counters.get(name), bounds)
        case "status" | "all_keys" if isinstance(value, dict):
            yield from _listed(moment)


def _listed(moment: Moment) -> Iterator[tuple[str, str]]:
    valid, invalid = (moment.value.get(name) for name in ("valid_keys", "invalid_keys"))
    if not (isinstance(valid, dict) and isinstance(invalid, dict)):
        return
    for key in moment.state.members.get(moment.pool, ()):
        yield from _placed(key, validity(moment, key), valid=key in valid, invalid=key in invalid)
        count = valid.get(key, invalid.get(key))
        yield from _counted(key, count, moment.oracle.failures(moment.state, (moment.pool, key)))


def _placed(key: str, truth: Tri, *, valid: bool, invalid: bool) -> Iterator[tuple[str, str]]:
    if truth is Tri.YES and invalid and not valid:
        yield key, "shows a charge that was not made"
    if truth is Tri.NO and valid and not invalid:
        yield key, "misses a charge"


def _counted(key: str, value: object, bounds: Bounds) -> Iterator[tuple[str, str]]:
    """Compare with nothing alone: how much is charged is told by other rules."""
    if not isinstance(value, int | float):
        return
    if value > 0 and bounds.high == 0:
        yield key, "shows a charge that was not made"
    if value == 0 and bounds.low > 0:
        yield key, "misses a charge"
