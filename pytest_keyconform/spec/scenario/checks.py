"""What the shape of a scenario does not hold: names that are known, and steps where they can be run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from pytest_keyconform.spec.scenario.parts import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.spec.marked import Place
    from pytest_keyconform.spec.scenario import Expectation, Given, Scenario
    from pytest_keyconform.spec.scenario.steps import Step

    Problems: TypeAlias = Iterator[tuple[Place, str]]

BEGINNING = datetime(2026, 3, 2, 12, tzinfo=UTC)
"""When the wall clock of an execution begins; `engine.clock` is held to it by a test."""

BROUGHT = re.compile(r"(stranger|new)-\d+")
ALONE = ("parallel", "restart", "crash", "fault", "mend", "set_clock", "repeat")
UNNAMED = ("parallel", "repeat", "advance", "set_clock", "crash", "fault")  # steps that answer nothing
OWN = frozenset({*ALONE, "advance", "census", "cancel"})
WORDS = frozenset({"nothing", "sentinel", "regular", "vertex", "success", "quota", "auth", "request", "transient"})
MOST = 5000  # steps of a scenario, each repetition counted
QUARTER = timedelta(minutes=15)


@dataclass
class _Walk:
    """``bound`` are the answers named so far; ``inside`` the steps around the current one."""

    given: Given
    bound: dict[str, Place] = field(default_factory=dict)
    inside: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.given.regular, *self.given.vertex)


def problems(scenario: Scenario) -> Problems:
    """Yield what cannot be run, each with the place it stands at."""
    walk = _Walk(scenario.given)
    yield from _given(scenario.given)
    for number, step in enumerate(scenario.when):
        yield from _step(walk, step, ("when", number))
    yield from _whole(scenario)
    for number, expectation in enumerate(scenario.then):
        yield from _expectation(walk, expectation, ("then", number))


def _given(given: Given) -> Problems:
    models = {*given.limits, given.model}
    for pool in ("regular", "vertex"):
        for number, key in enumerate(getattr(given, pool)):
            if key in models | WORDS or BROUGHT.fullmatch(key):
                yield ("given", pool, number), f"expected a name of a key alone, found {key!r}"
    begins = given.begins
    if begins is not None and (begins < BEGINNING or (begins - BEGINNING) % QUARTER):
        expected = f"a quarter of an hour from {BEGINNING:%Y-%m-%dT%H:%M:%SZ} on"
        yield ("given", "begins"), f"expected {expected}, found {begins.isoformat()}"


def _size(step: Step) -> int:
    """Answer how many steps a step stands for."""
    inside = sum(_size(inner) for _, inner in _inner(step, ()))
    return max(1, inside * step.body.times if step.kind == "repeat" else inside)


def _whole(scenario: Scenario) -> Problems:
    size = sum(map(_size, scenario.when))
    if size > MOST:
        yield ("when",), f"expected at most {MOST} steps, each repetition counted, found {size}"
    kinds = [step.kind for step in scenario.when]
    for kind in ("parallel", "crash"):
        places = [number for number, one in enumerate(kinds) if one == kind]
        if kind == "parallel" and len(places) > 1:
            yield ("when", places[1]), "expected one parallel in a scenario, found another; make it two scenarios"
        if kind == "crash" and places and "parallel" in kinds:
            yield ("when", places[0]), "expected no crash beside a parallel: one instance is killed, alone"
    if "fault" in kinds and ("crash" in kinds or scenario.given.apart):
        yield ("when", kinds.index("fault")), "expected no fault beside a crash or callers apart: one instance meets it"


def _step(walk: _Walk, step: Step, place: Place) -> Problems:
    kind, body = step.kind, step.body
    here = (*place, kind)
    if kind in ALONE and not _may_stand(kind, walk.inside):
        yield here, f"expected no {kind} inside {walk.inside[-1]}; it stands in `when` alone"
        return
    if walk.inside[-1:] in (("cancel",), ("crash",)) and kind in OWN:
        yield here, f"expected an operation to {walk.inside[-1]}, found {kind}"
        return
    around, walk.inside = walk.inside, (*walk.inside, kind)
    yield from _nested(walk, step, here)
    walk.inside = around
    if kind not in (*UNNAMED, "cancel"):
        yield from _keys(walk, body, here)
        yield from _name(walk, getattr(body, "as_", None), here)


def _may_stand(kind: str, inside: tuple[str, ...]) -> bool:
    """Tell whether a step that mostly stands alone may stand inside these."""
    if kind == "repeat":
        return not {"cancel", "crash"}.intersection(inside)
    return not inside or (kind in ("restart", "fault", "mend", "set_clock") and set(inside) == {"repeat"})


def _nested(walk: _Walk, step: Step, here: Place) -> Problems:
    for place, inner in _inner(step, here):
        yield from _step(walk, inner, place)


def _inner(step: Step, here: Place) -> Iterator[tuple[Place, Step]]:
    """Yield the steps that stand inside a step."""
    match step.kind:
        case "parallel":
            for number, caller in enumerate(step.body):
                yield from _several(caller, (*here, number))
        case "repeat":
            yield from _several(step.body.do, (*here, "do"))
        case "cancel":
            yield (*here, "call"), step.body.call
        case "crash" if step.body.during is not None:
            yield (*here, "during"), step.body.during


def _several(caller: Step | tuple[Step, ...], here: Place) -> Iterator[tuple[Place, Step]]:
    if isinstance(caller, tuple):
        yield from (((*here, number), step) for number, step in enumerate(caller))
    else:
        yield here, caller


def _name(walk: _Walk, name: str | None, here: Place) -> Problems:
    if name is None:
        return
    if name in (*walk.keys, *WORDS) or name.startswith("then_"):  # as what is read at the end is called
        yield (*here, "as"), f"expected a name for an answer alone, found {name!r}, which means something else"
    elif name in walk.bound:
        yield (*here, "as"), f"expected a name of its own, found {name!r} again"
    walk.bound[name] = here


def _keys(walk: _Walk, body: object, here: Place) -> Problems:
    bad = getattr(body, "bad", False)
    for name in ("key", "keys", "api_keys", "vertex_api_keys"):
        value = getattr(body, name, None)
        for key in value if isinstance(value, tuple) else [] if value is None else [value]:
            if not bad and not _is_key(walk, key, named=name == "key"):
                yield (*here, name), _unknown_key(walk, key)


def _is_key(walk: _Walk, key: object, *, named: bool) -> bool:
    if not isinstance(key, str):
        return False
    base = key.partition(":")[0]
    return base in walk.keys or bool(BROUGHT.fullmatch(base)) or (named and key in walk.bound)


def _unknown_key(walk: _Walk, key: object) -> str:
    names = [*walk.keys, *walk.bound]
    return (
        f"expected a key of given, the name of an answer, stranger-1 or new-1, found {key!r}{nearest(str(key), names)}"
    )


def _expectation(walk: _Walk, expectation: Expectation, place: Place) -> Problems:
    kind = expectation.kind
    body = getattr(expectation, kind)
    here = (*place, kind)
    for name in _named(kind, body):
        if name not in walk.bound:
            known = ", ".join(walk.bound) or "none"
            hint = nearest(name, list(walk.bound))
            yield (*here, name), f"expected the name of an answer ({known}), found {name!r}{hint}"
    keys = [body.key] if kind in ("usage", "state_of") else body.keys if kind == "permutation_of" else ()
    for key in keys:
        if not _is_key(walk, key, named=False):
            yield here, _unknown_key(walk, key)


def _named(kind: str, body: object) -> tuple[str, ...]:
    """Answer the names of answers that an expectation is about."""
    match kind, body:
        case "distinct", tuple():
            return body
        case "permutation_of", _:
            return tuple(getattr(body, "answers", ()))
        case "unchanged_since", dict():
            return (*body, *body.values())
        case (("equals" | "one_of" | "in_pool" | "not_in" | "raises" | "within"), dict()):
            return tuple(body)
        case _:
            return ()
