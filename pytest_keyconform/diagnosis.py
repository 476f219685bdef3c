"""What `keyconform doctor` says of a target: how it resolves, what it has, what it lacks, and how it is judged."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

from pytest_keyconform.adapters.base import OPERATIONS
from pytest_keyconform.engine.abandoning import Abandoning
from pytest_keyconform.engine.clock import VirtualClock, real_perf_counter
from pytest_keyconform.engine.survey import survey
from pytest_keyconform.gate import REQUIRED
from pytest_keyconform.operation import shown
from pytest_keyconform.target_run import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.survey import Backend

_CONCERNED = ("anyio", "coverage", "freezegun", "hypothesis", "pydantic", "pytest", "pytest-xdist")


def examined(resolved: Callable[[], Target]) -> Iterator[str]:
    """Yield what there is to say, a line each; raises `UsageError` where the target cannot be resolved or opened."""
    yield from _versions()
    clock = VirtualClock()
    with clock, Abandoning():
        target = resolved()
        try:
            yield from _resolved(target)
            clock.watch(target.modules())
            started = real_perf_counter()
            with quiet():
                backend = survey(target, clock, seed=0)
            took = real_perf_counter() - started
            yield f"opening: {took * 1000:.0f} ms, with the questions that the harness has"
            yield from _claimed(backend)
            yield f"clock: {_clock(target, backend)}"
        finally:
            if target.dialogue is not None:
                target.dialogue.end()


def missing_for(operations: Collection[str]) -> dict[str, list[str]]:
    """Answer what a backend with these operations lacks to be of each kind of `--keyconform-require`."""
    return {
        kind: [names for names in needed if not any(name in operations for name in names.split("|"))]
        for kind, needed in REQUIRED.items()
    }


def _versions() -> Iterator[str]:
    found = {}
    for name in ("pytest-keyconform", *_CONCERNED):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    yield f"versions: Python {platform.python_version()}, {', '.join(f'{name} {one}' for name, one in found.items())}"


def _resolved(target: Target) -> Iterator[str]:
    yield f"target: {target.name} is {target.text}"
    if target.dialogue is not None:
        hello = target.dialogue.hello
        yield f"reached: another process, {hello.name or 'without a name'} {hello.version}".rstrip()
    elif target.fields is None:
        yield "factory: takes the Pool"
    else:
        yield f"factory: takes {', '.join(target.fields)} of the Pool by name; rules about others do not apply"
    declared = target.policies.declared()
    told = ", ".join(f"{name} = {shown(value)}" for name, value in sorted(declared.items()))
    yield f"policies: {told or 'none declared, so that the defaults hold'}"


def _claimed(backend: Backend) -> Iterator[str]:
    claims = backend.claims
    for name, forms in sorted(claims.operations.items()):
        told = "; ".join(f"{form.name}({', '.join(sorted(form.parameters))})" for form in forms)
        yield f"  {name}: {told}"
    lacking = [name for name in OPERATIONS if name not in claims.operations]
    yield f"operations: {len(claims.operations)} found; not found: {', '.join(lacking) or 'none'}"
    yield f"calls: {'coroutines' if claims.is_async else 'plain functions'}, judged by {', '.join(backend.runners)}"
    missing = missing_for(backend.operations)
    kinds = [kind for kind, needed in missing.items() if not needed]
    if kinds:
        yield f"kind: suggested is --keyconform-require {kinds[-1]}"
    for kind, needed in missing.items():
        if needed:
            yield f"  to be {kind} it lacks {', '.join(names.replace('|', ' or ') for names in needed)}"


def _clock(target: Target, backend: Backend) -> str:
    """Tell whether the backend's clock can be moved."""
    if target.dialogue is not None:
        return "can be told the time" if backend.clocked else "cannot be moved: its hello does not say so"
    if target.policies.durability == "none":
        return "moved with the clocks of this process"
    return "moved with the clocks of this process, unless its windows are those of its store"
