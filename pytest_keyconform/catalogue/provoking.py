"""The ways into a state that several rules begin with: keys reported on, and every key of a pool out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from pytest_keyconform.catalogue.steps import acquire, fail, random_key, record, release
from pytest_keyconform.catalogue.steps import step as call
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.workload import Step

    Report: TypeAlias = Callable[[str | Ref], Step]

PAIR = Given(regular=("key-1", "key-2"))
WORN = 10
"""How many failures in a row take a key out for most thresholds that a factory cannot be told."""

BEYOND = 2
"""How many failures more a key is struck by late reports, once it is out."""


@dataclass(frozen=True, slots=True)
class Depletion:
    """A way to have no usable key in a pool of two: its name, the pool that is given, and the steps."""

    name: str
    given: Given
    steps: tuple[Step, ...] = ()


def limited(limit: Limits, *, keys: int = 2) -> Given:
    """Answer a pool of some keys whose two models have this one limit each."""
    regular = tuple(f"key-{number}" for number in range(1, keys + 1))
    return Given(regular=regular, limits=(("m1", limit), ("m2", limit)), needs=frozenset({"limits"}))


def limit_of(field: str, value: int) -> Limits:
    """Answer limits of which only one is set: rpm, tpm or rpd."""
    return replace(Limits(), **{field: value})


def reported(
    rule: Invariant, reports: Sequence[tuple[str, Report]], *, pool: str = "regular", tag: str = "l"
) -> tuple[Step, ...]:
    """Answer one report on each of these keys; under leases on as many that are taken first and given back after.

    ``tag`` keeps the names of the leases of several calls apart.
    """
    if rule.policies.tenure != "lease":
        return tuple(report(key) for key, report in reports)
    leases = [(Ref(f"{tag}{number}"), report) for number, (_, report) in enumerate(reports, start=1)]
    taken = [acquire(lease.name, pool=pool) for lease, _ in leases]
    back = [release(lease) for lease, _ in leases if rule.policies.release == "explicit"]
    return (*taken, *(report(lease) for lease, report in leases), *back)


def told(rule: Invariant, step: Step) -> tuple[Step, ...]:
    """Answer one report by a key's label; under leases the key is given back after it."""
    label = step.invocation.get("lease")
    if rule.policies.tenure != "lease" or rule.policies.release != "explicit" or not isinstance(label, str):
        return (step,)
    return step, call("release", lease=label, pool=step.invocation.get("pool", "regular"), optional=True)


def failing(
    rule: Invariant,
    *,
    status: int | None,
    pool: str = "regular",
    model: object = DEFAULT_MODEL,
    last: bool = False,
) -> Report:
    """Answer a failure report that neither waits, raises nor leaves a lease behind: as the last retry, where it can be.

    ``last``: as the last retry in any case, so that it answers no key.
    """
    impatient = rule.policies.exhaustion in ("typed-error", "blocks") or rule.policies.tenure == "lease"
    final = last or (impatient and rule.claims.takes("fail", "retries", pool=pool))
    retries = Given().max_retries if final else 0
    return lambda lease: fail(lease, status=status, model=model, pool=pool, retries=retries)


def strikes(rule: Invariant) -> int:
    """Answer how many failures take a key out, as far as the backend can be told."""
    given = rule.claims.given
    return Given().max_failures if given is None or "max_failures" in given else WORN


def depletions(rule: Invariant, pool: str = "regular") -> Iterator[Depletion]:
    """Yield the ways to have no usable key in a pool: all out, all struck, all marked, mixed, and by quota."""
    keys = PAIR.keys(pool)
    auth, quota = failing(rule, status=401, pool=pool), failing(rule, status=429, pool=pool)
    strike = failing(rule, status=None, pool=pool)

    def each(report: Report, tag: str = "l") -> tuple[Step, ...]:
        return reported(rule, [(key, report) for key in keys], pool=pool, tag=tag)

    yield Depletion("auth", PAIR, each(auth))
    struck = [step for number in range(strikes(rule)) for step in each(strike, f"l{number}x")]
    yield Depletion("struck", PAIR, tuple(struck))
    yield Depletion("marked", PAIR, each(quota))
    yield Depletion("mixed", PAIR, reported(rule, list(zip(keys, (auth, quota), strict=True)), pool=pool))
    yield Depletion("refused", PAIR, each(lambda lease: record(lease, pool=pool, tokens=0, outcome="auth")))
    if rule.policies.counted_on == "record":
        once = replace(limited(Limits(rpm=1)), vertex=PAIR.vertex)
        yield Depletion("spent", once, each(lambda lease: record(lease, pool=pool)))
        last = [(keys[0], auth), (keys[1], lambda lease: record(lease, pool=pool))]
        yield Depletion("last", once, reported(rule, last, pool=pool))
    if rule.policies.counted_on != "none":
        yield Depletion("closed", limited(Limits(rpm=0)))


def worn_out(rule: Invariant, pool: str = "regular") -> Iterator[Depletion]:
    """Yield one way more to have no usable key: each was struck more often than takes it out.

    Under leases there is none: a key that is out is not taken, and only who holds one reports.
    """
    if rule.policies.tenure != "lease":
        last = rule.claims.takes("fail", "retries", pool=pool)  # a report that asks for no key
        strike = failing(rule, status=None, pool=pool, last=last)
        worn = reported(rule, [(key, strike) for key in PAIR.keys(pool)], pool=pool)
        yield Depletion("worn-out", PAIR, worn * (strikes(rule) + BEYOND))


def entrances(rule: Invariant, pool: str) -> Iterator[tuple[str, Step]]:
    """Yield every way to ask for a key of a pool: each form of acquire, and random_key."""
    for number, form in enumerate(rule.claims.forms("acquire", pool)):
        yield f"acquire-{number}", acquire(pool=pool, form=form.name if number else ...)
    if pool == "regular":
        yield "random", random_key()
