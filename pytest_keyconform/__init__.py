"""pytest-keyconform: an executable specification for API-key managers.

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_keyconform.adapters.base import Adapter, Lease, Usage
    from pytest_keyconform.errors import KeyconformError, Unsupported, UsageError
    from pytest_keyconform.machines import KeyManagerMachine
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.spec.pool import Limits, Pool

__all__ = [
    "Adapter",
    "KeyManagerMachine",
    "KeyconformError",
    "Lease",
    "Limits",
    "Policies",
    "Pool",
    "Unsupported",
    "Usage",
    "UsageError",
]

_HOMES = {
    "Adapter": "adapters.base",
    "KeyManagerMachine": "machines",
    "KeyconformError": "errors",
    "Lease": "adapters.base",
    "Limits": "spec.pool",
    "Policies": "spec.policies",
    "Pool": "spec.pool",
    "Unsupported": "errors",
    "Usage": "adapters.base",
    "UsageError": "errors",
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
