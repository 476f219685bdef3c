"""Fitting a workload to what a backend claims: what it does not take is left out, or the workload is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.outside import undoable, unseen
from pytest_keyconform.model.outcome import outcome_of
from pytest_keyconform.operation import Claims, Form, Invocation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Given, Step, Workload

SPECIAL = frozenset(
    {"form", "positional", "bad", "mutate", "cancel", "kill", "measured", "of", "pool", "spoil", "through"}
    | {"leave", "read", "upstream"}  # how a stream is answered and read
)
EXACT = frozenset({"tokens", "retry_after"})
MEASURING = frozenset({"census", "memory", "statements", "rows", "files"})
ALWAYS = frozenset({"open", "advance", "crash", "restart", "leave", "set_clock", "spoil_lists"}) | MEASURING
ALWAYS |= {"fault", "mend", "source", "asked"}


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a workload cannot run on a backend: the operation it lacks, and a sentence."""

    lacking: str
    why: str


def inapplicable(rule: type[Invariant], policies: Policies, claims: Claims) -> Misfit | None:
    """Tell whether a declared policy or a missing operation makes a whole invariant meaningless."""
    why = unseen(rule, claims)
    if why:
        return Misfit("", why)
    for name, meaningful in rule.applies.items():
        declared = getattr(policies, name)
        if declared not in meaningful and not isinstance(
            declared, tuple(kind for kind in meaningful if isinstance(kind, type))
        ):
            return Misfit("", f"the declared policy {name} = {declared!r} makes it meaningless")
    misfit = _unfounded(rule, policies, claims)
    if misfit is not None:
        return misfit
    for alternatives in rule.requires:
        names = alternatives.split("|")
        if not any(claims.operations.get(name) for name in names):
            return Misfit(alternatives, f"the backend has no operation {' or '.join(names)}")
    return None


def _unfounded(rule: type[Invariant], policies: Policies, claims: Claims) -> Misfit | None:
    """Tell why an invariant about awaits or about a storage means nothing to this backend."""
    if rule.awaited and not claims.is_async:
        return Misfit("", "a call of a synchronous backend has no await to be cancelled at")
    named = [name for name, asked in (("limits_source", rule.sourced), ("storage", rule.stored)) if asked]
    lacking = [name for name in named if claims.given is not None and name not in claims.given]
    if not rule.stored:
        return Misfit(lacking[0], f"the factory cannot be given {lacking[0]}") if lacking else None
    if policies.durability == "none":
        return Misfit("storage", "the backend declares no durability, so it keeps nothing in a storage")
    if lacking:
        return Misfit(lacking[0], f"the factory cannot be given {lacking[0]}")
    if rule.shared and not policies.serves_several:
        return Misfit("", "the backend declares that one instance alone uses a storage")
    return None


def fit(workload: Workload, claims: Claims) -> Workload | Misfit:
    """Answer the workload as this backend can run it, or what it lacks."""
    why = undoable(workload, claims)
    if why:
        return Misfit("", why)
    for need in sorted(workload.given.needs):
        if claims.given is not None and need not in claims.given:
            return Misfit("", f"the factory cannot be given {need}")
    fitted: list[tuple[Step, ...]] = []
    for steps in (workload.setup, *workload.clients, workload.finale):
        found = _fit_all(steps, claims, workload.given)
        if isinstance(found, Misfit):
            return found
        fitted.append(found)
    clients = tuple(client for client in fitted[1:-1] if client)
    return replace(workload, setup=fitted[0], clients=clients, finale=fitted[-1])


def _fit_all(steps: Iterable[Step], claims: Claims, given: Given) -> tuple[Step, ...] | Misfit:
    kept: list[Step] = []
    for step in steps:
        found = _fit_step(step, claims, given)
        if isinstance(found, Misfit):
            if not step.optional:
                return found
        else:
            kept.append(found)
    return tuple(kept)


def _fit_step(step: Step, claims: Claims, given: Given) -> Step | Misfit:
    if step.name in ALWAYS:
        return step
    arguments = dict(step.invocation.arguments)
    pool = str(arguments.get("pool", "regular"))
    form = _form(claims, step.name, pool, arguments.get("form"))
    if form is None:
        where = "" if pool == "regular" else f" for the {pool} pool"
        return Misfit(step.name, f"the backend has no operation {step.name}{where}")
    if pool == "vertex" and claims.given is not None and "vertex_api_keys" not in claims.given:
        return Misfit(step.name, "the factory cannot be given vertex_api_keys")
    for name, value in list(arguments.items()):
        if name in SPECIAL or name in form.parameters:
            continue
        if arguments.get("bad") or (step.exact and name in EXACT) or not _droppable(name, value, given):
            return Misfit(step.name, f"{form.name} takes no {name}")
        del arguments[name]
    return replace(step, invocation=Invocation(step.name, tuple(arguments.items())))


def _form(claims: Claims, name: str, pool: str, wanted: object) -> Form | None:
    forms = claims.forms(name, pool)
    return next((form for form in forms if wanted in (None, form.name)), None)


def _droppable(name: str, value: object, given: Given) -> bool:
    """Tell whether an argument that a form does not take says only what is so without it."""
    match name:
        case "model":
            return value in (None, given.default_model)
        case "tokens" | "retry_after":
            return True
        case "retries":
            return isinstance(value, int) and value < given.max_retries
        case "status":
            return outcome_of(value) == "transient"
        case "outcome":
            return value == "success"
        case _:
            return False
