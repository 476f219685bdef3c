"""How a factory is handed a pool: the fields that its parameters are named after, or the pool itself."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from pytest_keyconform.adapters.base import nearest
from pytest_keyconform.errors import TargetError
from pytest_keyconform.spec.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Sequence

Factory: TypeAlias = Callable[..., object]
_FIELDS: Final = tuple(Pool.model_fields)


@dataclass(frozen=True, slots=True)
class Handing:
    """What a factory is handed, by position and by name. ``fields`` is None where it takes the pool."""

    fields: tuple[str, ...] | None
    placed: tuple[str, ...] = ()
    named: tuple[str, ...] = ()

    def call(self, factory: Factory, pool: Pool, *, handed: list[object] | None = None) -> object:
        """Call the factory, and answer what it answered: an awaitable or a context manager, maybe.

        The lists it is handed are appended to ``handed``.
        """
        placed = [self._value(name, pool) for name in self.placed]
        named = {name: self._value(name, pool) for name in self.named}
        if handed is not None:
            handed += [value for value in (*placed, *named.values()) if isinstance(value, list)]
        return factory(*placed, **named)

    def _value(self, name: str, pool: Pool) -> object:
        if self.fields is None:
            return pool
        value = getattr(pool, name)
        # Audited constructors take lists, and what one of them keeps or changes must not be another one's.
        return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, dict) else value


def handing(factory: Factory, address: str) -> Handing:
    """Read from a factory's signature how it is handed a pool; raises `TargetError` where it cannot be."""
    try:
        parameters = tuple(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):
        raise TargetError(f"{address}: the factory's signature cannot be read; wrap it in a function") from None
    named = [one for one in parameters if one.name in _FIELDS and not _variadic(one)]
    strange = [one for one in parameters if one.default is one.empty and one not in named and not _variadic(one)]
    if named and not strange:
        return _handing(tuple(one.name for one in named), named)
    taker = _taker(parameters, strange)
    needed = any(one.default is one.empty for one in named)
    if taker is None or needed:
        raise TargetError(f"{address}: {_refusal(parameters, strange)}")
    return _handing(None, [taker])


def _taker(parameters: Sequence[inspect.Parameter], strange: Sequence[inspect.Parameter]) -> inspect.Parameter | None:
    """Answer the parameter that takes the pool: the only one that is required, or the only one there is."""
    if strange:
        return strange[0] if len(strange) == 1 else None
    places = [one for one in parameters if one.kind is not one.VAR_KEYWORD]
    return places[0] if len(places) == 1 else next((one for one in places if one.name == "pool"), None)


def _handing(fields: tuple[str, ...] | None, parameters: Sequence[inspect.Parameter]) -> Handing:
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)
    return Handing(
        fields,
        tuple(one.name for one in parameters if one.kind in places),
        tuple(one.name for one in parameters if one.kind not in places),
    )


def _refusal(parameters: Sequence[inspect.Parameter], strange: Sequence[inspect.Parameter]) -> str:
    expected = f"expected one argument, the Pool, or parameters named after its fields ({', '.join(_FIELDS)})"
    if not parameters:
        return f"the factory takes no argument; {expected}"
    if strange:
        name = strange[0].name
        return f"the factory requires {name!r}, which is no field of Pool{nearest(name, _FIELDS)}; {expected}"
    taken = ", ".join(one.name for one in parameters)
    return f"none of the factory's parameters ({taken}) is a field of Pool or takes one; {expected}"


def _variadic(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
