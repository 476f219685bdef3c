"""The catalogue: every audited invariant, one class each, in the order of the families and of their ids."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_keyconform.catalogue.invariant import Invariant

FAMILIES: Final = (
    "acquire",
    "rotation",
    "quota",
    "accounts",
    "configured",
    "exhaustion",
    "empty",
    "unknown",
    "naming",
    "strangers",
    "duplicates",
    "failure",
    "retrying",
    "keeping",
    "recovery",
    "vertex",
    "formats",
    "answers",
    "liveness",
)


def _all() -> tuple[type[Invariant], ...]:
    """Import the families and answer their invariants; a class defined anywhere else is not one of them."""
    from pytest_keyconform.catalogue.invariant import Invariant as Base

    found = []
    for family in FAMILIES:
        try:
            module = importlib.import_module(f"pytest_keyconform.catalogue.{family}")
        except ModuleNotFoundError:
            continue
        found += [
            k
            for k in vars(module).values()
            if isinstance(k, type) and issubclass(k, Base) and k.__module__ == module.__name__ and hasattr(k, "id")
        ]
    order = ["ACQ", "QUO", "EXH", "UNK", "FAIL", "VTX", "FMT", "LIVE"]
    return tuple(sorted(found, key=lambda k: (order.index(k.family()), k.id)))


CATALOGUE: Final = _all()
