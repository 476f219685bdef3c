"""Replacing what modules hold by reference, and putting it back: functions of time, locks."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack

TESTING = ("_hypothesis_pytestplugin", "_pytest", "coverage", "execnet", "hypothesis", "pytest_keyconform")
_FOREIGN = {*sys.stdlib_module_names, *TESTING, "freezegun", "pytest"}  # not looked through
_LARGEST_WALK = 20_000  # objects of the watched modules that are looked at, a bound on the cost of entering


def put(stack: ExitStack, owner: object, name: str, value: object) -> None:
    """Set an attribute, and tell ``stack`` how to put it back."""
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


class Rebinder:
    """Replaces the references that modules hold, and tells ``stack`` how to put them back.

    ``replaced`` answers what takes the place of a value, or the value itself. Found are module globals, default
    arguments, closures (a dataclass' ``default_factory`` is one), class attributes, attributes of objects that the
    modules hold, and of objects of the modules ``inside``.
    """

    def __init__(self, stack: ExitStack, replaced: Callable[[object], object], *, inside: tuple[str, ...] = ()) -> None:
        self._stack = stack
        self._replaced = replaced
        self._inside = inside
        self._seen: set[int] = set()

    def rebind(self, modules: Iterable[ModuleType]) -> None:
        """Replace what these modules and those that they import hold."""
        near = list(modules)
        near += [held for module in near for held in vars(module).values() if isinstance(held, ModuleType)]
        for module in near:
            if not _is_foreign(module.__name__) and id(module) not in self._seen:
                self._seen.add(id(module))
                self._mapping(vars(module))

    def _swap(self, held: object, put: Callable[[object], object]) -> None:
        new = self._replaced(held)
        if new is held:
            self._visit(held)
        else:
            self._stack.callback(put, held)
            put(new)

    def _visit(self, value: object) -> None:
        if isinstance(value, ModuleType) or id(value) in self._seen or len(self._seen) > _LARGEST_WALK:
            return
        self._seen.add(id(value))
        if isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, type):
            self._class(value)
        elif isinstance(value, (classmethod, staticmethod, property)):
            self._visit(value.fget if isinstance(value, property) else value.__func__)
        elif isinstance(value, dict):
            self._mapping(value)
        elif type(value).__module__ in self._inside or not _is_foreign(type(value).__module__):
            self._mapping(_attributes(value))

    def _mapping(self, mapping: dict[str, object]) -> None:
        for key, held in list(mapping.items()):
            self._swap(held, partial(mapping.__setitem__, key))

    def _class(self, kind: type) -> None:
        for owner in kind.__mro__:
            for name, held in () if _is_foreign(owner.__module__) else list(vars(owner).items()):
                self._swap(held, partial(setattr, owner, name))

    def _function(self, function: FunctionType) -> None:
        if function.__defaults__:
            new = tuple(map(self._replaced, function.__defaults__))
            put(self._stack, function, "__defaults__", new)
        self._mapping(function.__kwdefaults__ or {})
        if "__name__" not in function.__globals__:  # made by exec with names of its own, as attrs does
            self._mapping(function.__globals__)
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # one that is still empty
                self._swap(cell.cell_contents, partial(setattr, cell, "cell_contents"))


def _is_foreign(module_name: object) -> bool:
    """Tell whether a module keeps its references: of the standard library, the test runner, this package."""
    return not isinstance(module_name, str) or module_name.partition(".")[0] in _FOREIGN


def _attributes(value: object) -> dict[str, object]:
    """Answer what an object holds, without asking the object: its own ``__getattr__`` may raise anything."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        return {}
    return held if isinstance(held, dict) else {}
