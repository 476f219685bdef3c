"""Calls with something odd about them: bad input of every kind, and keys and models that nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.steps import (
    POOLS,
    acquire,
    fail,
    failures,
    is_valid,
    random_key,
    reactivate,
    record,
    reset,
    step,
    usage,
)
from pytest_keyconform.operation import Invocation
from pytest_keyconform.workload import DEFAULT_MODEL, Given

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_keyconform.workload import Step

STRANGER: Final = "stranger-1"
UNHEARD: Final = "unheard-of"
LIST: Final = ("m1",)  # a list when it reaches the backend: no key of a dict
ODD: Final[Mapping[str, tuple[object, ...]]] = {
    "model": (LIST, 7),
    "key": (LIST, 7, ""),
    "lease": ("",),  # what acquire answered: no caller makes one of something else
    "tokens": (-1, float("nan"), "many"),
    "retries": ("many",),
    "status": ("many",),
    "retry_after": ("soon", -1),
    "api_keys": (7, ("key-1", 7)),
    "vertex_api_keys": (7, ("vertex-1", 7)),
}


def _about(key: str, model: str, pool: str) -> dict[str, Step]:
    """Answer every call that names a key or a model, by its name."""
    calls = {
        "acquire": acquire(model=model, pool=pool),
        "record": record(key, model=model, pool=pool),
        "fail": fail(key, status=None, model=model, pool=pool),
        "release": step("release", lease=key, pool=pool),
        "usage": usage(key, model=model, pool=pool),
        "failures": failures(key, pool=pool),
        "is_valid": is_valid(key, pool=pool),
        "reset": reset(key, pool=pool),
    }
    if pool == "regular":
        calls |= {"random_key": random_key(model=model), "reactivate": reactivate(key, model=model)}
    return calls


def odd_calls() -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Yield for each operation its calls with one odd value each, to be left out where that is not taken."""
    given = Given()
    for pool in POOLS:
        calls = _about(given.keys(pool)[0], DEFAULT_MODEL, pool)
        calls["fail-after"] = fail(given.keys(pool)[0], status=429, pool=pool, retry_after=5)
        for name, call in calls.items():
            yield f"{pool}-{name}", tuple(_each_odd(call))
    lists = step("reload", api_keys=given.regular, vertex_api_keys=given.vertex)
    yield from ((f"reload-{number}", (call,)) for number, call in enumerate(_each_odd(lists)))


def _each_odd(call: Step) -> Iterator[Step]:
    arguments = dict(call.invocation.arguments)
    for name, value in ((name, value) for name, values in ODD.items() for value in values):
        if name in arguments:
            spoilt = {**arguments, name: value, "bad": True}
            yield replace(call, invocation=Invocation(call.name, tuple(spoilt.items())), optional=True)


def strange_calls() -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Yield every call about a key of no pool, about a model nobody has heard of, and about both."""
    for pool in POOLS:
        known = Given().keys(pool)[0]
        for name, key, model in (
            ("stranger", STRANGER, DEFAULT_MODEL),
            ("unheard-of", known, UNHEARD),
            ("both", STRANGER, UNHEARD),
        ):
            for operation, call in _about(key, model, pool).items():
                yield f"{pool}-{operation}-{name}", optional(call)
