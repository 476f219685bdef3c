"""The catalogue: every invariant that is judged, one class each, in the order of the families and of their ids."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from pytest_keyconform.catalogue.invariant import Invariant

if TYPE_CHECKING:
    from collections.abc import Iterator

FAMILIES: Final = (
    "ACQ",
    "QUO",
    "EXH",
    "UNK",
    "FAIL",
    "VTX",
    "FMT",
    "LIFE",
    "TIME",
    "LIVE",
    "DUR",
    "SRC",
    "CFG",
    "MIG",
    "SEC",
    "STR",
    "COST",
)
MODULES: Final = (
    "acquire",
    "available",
    "rotation",
    "leasing",
    "consistency",
    "quota",
    "accounts",
    "configured",
    "overrun",
    "exhaustion",
    "empty",
    "unknown",
    "naming",
    "strangers",
    "duplicates",
    "failure",
    "retrying",
    "keeping",
    "mixing",
    "recovery",
    "calling",
    "instructed",
    "vertex",
    "formats",
    "compatible",
    "answers",
    "opening",
    "lifecycle",
    "closed",
    "reloading",
    "exchanging",
    "holding",
    "windows",
    "clocks",
    "liveness",
    "livelock",
    "unseen",
    "cancelling",
    "blocking",
    "durability",
    "sharing",
    "enduring",
    "lasting",
    "source",
    "starting",
    "optional",
    "configuration",
    "migration",
    "secrets",
    "streaming",
    "growth",
    "scaling",
)


def _defined() -> Iterator[type[Invariant]]:
    """Yield the invariants that the modules define; a class imported into one is not its own."""
    for name in MODULES:
        module = importlib.import_module(f"{__name__}.{name}")
        for kind in vars(module).values():
            rule = isinstance(kind, type) and issubclass(kind, Invariant) and hasattr(kind, "id")
            if rule and kind.__module__ == module.__name__:
                yield kind


CATALOGUE: Final = tuple(sorted(_defined(), key=lambda kind: (FAMILIES.index(kind.family()), kind.id)))
