"""From what the user named to a factory, and from that to an opened manager (*Target and factory*)."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import re
import sys
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pytest_keyconform.adapters.audited import is_audited
from pytest_keyconform.adapters.base import Adapter, nearest
from pytest_keyconform.adapters.connection import Connection, connect
from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.passing import Factory, Handing, handing
from pytest_keyconform.adapters.raised import Agreement, is_harness, message_of, packages_of, place_of, raised
from pytest_keyconform.adapters.registered import REGISTERED
from pytest_keyconform.errors import KeyconformError, TargetError
from pytest_keyconform.spec.policies import Policies

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_keyconform.spec.pool import Pool

ENTRY_POINTS: Final = "keyconform.targets"
_MODULE: Final = re.compile(r"[\w-]+(\.[\w-]+)*")
_ELSEWHERE: Final = ("http:", "https:", "stdio:")


class OpeningFailed(KeyconformError):
    """The factory, or the opening of what it made, raised. Its text is one line that holds no key.

    ``stage`` is ``factory`` or ``opening``, ``cause`` what was raised; ``opened`` is the manager that could
    not be opened, None where the factory raised.
    """

    def __init__(self, text: str, *, stage: str, cause: BaseException, opened: Opened | None = None) -> None:
        super().__init__(text)
        self.stage = stage
        self.cause = cause
        self.opened = opened


@dataclass(slots=True)
class Opened:
    """A manager and the way to call it. ``answer`` is what its open operation answered, else None.

    ``handed`` are the lists that the factory was given.
    """

    manager: object
    connection: Connection
    answer: object = None
    handed: list[object] = field(default_factory=list, repr=False)
    _leave: AsyncExitStack = field(default_factory=AsyncExitStack, repr=False)

    async def close(self) -> None:
        """Close the manager, where it has an operation for that, and leave the context it was made in."""
        async with self._leave:
            if "close" in self.connection.claims.operations:
                await _settled(self.connection.invoke("close", {}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A factory and what it declares. Every call of `opened` makes a fresh manager.

    ``name`` is what the user calls it, ``text`` what was named. ``fields`` are the fields of a `Pool` that
    the factory takes by name; None: it takes the pool itself.
    """

    name: str
    text: str
    factory: Factory
    policies: Policies
    fields: tuple[str, ...] | None
    handing: Handing = field(repr=False)

    @property
    def module(self) -> ModuleType | None:
        """The module that the factory was found in, where the provider is looked for."""
        return sys.modules.get(self.text.partition(":")[0])

    def modules(self) -> list[ModuleType]:
        """Answer the loaded modules of the package that the factory comes from."""
        home = getattr(self.module, "__name__", "").partition(".")[0]
        found = (module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] == home)
        return [module for module in found if isinstance(module, ModuleType)]  # type: ignore[redundant-expr] # may not be

    @property
    def agreement(self) -> Agreement:
        """Which errors of the factory are typed."""
        owner = self.factory if isinstance(self.factory, type) else inspect.unwrap(self.factory)
        return Agreement(self.policies, packages_of(owner, self.module))

    async def opened(self, pool: Pool) -> Opened:
        """Make a fresh manager on a pool and open it.

        Raises `OpeningFailed` where the backend raised, and `TargetError` where what was made cannot be
        bound. Suspends only where the backend does.
        """
        opened = await self.made(pool)
        try:
            if "open" in opened.connection.claims.operations:
                opened.answer = await _settled(opened.connection.invoke("open", {}))
        except BaseException as error:
            if _passes(error):
                raise
            raise self._failure(error, "opening", pool, opened) from error
        return opened

    async def made(self, pool: Pool) -> Opened:
        """Make a fresh manager on a pool, not opened yet."""
        leave = AsyncExitStack()
        given = pool.as_secrets() if self.policies.secret_keys else pool
        handed: list[object] = []
        try:
            manager = await _entered(await _settled(self.handing.call(self.factory, given, handed=handed)), leave)
        except BaseException as error:
            if _passes(error):
                raise
            raise self._failure(error, "factory", pool) from error
        try:
            connection = connect(manager, pool, module=self.module, given=self.fields)
        except TargetError as error:
            await leave.aclose()
            raise TargetError(f"{self.text}: {error}") from None
        return Opened(manager, connection, None, handed, leave)

    def _failure(self, error: BaseException, stage: str, pool: Pool, opened: Opened | None = None) -> OpeningFailed:
        record = raised(error, self.agreement, Keyring.of(pool).redact, bad_input=False)
        place = f" at {record.where}" if record.where else ""
        text = f"{self.text}: the {stage} raised {record.kind}: {record.message}{place}"
        return OpeningFailed(text, stage=stage, cause=error, opened=opened)


def resolve(
    text: str,
    *,
    roots: Sequence[Path],
    targets: Mapping[str, object] | None = None,
    name: str | None = None,
    policies: Mapping[str, Any] | None = None,
) -> Target:
    """Find and import the factory that was named: ``module:factory``, or the name of a registered target.

    Modules are looked up in ``roots`` first, which stay at the front of ``sys.path``: a backend may import
    late. ``targets`` is the user's own table of names, ``name`` what to call it, ``policies`` what is
    declared for it beside (and before) what the factory carries. Raises `TargetError`, in one message, for
    what cannot be used.
    """
    address, declared = _registered(text, dict(targets or {}))
    module_name, colon, path = address.partition(":")
    if not (colon and path and _MODULE.fullmatch(module_name)):
        raise TargetError(f"{text!r}: expected module:factory with a module's dotted name, found {address!r}")
    _look_first_in(roots)
    module = _imported(module_name, address, roots)
    factory = _attribute(module, path, address)
    if not callable(factory):
        raise TargetError(f"{address}: expected a factory, found {_a(factory)}, which cannot be called")
    hands = handing(factory, address)
    return Target(
        name=name or text,
        text=address,
        factory=factory,
        policies=_policies(factory, {**declared, **(policies or {})}, address),
        fields=hands.fields,
        handing=hands,
    )


def _registered(text: str, targets: dict[str, object]) -> tuple[str, dict[str, Any]]:
    """Answer the ``module:factory`` that a name stands for, and the policies declared for it."""
    declared: dict[str, Any] = {}
    registered: dict[str, object] = dict(REGISTERED)
    registered |= {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    known = {*registered, *targets}
    address: object = text
    # Each name leads on once: the user's ``reference`` may stand for the registered one with other policies.
    for table in (targets, registered):
        while isinstance(address, str) and address in table:
            entry = table.pop(address)
            address = entry.get("target") if isinstance(entry, Mapping) else entry
            declared = {**_declared(entry, text), **declared}
    if not isinstance(address, str):
        raise TargetError(f"{text}: expected a target such as 'package.module:factory', found {address!r}")
    if address.startswith(_ELSEWHERE):
        kind = address.partition(":")[0]
        message = f"{address!r}: {kind} targets are not available in this version; name module:factory"
        raise TargetError(message)
    if ":" not in address:
        names = ", ".join(sorted(known))
        hint = nearest(address, known)
        raise TargetError(f"{address!r}: expected module:factory or a registered target ({names}){hint}")
    return address, declared


def _declared(entry: object, text: str) -> dict[str, Any]:
    declared = entry.get("policies") if isinstance(entry, Mapping) else None
    if not isinstance(declared, Mapping | None):
        raise TargetError(f"{text}: policies: expected a table of policies, found {declared!r}")
    return dict(declared or {})


def _look_first_in(roots: Sequence[Path]) -> None:
    for root in reversed([str(root) for root in roots]):
        if sys.path[:1] != [root]:
            sys.path[:] = [root, *(path for path in sys.path if path != root)]
    importlib.invalidate_caches()


def _imported(name: str, address: str, roots: Sequence[Path]) -> ModuleType:
    try:
        return importlib.import_module(name)
    except BaseException as error:
        if is_harness(error) and not isinstance(error, KeyconformError):
            raise
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            places = ", ".join(map(str, roots)) or "no further folder"
            raise TargetError(f"{address}: there is no module {error.name!r} in {places} or on sys.path") from None
        place = place_of(error, frozenset({name.partition(".")[0]}))
        where = f" at {place}" if place else ""
        what = f"{type(error).__name__}: {' '.join(message_of(error).split())}"
        raise TargetError(f"{address}: importing {name} raised {what}{where}") from error


def _attribute(module: ModuleType, path: str, address: str) -> object:
    found: object = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [one for one in dir(found) if not one.startswith("_")]
            where = f"module {module.__name__}" if found is module else _a(found)
            message = f"{address}: {where} has no attribute {part!r}{nearest(part, names)}"
            raise TargetError(message) from None
    return found


def _policies(factory: object, declared: Mapping[str, Any], address: str) -> Policies:
    carried = getattr(factory, "policies", None) or {}
    if isinstance(carried, Policies):
        carried = carried.model_dump(exclude_unset=True)
    if not isinstance(carried, Mapping):
        raise TargetError(f"{address}: policies: expected a Policies or a dict of its fields, found {_a(carried)}")
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


def _a(value: object) -> str:
    return value.__name__ if isinstance(value, type) else f"{type(value).__name__} {value!r:.60}"


def _passes(error: BaseException) -> bool:
    """Tell whether an error is the harness' own, or its cancellation: no answer of the backend."""
    return is_harness(error) or isinstance(error, asyncio.CancelledError | GeneratorExit)


async def _settled(answer: object) -> object:
    return await answer if isinstance(answer, Awaitable) else answer


async def _entered(made: object, leave: AsyncExitStack) -> object:
    """Enter what a context-manager factory made; a manager that happens to be one is left alone."""
    if isinstance(made, Adapter) or is_audited(made):
        return made
    if hasattr(type(made), "__aenter__"):
        return await leave.enter_async_context(made)  # type: ignore[arg-type]  # it has __aenter__
    if hasattr(type(made), "__enter__"):
        return leave.enter_context(made)  # type: ignore[arg-type]  # it has __enter__
    return made
