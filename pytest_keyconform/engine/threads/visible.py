"""Which instructions of a code object are visible to other threads: where a choice can make a difference.

Between two visible instructions a thread touches nothing that others see, so nothing is lost by letting it run on.
An attribute that nobody stores outside of constructors is no such thing, nor is a call of a function that is traced
itself: its own instructions are visible. What cannot be told is taken as visible.
"""

from __future__ import annotations

import builtins
import collections
import dis
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from pytest_keyconform.engine.threads.stack import CALLS, Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import FrameType

# Subscripts, iteration, containment, and what unpacks a container in C.
_ALWAYS: Final = frozenset(
    {
        "BINARY_SLICE",
        "BINARY_SUBSCR",
        "CONTAINS_OP",
        "DELETE_ATTR",
        "DELETE_DEREF",
        "DELETE_GLOBAL",
        "DELETE_SUBSCR",
        "DICT_MERGE",
        "DICT_UPDATE",
        "FOR_ITER",
        "GET_ITER",
        "LIST_EXTEND",
        "SET_UPDATE",
        "STORE_ATTR",
        "STORE_DEREF",
        "STORE_GLOBAL",
        "STORE_SLICE",
        "STORE_SUBSCR",
        "UNPACK_SEQUENCE",
    }
)
_ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR"})
_CELLS: Final = frozenset({"LOAD_CLASSDEREF", "LOAD_DEREF", "LOAD_FROM_DICT_OR_DEREF"})
_NAMES: Final = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_CONSTRUCTORS: Final = frozenset({"__init__", "__post_init__", "__new__", "__set_name__", "__init_subclass__"})
_STORES: Final = frozenset(f"{verb}_{what}" for verb in ("STORE", "DELETE") for what in ("ATTR", "DEREF", "GLOBAL"))
_DYNAMIC: Final = frozenset({"setattr", "delattr", "__setattr__", "__delattr__", "__dict__", "vars"})
# Builtins that look at nothing but what they are given by value, or only make something new.
_HARMLESS: Final = frozenset(
    {
        "bool", "bytes", "callable", "float", "format", "hash", "id", "int", "isinstance", "issubclass",
        "object", "ord", "chr", "print", "property", "range", "repr", "round", "slice", "str", "super", "type",
        *(name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)),
    }
)  # fmt: skip
_CONTAINERS: Final = frozenset(
    name
    for kind in (dict, list, set, frozenset, collections.deque, collections.OrderedDict)
    for name in dir(kind)
    if not name.startswith("_")
)
_STDLIB: Final = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")}
    | {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
)
_SITE: Final = ("site-packages", "dist-packages")
# Installed libraries whose inside is taken to be sound; calling them is visible.
_LIBRARIES: Final = frozenset(
    {
        "_hypothesis_pytestplugin", "_pytest", "anyio", "asyncpg", "attr", "attrs", "certifi", "charset_normalizer",
        "coverage", "dateutil", "dotenv", "execnet", "freezegun", "frontrun", "greenlet", "h11", "httpcore", "httpx",
        "hypothesis", "idna", "iniconfig", "numpy", "packaging", "pandas", "pluggy", "pydantic", "pydantic_core",
        "pydantic_settings", "pydevd", "pygments", "pytest", "pytest_cov", "pytz", "redis", "requests", "respx",
        "sniffio", "sortedcontainers", "sqlalchemy", "structlog", "typing_extensions", "tzdata", "tzlocal", "urllib3",
        "xdist", "yaml",
    }
)  # fmt: skip
_OWN: Final = str(Path(__file__).parents[2])


class Scope:
    """What is traced, and what of it is visible.

    ``_stored`` are the names of attributes that code stores outside of constructors, ``_dynamic`` the folders of code
    that stores some by names that cannot be read: there every attribute is visible.
    """

    def __init__(self) -> None:
        self._files: dict[str, bool] = {}
        self._visible: dict[CodeType, dict[int, str]] = {}
        self._known: set[CodeType] = set()
        self._read: dict[str, ModuleType] = {}
        self._stored: set[str] = set()
        self._dynamic: set[str] = set()
        self._globals: set[str] = set()
        self._cells: set[str] = set()
        self._defined: set[str] = set()

    def traces(self, filename: str) -> bool:
        """Tell whether code of a file belongs to the backend, or to what it uses beside well-kept libraries."""
        known = self._files.get(filename)
        if known is None:
            known = self._files[filename] = is_backend(filename)
        return known

    @property
    def codes(self) -> frozenset[CodeType]:
        """What was read so far."""
        return frozenset(self._known)

    def reached(self, roots: Iterable[ModuleType]) -> list[ModuleType]:
        """Answer the modules that are traced among these, those they hold, and those of what they hold, and so on."""
        found: dict[str, ModuleType] = {}
        waiting = list(roots)
        while waiting:
            module = waiting.pop()
            if module.__name__ in found or not self.traces(getattr(module, "__file__", None) or "<"):
                continue
            found[module.__name__] = module
            names = {_home(value) for value in list(vars(module).values())}
            waiting += [sys.modules[name] for name in sorted(names) if isinstance(sys.modules.get(name), ModuleType)]
        return list(found.values())

    def learn(self, modules: Iterable[ModuleType]) -> None:
        """Read the code of modules that were not read before."""
        fresh = [module for module in modules if self._read.get(module.__name__) is not module]
        self._read.update({module.__name__: module for module in fresh})
        found = [code for module in fresh for code in _codes_of(module) if self.traces(code.co_filename)]
        for code in found:
            self._known.add(code)
            self._defined.add(code.co_name)
            self._store(code)
        if found:
            self._visible.clear()

    def _store(self, code: CodeType) -> None:
        stores = [(one.opname, one.argval) for one in dis.get_instructions(code) if one.opname in _STORES]
        self._globals.update(name for opname, name in stores if opname.endswith("GLOBAL"))
        cells = [name for opname, name in stores if opname.endswith("DEREF")]
        self._cells.update(name for name in cells if name in code.co_freevars or cells.count(name) > 1)
        if _DYNAMIC.intersection(code.co_names):
            self._dynamic.add(_folder(code))
        if code.co_name not in _CONSTRUCTORS:
            self._stored.update(name for opname, name in stores if opname.endswith("ATTR"))

    def visible(self, code: CodeType) -> Mapping[int, str]:
        """Answer the offsets of the visible instructions of a code object.

        With a name: it calls what that variable holds, and is not visible where that is a function that is traced.
        """
        known = self._visible.get(code)
        if known is None:
            known = self._visible[code] = dict(self._offsets(code))
        return known

    def hides(self, frame: FrameType, name: str) -> bool:
        """Tell whether a variable holds a function whose own instructions are told of."""
        value = frame.f_locals.get(name)
        value = getattr(value, "__func__", value)
        return isinstance(value, FunctionType) and self.traces(value.__code__.co_filename)

    def _offsets(self, code: CodeType) -> Iterator[tuple[int, str]]:
        stack, known = Stack(), code in self._known and _folder(code) not in self._dynamic
        for one in dis.get_instructions(code):
            callee = stack.step(one)
            if one.opname in CALLS and self._reaches(callee):
                held = callee is not None and callee.opname not in _NAMES | _ATTRIBUTES
                yield one.offset, str(callee.argval) if held and callee is not None else ""
            elif one.opname in _ALWAYS or self._changes(one, known):
                yield one.offset, ""

    def _changes(self, one: dis.Instruction, known: bool) -> bool:  # noqa: FBT001 - of one caller
        """Tell whether an instruction reads a name that somebody stores, or may store where it is not ``known``."""
        if one.opname in _ATTRIBUTES:
            return one.argval in self._stored or not known
        return one.argval in (
            self._globals if one.opname == "LOAD_GLOBAL" else self._cells if one.opname in _CELLS else ()
        )

    def _reaches(self, callee: dis.Instruction | None) -> bool:
        """Tell whether a call may reach what others see."""
        if callee is None or callee.opname not in _NAMES | _ATTRIBUTES:
            return True
        if callee.opname in _NAMES:
            return callee.argval not in _HARMLESS and callee.argval not in self._defined
        return callee.argval not in self._defined or callee.argval in _CONTAINERS


def _codes_of(module: ModuleType) -> Iterator[CodeType]:
    """Yield the code objects that a module's functions and classes hold, with those inside of them."""
    seen: set[int] = set()
    waiting: list[Any] = list(vars(module).values())
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, CodeType):
            yield value
            waiting += [one for one in value.co_consts if isinstance(one, CodeType)]
        elif isinstance(value, type):
            if value.__module__ == module.__name__:
                waiting += list(vars(value).values())
        else:
            waiting += _inside(value)


def _inside(value: object) -> list[Any]:
    if isinstance(value, (classmethod, staticmethod)):
        return [value.__func__]
    if isinstance(value, property):
        return [one for one in (value.fget, value.fset, value.fdel) if one is not None]
    found = [value.__dict__.get(name) for name in ("__wrapped__", "func")] if hasattr(value, "__dict__") else []
    code = getattr(value, "__code__", None)
    return [one for one in (*found, code) if one is not None] if isinstance(code, CodeType) or found else []


def _home(value: object) -> str:
    """Answer the name of the module that a value is, or that it or its class comes from."""
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return name if isinstance(name, str) else str(type(value).__module__)


def _folder(code: CodeType) -> str:
    return str(Path(code.co_filename).parent)


def is_backend(filename: str) -> bool:
    """Tell whether code of this file is traced: not the standard library, the harness, or a well-kept library."""
    if filename.startswith(("<", _OWN)):
        return False
    parts = Path(filename).parts
    for place in _SITE:
        if place in parts:
            package = parts[parts.index(place) + 1].removesuffix(".py") if parts.index(place) + 1 < len(parts) else ""
            return package not in _LIBRARIES
    return not filename.startswith(_STDLIB)
