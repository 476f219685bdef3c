"""How a key stands: what the views say of it, whether it is served all the same, and what a failure report answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_keyconform.catalogue.invariant import Moment
from pytest_keyconform.catalogue.serving import knows_model, unusable_served
from pytest_keyconform.catalogue.steps import acquire, fail, step
from pytest_keyconform.model.names import known
from pytest_keyconform.model.state import Tri
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import DEFAULT_MODEL, Given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.invariant import Invariant, Refusal
    from pytest_keyconform.workload import Step

ENTRY_POINTS = ("acquire", "random_key")
ONE = Given(regular=("key-1",), vertex=("vertex-1",))
PAIR = Given(regular=("key-1", "key-2"))
FIRST = {"regular": "key-1", "vertex": "vertex-1"}
SECOND = {"regular": "key-2", "vertex": "vertex-2"}


class Said(NamedTuple):
    """What a view says of one key: whether it is valid, and its failures; None where it does not say."""

    key: str
    valid: bool | None = None
    failures: float | None = None


# -- steps ---------------------------------------------------------------------------------------------------


def worn(max_failures: int, *, keys: int = 2) -> Given:
    """Answer a pool of some keys of each kind with this threshold."""
    numbers = range(1, keys + 1)
    return Given(
        regular=tuple(f"key-{number}" for number in numbers),
        vertex=tuple(f"vertex-{number}" for number in numbers),
        max_failures=max_failures,
        needs=frozenset({"max_failures"}),
    )


def hurt(
    rule: Invariant, key: str, *, status: int | None = 500, model: object = DEFAULT_MODEL, pool: str = "regular"
) -> tuple[Step, ...]:
    """Answer a failure report on this key; under leases the key is given back and no replacement is held.

    Where a report that leaves no key would wait or raise it is the last retry, so that its effect is certain.
    """
    policies = rule.policies
    last = policies.tenure == "lease" or policies.exhaustion in ("typed-error", "blocks")
    retries = Given().max_retries if last and rule.claims.takes("fail", "retries", pool=pool) else 0
    report = fail(key, status=status, model=model, pool=pool, retries=retries)
    return report, *given_back(rule, key, pool=pool)


def given_back(rule: Invariant, key: object, *, pool: str = "regular") -> tuple[Step, ...]:
    """Answer the release of a key that was reported on, where leases have to be given back."""
    if rule.policies.tenure != "lease" or rule.policies.release != "explicit":
        return ()
    return (step("release", lease=key, pool=pool, optional=True),)


def asks(rule: Invariant, *, keys: int = 2, model: object = DEFAULT_MODEL, pool: str = "regular") -> tuple[Step, ...]:
    """Answer as many acquires as it takes to be served every key of a pool; under leases they are kept."""
    rounds = 1 if rule.policies.tenure == "lease" else 8 if rule.policies.selection == "random" else 2
    return (acquire(model=model, pool=pool),) * (keys * rounds)


# -- what the views say --------------------------------------------------------------------------------------


def said(moment: Moment) -> Iterator[Said]:
    """Yield what a view says of each key of its pool that it names."""
    value = moment.value if moment.answered else None
    if moment.name == "is_valid" and isinstance(value, bool):
        yield Said(moment.key, valid=value)
    elif moment.name == "failures" and _is_number(value):
        yield Said(moment.key, failures=value)
    elif moment.name in ("status", "all_keys") and isinstance(value, dict):
        for name, valid in (("valid_keys", True), ("invalid_keys", False)):
            group = value.get(name)
            for key, count in group.items() if isinstance(group, dict) else ():
                yield Said(str(key), valid, count if _is_number(count) else None)


def wrong_count(moment: Moment) -> Refusal | None:
    """Refuse a failure count that the failures before it do not add up to."""
    for key, _, count in said(moment):
        at = (moment.pool, key)
        if count is None or not moment.state.knows(*at):
            continue
        expected = moment.oracle.failures(moment.state, at)
        if count not in expected:
            gives = str(expected) if moment.name == "failures" else ""
            signature = f"{moment.name} tells a wrong failure count"
            return moment.refusal(f"{expected} failures of {key}", signature, gives=gives)
    return None


def wrong_validity(moment: Moment) -> Refusal | None:
    """Refuse a key that is told valid while it is out, or out while it is valid.

    A key that is marked by a 429 or at a limit may be told out, though nothing but its model is.
    """
    for key, valid, _ in said(moment):
        at = (moment.pool, key)
        if valid is None or not moment.state.knows(*at):
            continue
        truth = _validity(moment, at)
        if valid and truth is Tri.NO:
            gives = "False" if moment.name == "is_valid" else ""
            return moment.refusal(f"{key} is told invalid", f"{moment.name} tells a key valid that is out", gives=gives)
        if not valid and truth is Tri.YES and not _exhausted(moment, at):
            gives = "True" if moment.name == "is_valid" else ""
            return moment.refusal(f"{key} is told valid", f"{moment.name} tells a valid key invalid", gives=gives)
    return None


def misstated(moment: Moment) -> Refusal | None:
    """Refuse a view that is wrong about validity or about failures."""
    return wrong_validity(moment) or wrong_count(moment)


def _validity(moment: Moment, at: tuple[str, str]) -> Tri:
    seen = {moment.oracle.valid(moment.state, at, now) for now in _times(moment)}
    return seen.pop() if len(seen) == 1 else Tri.MAYBE


def _exhausted(moment: Moment, at: tuple[str, str]) -> bool:
    state, oracle = moment.state, moment.oracle
    full = (oracle.below_limits(state, cell, moment.operation.at) for cell in state.spent if cell[:2] == at)
    return any(cell[:2] == at for cell in state.marks) or any(truth is not Tri.YES for truth in full)


def _times(moment: Moment) -> tuple[float, float]:
    operation = moment.operation
    return operation.at, operation.at if operation.until is None else operation.until


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# -- what is served ------------------------------------------------------------------------------------------


def served_though(moment: Moment, *causes: str) -> Refusal | None:
    """Refuse a key that is served although one of these certainly keeps it out: "struck", "barred", "marked"."""
    refusal = unusable_served(moment) if moment.name in ENTRY_POINTS else None
    if refusal is None or moment.served is None:
        return None
    return refusal if any(kept_out(moment, moment.served, cause) for cause in causes) else None


def kept_out(moment: Moment, key: str, cause: str) -> bool:
    """Tell whether this certainly keeps a key of the pool out, at the call and at the return."""
    oracle, state, at = moment.oracle, moment.state, (moment.pool, key)
    if cause == "marked":
        cell = (*at, oracle.entry(moment.model))
        return knows_model(moment) and all(oracle.marked(state, cell, now) is Tri.YES for now in _times(moment))
    judge = oracle.struck if cause == "struck" else oracle.barred
    return all(judge(state, at, now) is Tri.YES for now in _times(moment))


# -- what a failure report answers ---------------------------------------------------------------------------


def last_retry(moment: Moment) -> bool:
    """Tell whether a failure report may have been the last retry: then it answers no key."""
    retries = moment.operation.get("retries", 0)
    limit = moment.oracle.given.max_retries if moment.oracle.told("max_retries") else 1
    return not isinstance(retries, int) or retries >= limit


def is_rejected(moment: Moment) -> bool:
    """Tell whether the model that was named is one that the backend may refuse: unknown, under ``reject``."""
    policies = moment.oracle.policies
    return policies.unknown_model == "reject" and not known(moment.model, moment.oracle.given, policies)


def after_report(moment: Moment) -> Moment:
    """Answer the same call with the state that its report leaves, before a replacement is chosen."""
    emptied = replace(moment.operation, response=Answered(""))
    return Moment(moment.oracle, moment.oracle.step(moment.state, emptied)[0], moment.operation)


def unfit_replacement(moment: Moment) -> Refusal | None:
    """Refuse a replacement that is of another pool, unusable, or the failed key while another one is usable.

    Nothing at all, and an error, are refused while another key is usable: where the failed key is the only one
    left it may be answered or not.
    """
    if moment.name != "fail" or moment.operation.get("bad") or last_retry(moment):
        return None
    servable = after_report(moment).servable()
    others = [key for key, truth in servable.items() if truth is Tri.YES and key != moment.key]
    expected = f"another usable key: {', '.join(others)}" if others else "no key: none is usable"
    if isinstance(moment.operation.response, Raised):
        return moment.refusal(expected, "fail raises while another key is usable") if others else None
    if not moment.answered or not (moment.nothing or isinstance(moment.value, str)):
        return None
    reason = _unfit(moment, servable, others=bool(others))
    return moment.refusal(expected, reason) if reason else None


def _unfit(moment: Moment, servable: dict[str, Tri], *, others: bool) -> str:
    if moment.nothing:
        return "fail answers no key while another one is usable" if others else ""
    if moment.value not in servable:
        return "fail answers a key of another pool"
    if moment.value == moment.key and others:
        return "fail answers the failed key while another one is usable"
    lawful = moment.oracle.policies.exhaustion == "fallback" and Tri.YES not in servable.values()
    return "" if lawful or servable[moment.value] is not Tri.NO else "fail answers an unusable key"
