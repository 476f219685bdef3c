"""pytest-keyconform: an executable specification for API-key managers.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_keyconform.adapters.base import Adapter, Lease, Usage
    from pytest_keyconform.engine.open.program import Outcome
    from pytest_keyconform.errors import KeyconformError, Unsupported, UsageError
    from pytest_keyconform.exploring import Broken, Explored, NotJudged, explore
    from pytest_keyconform.machines import KeyManagerMachine
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.spec.pool import Limits, Pool
    from pytest_keyconform.upstream import Answer

__all__ = [
    "Adapter",
    "Answer",
    "Broken",
    "Explored",
    "KeyManagerMachine",
    "KeyconformError",
    "Lease",
    "Limits",
    "NotJudged",
    "Outcome",
    "Policies",
    "Pool",
    "Unsupported",
    "Usage",
    "UsageError",
    "explore",
]

_HOMES = {
    "Adapter": "adapters.base",
    "Answer": "upstream",
    "Broken": "exploring",
    "Explored": "exploring",
    "KeyManagerMachine": "machines",
    "KeyconformError": "errors",
    "Lease": "adapters.base",
    "Limits": "spec.pool",
    "NotJudged": "exploring",
    "Outcome": "engine.open.program",
    "Policies": "spec.policies",
    "Pool": "spec.pool",
    "Unsupported": "errors",
    "Usage": "adapters.base",
    "UsageError": "errors",
    "explore": "exploring",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    home = _HOMES.get(name)
    if home is None:
        message = f"module 'pytest_keyconform' has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"pytest_keyconform.{home}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return [*globals(), *__all__]
