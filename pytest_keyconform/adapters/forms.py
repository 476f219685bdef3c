"""Fitting a method to an operation: which parameter means what, and how a step's arguments reach it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import CodeType, FunctionType
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from pytest_keyconform.adapters.raised import short
from pytest_keyconform.adapters.signatures import answer_text, is_async, signature_of
from pytest_keyconform.operation import Form

REGULAR: Final = frozenset({"regular"})
VERTEX: Final = frozenset({"vertex"})
BOTH: Final = REGULAR | VERTEX

Arguments: TypeAlias = Mapping[str, object]
LEFT_OUT: Final = object()
"""What a `Slot` reads where the step says nothing: the argument is left out where that can be."""

_BUILTIN: Final = {kind.__name__: kind for kind in (bool, dict, float, int, list, str, tuple)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One parameter of a signature as the design has it.

    ``name`` is what it is called there, ``also`` are other names for it, ``means`` the design's parameter.
    ``read`` answers its value for a step, or `LEFT_OUT`; ``fill`` is given where it cannot be left out.
    ``extra`` tells that the audited signature does not have it: it is met by its name alone.
    ``needed`` tells that a method without it is not this operation.
    """

    name: str
    means: str
    read: Callable[[Arguments], object]
    also: frozenset[str] = frozenset()
    kind: type = str
    fill: object = None
    extra: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Passing:
    """How one slot reaches a method: by ``keyword``, or by position where that is None.

    ``default`` keeps the place of a positional argument that is left out before one that is given.
    """

    slot: Slot
    keyword: str | None
    required: bool
    default: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """How a function is called as a form of an operation.

    ``sites`` are the design's parameters that call sites pass by position, for each pool they call it for.
    """

    form: Form
    slots: tuple[Slot, ...] = ()
    passing: tuple[Passing, ...] = ()
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bound:
    """One method bound as a form of an operation."""

    method: Callable[..., object]
    fitted: Fitted

    @property
    def form(self) -> Form:
        """What is claimed."""
        return self.fitted.form

    def passed(self, arguments: Arguments) -> tuple[list[object], dict[str, object]]:
        """Answer what its signature takes, by position and by name."""
        placed: list[object] = []
        gap: list[object] = []
        named: dict[str, object] = {}
        for passing in self.fitted.passing:
            value = passing.slot.read(arguments)
            if value is LEFT_OUT and passing.required:
                value = passing.slot.fill
            if passing.keyword is None:
                gap.append(passing.default if value is LEFT_OUT else value)
                if value is not LEFT_OUT:
                    placed, gap = [*placed, *gap], []
            elif value is not LEFT_OUT:
                named[passing.keyword] = value
        return placed, named

    def passed_as_sites_do(self, arguments: Arguments, pool: str) -> list[object]:
        """Answer what call sites pass, all by position, whatever its signature says."""
        means = self.fitted.sites.get(pool)
        slots = [slot for slot in self.fitted.slots if (not slot.extra if means is None else slot.means in means)]
        values = [(slot, slot.read(arguments)) for slot in slots]
        while values and values[-1][1] is LEFT_OUT and (means is None or values[-1][0].means == "model"):
            values.pop()
        return [slot.fill if value is LEFT_OUT else value for slot, value in values]

    def for_pools(self, pools: frozenset[str]) -> Bound:
        """Answer the same for these pools only."""
        return Bound(self.method, replace(self.fitted, form=replace(self.form, pools=pools)))


def bind(
    method: Callable[..., object],
    name: str,
    slots: tuple[Slot, ...],
    *,
    pools: frozenset[str] = BOTH,
    sites: Mapping[str, tuple[str, ...]] | None = None,
) -> Bound | str:
    """Bind a method by its signature, or answer why that cannot be.

    A parameter is met by its name, and where ``sites`` says that the method is audited, by its position too.
    ``pools`` are those of a form that names no pool.
    """
    function = getattr(method, "__func__", method)
    known = _KNOWN.setdefault(function, {}) if isinstance(function, FunctionType) else {}
    fitted = known.get((name, sites is None))
    if fitted is None:
        fitted = known[name, sites is None] = _fit(method, name, slots, pools, sites)
    return fitted if isinstance(fitted, str) else Bound(method, fitted)


_KNOWN: Final[WeakKeyDictionary[FunctionType, dict[tuple[str, bool], Fitted | str]]] = WeakKeyDictionary()
"""What was found for a function: its signature is read once, though managers are made anew all the time."""


def _fit(
    method: Callable[..., object],
    name: str,
    slots: tuple[Slot, ...],
    pools: frozenset[str],
    sites: Mapping[str, tuple[str, ...]] | None,
) -> Fitted | str:
    try:
        signature = signature_of(method)
    except (TypeError, ValueError):
        return "its signature cannot be read"
    fit = _Fit(signature, slots, by_position=sites is not None)
    refusal = fit.refusal()
    if refusal:
        return refusal
    passing = tuple(fit.passing())
    means = _carried(slots, {one.slot.name for one in passing})
    form = Form(
        name=name,
        parameters=frozenset(means),
        optional=frozenset(means - {one.slot.means for one in passing if one.required}),
        pools=BOTH if "pool" in means else pools,
        answers=answer_text(signature) not in ("None", "NoneType"),
        is_async=is_async(method, signature),
        where=_defined(method),
    )
    return Fitted(form=form, slots=slots, passing=passing, sites=sites or {})


def _defined(method: Callable[..., object]) -> str:
    """Answer the ``file:line`` where a method is defined, whatever is wrapped around it; "" unknown."""
    with contextlib.suppress(ValueError):  # wrapped in itself
        code = getattr(inspect.unwrap(method), "__code__", None)
        if isinstance(code, CodeType):
            return f"{short(code.co_filename)}:{code.co_firstlineno}"
    return ""


def _carried(slots: tuple[Slot, ...], reached: set[str]) -> set[str]:
    """Answer the design's parameters that get through whole: an outcome needs both slots that carry it."""
    return {slot.means for slot in slots if all(one.name in reached for one in slots if one.means == slot.means)}


class _Fit:
    """Which parameter of a signature stands for which slot: ``chosen``, by the parameter's name."""

    def __init__(self, signature: inspect.Signature, slots: tuple[Slot, ...], *, by_position: bool) -> None:
        self.parameters = tuple(signature.parameters.values())
        self.slots = slots
        self.chosen: dict[str, Slot] = {}
        kinds = {parameter.kind for parameter in self.parameters}
        self.takes_any_name = inspect.Parameter.VAR_KEYWORD in kinds
        self.takes_any_place = inspect.Parameter.VAR_POSITIONAL in kinds and not self.takes_any_name
        self.placed = [one for one in self.parameters if one.kind <= inspect.Parameter.POSITIONAL_OR_KEYWORD]
        self._by_name()
        if by_position:
            self._by_position()

    def free(self) -> list[Slot]:
        taken = {slot.name for slot in self.chosen.values()}
        return [slot for slot in self.slots if slot.name not in taken]

    def _by_name(self) -> None:
        for names_of in (lambda slot: {slot.name}, lambda slot: slot.also):
            for parameter in self.parameters:
                if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                    continue
                found = [slot for slot in self.free() if parameter.name in names_of(slot)]
                if found and parameter.name not in self.chosen:
                    self.chosen[parameter.name] = found[0]

    def _by_position(self) -> None:
        for parameter, slot in zip(self.placed, self.slots, strict=False):
            met = parameter.name in self.chosen or slot not in self.free() or slot.extra
            if not met and _could_be(parameter, slot.kind):
                self.chosen[parameter.name] = slot

    def refusal(self) -> str:
        unknown = [one.name for one in self.parameters if one.name not in self.chosen and _required(one)]
        if unknown:
            return f"its parameter {unknown[0]!r} is none of the audited ones"
        reached = {one.slot.name for one in self.passing()}
        missing = [slot.name for slot in self.slots if slot.needed and slot.name not in reached]
        return f"it takes no {missing[0]!r}" if missing else ""

    def passing(self) -> Iterator[Passing]:
        for parameter in self.parameters:
            slot = self.chosen.get(parameter.name)
            placed = parameter in self.placed and (self.takes_any_place or parameter.kind is parameter.POSITIONAL_ONLY)
            if slot is None and placed:
                # An argument of its own that no step gives: it keeps its default, and its place.
                slot = Slot(name=parameter.name, means="", read=lambda _: LEFT_OUT)
            if slot is not None:
                required = parameter.default is parameter.empty
                default = None if required else parameter.default
                yield Passing(slot, None if placed else parameter.name, required, default)
        rest = [slot for slot in self.free() if not slot.extra]
        if self.takes_any_name:
            yield from (Passing(slot, slot.name, required=False) for slot in rest)
        elif self.takes_any_place:
            yield from (Passing(slot, None, required=False, default=slot.fill) for slot in rest)


def _required(parameter: inspect.Parameter) -> bool:
    variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and not variadic


def _could_be(parameter: inspect.Parameter, kind: type) -> bool:
    """Tell whether neither the default nor a plain annotation speaks against a parameter of this kind."""
    default, annotation = parameter.default, parameter.annotation
    if default is not parameter.empty and default is not None and type(default) is not kind:
        return False
    plain = _BUILTIN.get(annotation) if isinstance(annotation, str) else annotation
    return plain is kind or plain not in _BUILTIN.values()
