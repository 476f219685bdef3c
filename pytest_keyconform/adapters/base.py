"""What authors write: an `Adapter` for a backend without the audited surface (design: *Any other shape*)."""

from __future__ import annotations

import difflib
import functools
import inspect
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pytest_keyconform.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_keyconform.spec.pool import Pool

OPERATIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "open": (),
        "close": (),
        "acquire": ("model", "pool"),
        "release": ("lease",),
        "next_key": ("pool",),
        "random_key": ("model",),
        "record": ("lease", "model", "pool", "tokens", "outcome"),
        "fail": ("lease", "model", "pool", "retries", "status", "retry_after"),
        "usage": ("key", "model", "pool"),
        "reset_usage": (),
        "failures": ("key", "pool"),
        "is_valid": ("key", "pool"),
        "reset": ("key",),
        "reset_all": (),
        "reactivate": ("key", "model"),
        "status": ("pool",),
        "all_keys": (),
        "state": (),
        "reload": ("api_keys", "vertex_api_keys"),
        "instance": ("api_keys", "vertex_api_keys"),
        "tick": (),
        "health": (),
        "stream": ("model", "pool"),
        "call": ("model", "pool", "send"),
        "bulk": ("keys",),
        "configure": ("settings",),
        "is_secret": ("name",),
        "migrate": ("rows",),
        "advance_layer": (),
        "clock": ("now",),
    }
)
"""Every operation an adapter may have, with the names of the parameters it may take."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A key and what the backend needs to take it back: a label, a token, an index.

    An `acquire` that answers a plain str is read as ``Lease(key)``. Neither part is shown in the repr.
    """

    key: str = field(repr=False)
    handle: object = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one key was used for with one model: requests and tokens of the minute, requests of the day.

    None stands for what the backend does not count.
    """

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None


class Adapter:
    """The operations of one backend, as methods named as in `OPERATIONS`, each ``def`` or ``async def``.

    A subclass writes the operations the backend has. What it leaves out is not claimed: an operation, a
    parameter, an answer (``-> None``); `Unsupported` says so at run time. Helpers carry a leading
    underscore, data such as ``policies`` need none.

    Raises `AdapterError` when a subclass is made with a public method, or a parameter, that is none of those.
    """

    pool: Pool

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def __init_subclass__(cls, **options: object) -> None:
        """Refuse a misspelt operation where it is written, with the nearest right name."""
        super().__init_subclass__(**options)
        for name, method in _own_methods(cls):
            if name in OPERATIONS:
                _check_parameters(cls, name, method)
            elif not hasattr(Adapter, name):
                message = f"{_place(cls, name)} is no operation of an Adapter{nearest(name, OPERATIONS)}"
                raise AdapterError(f"{message}; a helper's name begins with an underscore")


def nearest(name: str, names: Iterable[str]) -> str:
    """Answer a hint at the most similar name, to be put behind a complaint, or "" where none is similar."""
    found = difflib.get_close_matches(name, list(names), n=1)
    return f", did you mean {found[0]!r}?" if found else ""


def _own_methods(cls: type) -> Iterator[tuple[str, object]]:
    kinds = (staticmethod, classmethod, functools.partialmethod)
    for name, value in list(vars(cls).items()):
        wrapped = callable(value) and hasattr(value, "__wrapped__") and not isinstance(value, type)
        if not name.startswith("_") and (inspect.isroutine(value) or isinstance(value, kinds) or wrapped):
            yield name, value


def _check_parameters(cls: type, name: str, method: object) -> None:
    allowed = OPERATIONS[name]
    for parameter in _parameters(method):
        private = parameter.name.startswith("_") and parameter.default is not parameter.empty
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if not (private or variadic or parameter.name in allowed):
            takes = ", ".join(allowed) or "nothing"
            message = f"{_place(cls, name)}: {parameter.name!r} is no parameter of {name}"
            raise AdapterError(f"{message}{nearest(parameter.name, allowed)}; it takes {takes}")


def _parameters(method: object) -> tuple[inspect.Parameter, ...]:
    bare = method.__func__ if isinstance(method, staticmethod | classmethod) else method
    if isinstance(bare, functools.partialmethod):
        rest = inspect.signature(bare.func).parameters.values()
        return tuple(one for one in rest if one.name not in bare.keywords)[1 + len(bare.args) :]
    try:
        found = tuple(inspect.signature(bare).parameters.values())  # type: ignore[arg-type]  # TypeError
    except (TypeError, ValueError):
        return ()
    owned = not isinstance(method, staticmethod) and bool(found)
    return found[1:] if owned and found[0].kind is not inspect.Parameter.VAR_POSITIONAL else found


def _place(cls: type, name: str) -> str:
    return f"{cls.__module__}.{cls.__qualname__}.{name}"
