"""Every operation there is, once: for the promises that hold of all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.provoking import told
from pytest_keyconform.catalogue.steps import (
    acquire,
    all_keys,
    fail,
    failures,
    is_valid,
    next_key,
    random_key,
    reactivate,
    record,
    release,
    reset,
    reset_all,
    reset_usage,
    status,
    step,
    tick,
    usage,
)
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.workload import Step

STATUSES = (429, 401, 400, 500, None)


def optional(*steps: Step) -> tuple[Step, ...]:
    """Answer the steps, each to be left out where the backend does not have it."""
    return tuple(replace(one, optional=True) for one in steps)


def reads(key: str, *, model: object = DEFAULT_MODEL, pool: str = "regular") -> tuple[Step, ...]:
    """Read everything that can be read about a key and its pool."""
    whole = (all_keys(), step("state"), step("health"), step("paid_key")) if pool == "regular" else ()
    own = (usage(key, model=model, pool=pool), failures(key, pool=pool), is_valid(key, pool=pool), status(pool=pool))
    return optional(*own, *whole)


def asks(tag: str, *, model: object = DEFAULT_MODEL, pool: str = "regular") -> tuple[Step, ...]:
    """Ask for a key in every way, and give back what was answered; ``tag`` keeps the names of several rounds apart."""
    taken = [acquire(f"{tag}a", model=model, pool=pool), release(Ref(f"{tag}a"))]
    if pool == "regular":
        taken += [random_key(f"{tag}r", model=model), release(Ref(f"{tag}r"))]
    return optional(*taken, next_key(pool=pool))


def reports(
    rule: Invariant,
    key: str,
    *,
    model: object = DEFAULT_MODEL,
    pool: str = "regular",
    statuses: Iterable[int | None] = STATUSES,
) -> tuple[Step, ...]:
    """Report a call of a key in every way."""
    named = [record(key, model=model, pool=pool)]
    named += [record(key, model=model, pool=pool, outcome=outcome) for outcome in ("transient", "quota")]
    named += [fail(key, model=model, pool=pool, status=code) for code in statuses]
    return optional(*(one for report in named for one in told(rule, report)))


def restores(key: str, *, pool: str = "regular") -> tuple[Step, ...]:
    """Restore a key in every way."""
    return optional(reset(key, pool=pool), reactivate(key), reset_all(), reset_usage(), tick())


def every(
    rule: Invariant, key: str, *, model: object = DEFAULT_MODEL, pool: str = "regular", tag: str = "e"
) -> tuple[Step, ...]:
    """Call every operation once about a key, those that restore last."""
    return (
        *reads(key, model=model, pool=pool),
        *asks(tag, model=model, pool=pool),
        *reports(rule, key, model=model, pool=pool),
        *restores(key, pool=pool),
    )
