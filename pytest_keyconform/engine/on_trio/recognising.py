"""Which targets are written for trio and not for asyncio."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_keyconform.adapters.resolve import Target

_OTHERS = frozenset(("anyio", "asyncio", "sniffio"))
_SAID = ("must be called from async context", "Task got bad yield: <class 'trio.")  # what trio's calls raise elsewhere


def written_for_trio(target: Target, failures: Iterable[str] = ()) -> bool:
    """Tell whether the factory's module, or its package where that shows nothing, holds trio and nothing of asyncio.

    ``failures`` are what opening it in asyncio raised. What holds anyio runs in asyncio as well.
    """
    if "trio" not in sys.modules:
        return False
    if any(said in failure for failure in failures for said in _SAID):
        return True
    held = _held([] if target.module is None else [target.module]) or _held(target.modules())
    return "trio" in held and not held & _OTHERS


def _held(modules: Iterable[ModuleType]) -> frozenset[str]:
    """Answer which of the libraries the globals of modules come from."""
    values = [value for module in modules for value in vars(module).values()]
    return frozenset(_top(value) for value in values) & {"trio", *_OTHERS}


def _top(value: object) -> str:
    if isinstance(value, ModuleType):
        return value.__name__.partition(".")[0]
    kind = value if isinstance(value, type | FunctionType) else type(value)
    return str(kind.__module__).partition(".")[0]
