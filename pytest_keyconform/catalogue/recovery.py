"""FAIL10 to FAIL12: what brings a key back."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import (
    ENTRY_POINTS,
    FIRST,
    ONE,
    PAIR,
    SECOND,
    asks,
    hurt,
    misstated,
    served_though,
    worn,
)
from pytest_keyconform.catalogue.steps import POOLS, acquire, reactivate, reset, reset_all, views
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.workload import Step

CAUSES = ("struck", "barred", "marked")
MODELS = (DEFAULT_MODEL, "m2")


@final
class ResetRestores(Invariant):
    """`reset` restores that key alone, for every model it had failed on, answers True, and is idempotent.

    Why: the scheduled check resets a key once it works again; half restored it stays idle (000-14).
    How it breaks: the count is zeroed and the flag or a model's mark stays; every key is restored; it answers None.
    Fix: clear strikes, the 401 and the marks of all models of this key in one step, and answer whether it is known.
    """

    id = "FAIL10"
    audits = ("000-14",)
    requires = ("reset", "fail|record")
    subject = ("reset",)
    CONFORMING = (
        (
            'given regular=key-1,key-2\nfail(lease=key-1, status=401) -> key-2\nfail(lease=key-2, status=401) -> ""\n'
            "reset(key=key-1) -> True\nreset(key=key-1) -> True\nacquire(model=m1) -> key-1\nacquire(model=m2) -> key-1"
        ),
        (
            "given max_failures=2\nfail(lease=key-1, status=500) -> key-2\nreset(key=key-1) -> True\n"
            "failures(key=key-1) -> 0"
        ),
        "policy unknown_key=typed-error\nreset(key=stranger-1) -> raises typed UnknownKey",
    )
    VIOLATING = (
        "fail(lease=key-1, status=401) -> key-2\nreset(key=key-1) -> None",
        "reset(key=key-1) -> False",
        (
            'given regular=key-1\nfail(lease=key-1, model=m2, status=429) -> ""\nreset(key=key-1) -> True\n'
            'acquire(model=m2) -> ""'
        ),
        (
            'given regular=key-1,key-2\nfail(lease=key-1, status=401) -> key-2\nfail(lease=key-2, status=401) -> ""\n'
            "reset(key=key-1) -> True\nacquire(model=m1) -> key-2"
        ),
        (
            "given max_failures=2\nfail(lease=key-1, status=500) -> key-2\nreset(key=key-1) -> True\n"
            "failures(key=key-1) -> 1"
        ),
        "reset(key=key-1) -> raises KeyError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Two keys out in the same way, one reset, once and twice: it is served for each model, the other is not."""
        for pool in POOLS:
            key, other = FIRST[pool], SECOND[pool]
            yield Workload(name=f"{pool}-sound", given=PAIR, setup=(reset(key, pool=pool), reset(key, pool=pool)))
            for name, given, ways in _ways_out(self, pool):
                out = (*_all_out(self, key, ways, pool), *_all_out(self, other, ways, pool))
                for times in (1, 2):
                    restored = (*out, *(reset(key, pool=pool),) * times)
                    seen = (*views(given, pool=pool), *_served_each(self, pool))
                    yield Workload(name=f"{pool}-{name}-{times}", given=given, setup=(*restored, *seen))
                last = (*out, reset(key, pool=pool), acquire(model="m2", pool=pool))
                yield Workload(name=f"{pool}-{name}-m2", given=given, setup=last)
            twice = worn(2, keys=1)
            once = hurt(self, key, pool=pool)
            afresh = (*once, reset(key, pool=pool), *once, *views(twice, pool=pool), acquire(pool=pool))
            yield Workload(name=f"{pool}-afresh", given=twice, setup=afresh)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an answer that is not True, a key that was not restored, and one that was."""
        if moment.name == "reset" and moment.state.knows(moment.pool, moment.key):
            wrong = moment.answered and moment.value is not True
            return moment.refusal("True", "reset of a known key does not answer True") if wrong else None
        return misstated(moment) or _unrestored(moment)


@final
class ResetAllRestores(Invariant):
    """`reset_all` restores every key, in the status and in the rotation.

    Why: it is the way back after an outage of the provider; a key left behind is never served again (000-14).
    How it breaks: the counts are zeroed and the flags or marks stay; it stops at the first key, or at one pool.
    Fix: do for every key of the pool what a reset does for one.
    """

    id = "FAIL11"
    audits = ("000-14",)
    requires = ("reset_all", "fail|record")
    subject = ("reset_all",)
    CONFORMING = (
        (
            'given regular=key-1,key-2\nfail(lease=key-1, status=401) -> key-2\nfail(lease=key-2, status=401) -> ""\n'
            'reset_all()\nstatus() -> {"valid_keys": {"key-1": 0, "key-2": 0}, "invalid_keys": {}}\nacquire() -> key-1'
        ),
        "reset_all()\nreset_all()",
    )
    VIOLATING = (
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nreset_all()\nacquire() -> ""',
        'given regular=key-1\nfail(lease=key-1, model=m2, status=429) -> ""\nreset_all()\nacquire(model=m2) -> ""',
        (
            "fail(lease=vertex-1, pool=vertex, status=401) -> vertex-2\nreset_all()\n"
            "is_valid(key=vertex-1, pool=vertex) -> False"
        ),
        "fail(lease=key-1, status=500) -> key-2\nreset_all()\nfailures(key=key-1) -> 1",
        "reset_all() -> raises RuntimeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Every key out in the same way, or nearly, and all reset: the views, and each key served as the only one."""
        yield Workload(name="sound", given=PAIR, setup=(reset_all(), reset_all(), *self.taking("a")))
        for pool in POOLS:
            for name, given, ways in _ways_out(self, pool):
                keys = given.keys(pool)
                out = tuple(part for key in keys for part in _all_out(self, key, ways, pool))
                seen = views(given, pool=pool)
                yield Workload(name=f"{pool}-{name}", given=given, setup=(*out, reset_all(), *seen))
                for key, other in (keys, keys[::-1]):
                    left = (*out, reset_all(), *hurt(self, other, status=401, pool=pool))
                    for model in MODELS:
                        last = (*left, acquire(model=model, pool=pool))
                        yield Workload(name=f"{pool}-{name}-{key}-{model}", given=given, setup=last)
            yield from self._worn(pool)
            one = hurt(self, SECOND[pool], status=401, pool=pool)
            yield Workload(name=f"{pool}-one", given=PAIR, setup=(*one, reset_all(), *views(PAIR, pool=pool)))

    def _worn(self, pool: str) -> Iterator[Workload]:
        """Yield the programs whose keys are a strike short of being out: all of them, and one."""
        keys = (FIRST[pool], SECOND[pool])
        for number, struck in enumerate((keys, keys[:1], keys[1:])):
            given = worn(3)
            below = tuple(part for key in struck for part in hurt(self, key, pool=pool) * 2)
            seen = views(given, pool=pool)
            yield Workload(name=f"{pool}-worn-{number}", given=given, setup=(*below, reset_all(), *seen))
            again = hurt(self, struck[0], pool=pool)
            afresh = (*below, reset_all(), *again, *seen, *asks(self, pool=pool))
            yield Workload(name=f"{pool}-worn-{number}-afresh", given=given, setup=afresh)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that was not restored."""
        return misstated(moment) or _unrestored(moment)


@final
class ReactivateRestores(Invariant):
    """`reactivate(key)` restores it for all models, `reactivate(key, model)` lifts that model's mark alone.

    Why: an operator who knows that one model works again must not send traffic into the other one's limit (000-14).
    How it breaks: the model is ignored, so that all marks go, or none; another key's mark goes too.
    Fix: without a model do what a reset does; with one end that mark alone. Strikes and a 401 may go with it or not.
    """

    id = "FAIL12"
    audits = ("000-14",)
    requires = ("reactivate", "fail|record")
    subject = ("reactivate",)
    CONFORMING = (
        (
            'given regular=key-1\nfail(lease=key-1, model=m1, status=429) -> ""\n'
            'fail(lease=key-1, model=m2, status=429) -> ""\nreactivate(key=key-1, model=m1) -> True\n'
            'acquire(model=m2) -> ""\nacquire(model=m1) -> key-1'
        ),
        'given regular=key-1\nfail(lease=key-1, status=401) -> ""\nreactivate(key=key-1) -> True\nacquire() -> key-1',
        (
            "fail(lease=key-1, status=401) -> key-2\nreactivate(key=key-1, model=m1) -> True\n"
            "is_valid(key=key-1) -> False"
        ),
        "fail(lease=key-1, status=401) -> key-2\nreactivate(key=key-1, model=m1) -> True\nis_valid(key=key-1) -> True",
    )
    VIOLATING = (
        (
            "given regular=key-1,key-2\nfail(lease=key-1, model=m1, status=429) -> key-2\n"
            "fail(lease=key-1, model=m2, status=429) -> key-2\nreactivate(key=key-1, model=m1) -> True\n"
            "acquire(model=m2) -> key-1"
        ),
        (
            'given regular=key-1\nfail(lease=key-1, model=m2, status=429) -> ""\n'
            'reactivate(key=key-1, model=m2) -> True\nacquire(model=m2) -> ""'
        ),
        (
            'given regular=key-1\nfail(lease=key-1, model=m2, status=429) -> ""\nreactivate(key=key-1) -> True\n'
            'acquire(model=m2) -> ""'
        ),
        "fail(lease=key-1, status=401) -> key-2\nreactivate(key=key-1) -> True\nis_valid(key=key-1) -> False",
        (
            "fail(lease=key-1, status=429) -> key-2\nfail(lease=key-2, status=429) -> key-3\n"
            "reactivate(key=key-1) -> True\nacquire() -> key-2"
        ),
        "reactivate(key=key-1) -> raises KeyError",
    )

    def workloads(self) -> Iterator[Workload]:
        """A key out in each way and reactivated; marked for two models and reactivated for one; another key marked."""
        for pool in POOLS:
            key, other = FIRST[pool], SECOND[pool]
            for name, given, ways in _ways_out(self, pool):
                out = (*_all_out(self, key, ways, pool), *_all_out(self, other, ways, pool), reactivate(key))
                seen = (*views(given, pool=pool), *_served_each(self, pool))
                yield Workload(name=f"{pool}-{name}", given=given, setup=(*out, *seen))
                last = (*out, acquire(model="m2", pool=pool))
                yield Workload(name=f"{pool}-{name}-m2", given=given, setup=last)
            yield from self._one_model(pool, key, other)

    def _one_model(self, pool: str, key: str, other: str) -> Iterator[Workload]:
        both = _all_out(self, key, ((429, DEFAULT_MODEL), (429, "m2")), pool)
        for lifted, left in (MODELS, MODELS[::-1]):
            then = (*both, reactivate(key, model=lifted))
            stays = asks(self, model=left, pool=pool)
            yield Workload(name=f"{pool}-{lifted}-stays", given=PAIR, setup=(*then, *stays))
            back = acquire(model=lifted, pool=pool)
            yield Workload(name=f"{pool}-{lifted}-back", given=ONE, setup=(*then, back))
            second = hurt(self, other, status=429, model=lifted, pool=pool)
            alone = (*second, *then, *asks(self, model=lifted, pool=pool))
            yield Workload(name=f"{pool}-{lifted}-alone", given=PAIR, setup=alone)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that was not restored, and one that was."""
        return misstated(moment) or _unrestored(moment)


def _ways_out(rule: Invariant, pool: str) -> Iterator[tuple[str, Given, tuple[tuple[int, str], ...]]]:
    """Yield the ways a key is put out: a name, a pool of two keys, and the failures by status and model."""
    yield "auth", PAIR, ((401, DEFAULT_MODEL),)
    yield "quota", PAIR, ((429, DEFAULT_MODEL),)
    if rule.claims.takes("fail", "model", pool=pool):
        yield "quota-other", PAIR, ((429, "m2"),)
        yield "quota-both", PAIR, ((429, DEFAULT_MODEL), (429, "m2"))
        yield "quota-auth", PAIR, ((429, DEFAULT_MODEL), (401, "m2"))
    yield "struck", worn(1), ((500, DEFAULT_MODEL),)
    yield "struck-twice", worn(2), ((500, DEFAULT_MODEL), (503, DEFAULT_MODEL))
    if rule.policies.failures == "immediate":
        yield "immediate", PAIR, ((500, DEFAULT_MODEL),)


def _all_out(rule: Invariant, key: str, ways: tuple[tuple[int, str], ...], pool: str) -> tuple[Step, ...]:
    return tuple(part for status, model in ways for part in hurt(rule, key, status=status, model=model, pool=pool))


def _served_each(rule: Invariant, pool: str) -> tuple[Step, ...]:
    """Ask as often as it takes to be served both keys; under leases one holder keeps what it is served."""
    other = () if rule.policies.tenure == "lease" else asks(rule, pool=pool, model="m2")
    return *asks(rule, pool=pool), *other


def _unrestored(moment: Moment) -> Refusal | None:
    if moment.name not in ENTRY_POINTS:
        return None
    return served_though(moment, *CAUSES) or nothing_served(moment)
