"""What a target's name stands for, and the policies that are declared for it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Final

from pydantic import ValidationError

from pytest_keyconform.adapters.base import nearest
from pytest_keyconform.errors import TargetError
from pytest_keyconform.spec.policies import Policies

ENTRY_POINTS: Final = "keyconform.targets"
REGISTERED: Final[Mapping[str, object]] = {
    "reference": "keyconform_reference:make_manager",
    "reference-lease": "pytest_keyconform.adapters.reference:ReferenceAdapter",
    "reference-sqlite": "keyconform_reference.embedded:make_manager",
    "reference-postgres": "keyconform_reference.servers.postgres:make_manager",
    "reference-redis": "keyconform_reference.servers.redis:make_manager",
    "reference-http": {
        "target": "http://127.0.0.1:{port}",
        "start": [sys.executable, "-m", "keyconform_reference.running", "--port", "{port}", "--protocol"],
    },
}
ELSEWHERE: Final = ("http:", "https:", "stdio:")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a name leads to: the ``address``, the ``policies`` declared for it, and how it is run (``settings``)."""

    address: str
    policies: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def elsewhere(self) -> bool:
        """Whether the backend lives in another process."""
        return self.address.startswith(ELSEWHERE)


def registered(text: str, targets: dict[str, object]) -> Entry:
    """Answer what a name stands for; raises `TargetError` for a name that stands for nothing."""
    declared: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    usual: dict[str, object] = dict(REGISTERED)
    usual |= {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    known = {*usual, *targets}
    address: object = text
    # Each name leads on once: the user's ``reference`` may stand for the registered one with other policies.
    for table in (targets, usual):
        while isinstance(address, str) and address in table:
            entry = table.pop(address)
            address = entry.get("target") if isinstance(entry, Mapping) else entry
            declared = {**_declared(entry, text), **declared}
            settings = {**_settings(entry), **settings}
    if not isinstance(address, str):
        raise TargetError(f"{text}: expected a target such as 'package.module:factory', found {address!r}")
    if ":" not in address:
        names = ", ".join(sorted(known))
        hint = nearest(address, known)
        raise TargetError(f"{address!r}: expected module:factory or a registered target ({names}){hint}")
    return Entry(address, declared, settings)


def _settings(entry: object) -> dict[str, Any]:
    table = entry if isinstance(entry, Mapping) else {}
    return {name: value for name, value in table.items() if name not in ("target", "policies") and value is not None}


def _declared(entry: object, text: str) -> dict[str, Any]:
    declared = entry.get("policies") if isinstance(entry, Mapping) else None
    if not isinstance(declared, Mapping | None):
        raise TargetError(f"{text}: policies: expected a table of policies, found {declared!r}")
    return dict(declared or {})


def policies_of(factory: object, declared: Mapping[str, Any], address: str) -> Policies:
    """Answer the policies that a factory carries, and those declared before them; raises `TargetError`."""
    carried = getattr(factory, "policies", None) or {}
    if isinstance(carried, Policies):
        carried = carried.model_dump(exclude_unset=True)
    if not isinstance(carried, Mapping):
        raise TargetError(f"{address}: policies: expected a Policies or a dict of its fields, found {a(carried)}")
    try:
        return Policies.of({**carried, **declared})
    except ValidationError as error:
        raise TargetError(f"{address}: {_complaint(error)}") from None


def _complaint(error: ValidationError) -> str:
    """Say of each field what was expected and what was found."""
    said: dict[str, list[str]] = {}
    for problem in error.errors():
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            said[name] = [f"there is no such policy{nearest(name, Policies.model_fields)}"]
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            said.setdefault(name, [f"found {problem['input']!r}, expected"])
            said[name].append(message.removeprefix("expected ") if len(said[name]) == 1 else f"or {message}")
    return "; ".join(f"policies.{name}: {' '.join(words)}" for name, words in said.items())


def a(value: object) -> str:
    """Name what was found in the place of something else."""
    return value.__name__ if isinstance(value, type) else f"{type(value).__name__} {value!r:.60}"
