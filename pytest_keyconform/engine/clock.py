"""One clock for everything a backend may ask: freezegun's, the event loop's, and `time.sleep`.

Time is counted in whole microseconds, so that sums are exact. Wall time starts at `START`, monotonic time at
`UPTIME` seconds, so that a backend that takes one for the other shows it.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import BuiltinMethodType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Self

import freezegun
from freezegun import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
UPTIME = 1_000_000.0  # far from 0, where `last = 0.0` would be a moment ago, and far from any wall time

# freezegun keeps the functions that were there before anybody froze anything.
real_monotonic: Callable[[], float] = api.real_monotonic
real_perf_counter: Callable[[], float] = api.real_perf_counter
real_sleep: Callable[[float], None] = time.sleep

MICROSECONDS = 1_000_000
_START_TICKS = int(START.timestamp()) * MICROSECONDS
_UPTIME_TICKS = int(UPTIME) * MICROSECONDS
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - freezegun's factories answer naive UTC

# Packages whose own waits and measures go on in real time.
_WAITING = ("asyncio", "concurrent", "multiprocessing", "queue", "subprocess", "threading")
_TESTING = ("_hypothesis_pytestplugin", "_pytest", "coverage", "execnet", "hypothesis", "pytest_keyconform")
_REAL_TIME = frozenset((*_WAITING, *_TESTING))
_FOREIGN = {*sys.stdlib_module_names, *_TESTING, "freezegun", "pytest"}  # not looked through by `watch`
_LARGEST_WALK = 20_000  # objects of the watched modules that are looked at, a bound on the cost of entering

_active: list[VirtualClock] = []


class VirtualClock:
    """A clock that stands still until it is told to go on.

    As a context manager it takes the place of the process' clocks: `time.time`, `monotonic`, `perf_counter`,
    their ``_ns`` forms and `sleep`, and by freezegun `datetime` and the rest. Entering costs some 5 ms, the
    first time in a process 100 ms, so one entry should serve many executions, each begun with `reset`.
    Everything is restored on exit. Outside of the block it is a plain counter and changes nothing.

    ``ticks`` are microseconds since START; they never decrease within an execution. ``sleep_elsewhere`` is
    what `time.sleep` does in a thread other than the one that entered: such a thread must not move the clock.
    """

    def __init__(self) -> None:
        self.ticks = 0
        self.sleep_elsewhere: Callable[[float], None] = real_sleep
        self._wall_step = 0
        self._thread = threading.get_ident()
        self._watched: list[ModuleType] = []
        self._undo = ExitStack()
        self._rebinder: _Rebinder | None = None

    @property
    def now(self) -> float:
        """Virtual seconds since START; monotonic."""
        return self.ticks / MICROSECONDS

    def reset(self) -> None:
        """Go back to START, as every execution begins; takes back what `step_wall` did."""
        self.ticks = 0
        self._wall_step = 0

    def advance(self, seconds: float) -> None:
        """Let seconds pass; a negative number lets none pass."""
        self.ticks += max(0, round(seconds * MICROSECONDS))

    def advance_to(self, seconds: float) -> None:
        """Let time pass until this many seconds after START; never goes back."""
        self.ticks = max(self.ticks, round(seconds * MICROSECONDS))

    def tick(self) -> None:
        """Let a microsecond pass, so that two operations in a row bear different stamps."""
        self.ticks += 1

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forth, or back if negative, as NTP would; monotonic time stays."""
        self._wall_step += round(seconds * MICROSECONDS)

    def time(self) -> float:
        """Answer what `time.time` would: seconds since 1970."""
        return (_START_TICKS + self._wall_step + self.ticks) / MICROSECONDS

    def time_ns(self) -> int:
        """Answer what `time.time_ns` would."""
        return (_START_TICKS + self._wall_step + self.ticks) * 1000

    def monotonic(self) -> float:
        """Answer what `time.monotonic` and the loop's `time` would: UPTIME and the seconds since START."""
        return (_UPTIME_TICKS + self.ticks) / MICROSECONDS

    def monotonic_ns(self) -> int:
        """Answer what `time.monotonic_ns` would."""
        return (_UPTIME_TICKS + self.ticks) * 1000

    def ticks_at(self, when: float) -> int:
        """Answer the ticks at an instant on the scale of `monotonic`, to the nearest microsecond."""
        return round(when * MICROSECONDS) - _UPTIME_TICKS

    def sleep(self, seconds: float) -> None:
        """Do what `time.sleep` does, at once; raises ValueError for a negative number."""
        if threading.get_ident() != self._thread:
            self.sleep_elsewhere(seconds)
        elif seconds < 0:
            raise ValueError("sleep length must be non-negative")
        else:
            self.advance(seconds)

    def watch(self, modules: Iterable[ModuleType]) -> None:
        """Replace, while frozen, the time functions that these modules bound when they were imported.

        Found are module globals, default arguments, closures (a dataclass' ``default_factory`` is one), class
        attributes, attributes of objects that the modules hold; also in the modules that they import, but for
        the standard library. Not found: what compiled code holds, such as pydantic's ``default_factory``.
        """
        added = [module for module in modules if module not in self._watched]
        self._watched += added
        if self._rebinder is not None:
            self._rebinder.rebind(added)

    def __enter__(self) -> Self:
        self._thread = threading.get_ident()
        with ExitStack() as stack:
            self._freeze(stack)
            self._rebinder = _Rebinder(stack)
            self._rebinder.rebind(self._watched)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._rebinder = None
        self._undo.close()

    def _freeze(self, stack: ExitStack) -> None:
        # freezegun knows prefixes only; `watch` finds a backend's module that is called like one of them.
        freezer = freezegun.freeze_time(START, ignore=sorted(_REAL_TIME))
        stack.callback(freezer.stop)
        freezer.start()
        # freezegun would look through five frames at every reading for a module it shall not freeze; backends
        # called from such a module (a worker of `threading`) would get real time. The scan above was enough.
        api.ignore_lists[-1] = ()
        api.freeze_factories[-1] = self._utc_now  # type: ignore[call-overload]
        _active.append(self)
        stack.callback(_active.remove, self)
        for name, function in TIME_FUNCTIONS.items():
            _put(stack, time, name, function)
        # Undone by freezegun: it remembers what each module had.
        for module, name, original in freezer.undo_changes:
            if id(original) in _REPLACEMENTS:
                setattr(module, name, _REPLACEMENTS[id(original)])
        for module_name, module in list(sys.modules.items()):
            if module_name.partition(".")[0] in _REAL_TIME and vars(module).get("time") is time:
                _put(stack, module, "time", _REAL_MODULE)

    def _utc_now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=_START_TICKS + self._wall_step + self.ticks)


class TimeFunction:
    """Stands for one function of `time`: virtual while a clock is entered, real otherwise.

    An object and no function, so that as a class attribute (``_now = time.time``) it is not bound to an
    instance, like the builtin it stands for. A module imported meanwhile may keep it: it does no harm.
    """

    def __init__(self, name: str, real: Callable[..., object], virtual: Callable[..., object]) -> None:
        self.__name__ = name
        self.real = real
        self._virtual = virtual

    def __call__(self, *arguments: object) -> object:
        """Answer what the function would."""
        return self._virtual(_active[-1], *arguments) if _active else self.real(*arguments)

    def __reduce__(self) -> tuple[object, ...]:
        """Copy and pickle by name, as builtins do."""
        return _function_of_time, (self.__name__,)


def _function_of_time(name: str) -> object:
    function = TIME_FUNCTIONS[name]
    return function if _active else function.real


_READINGS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
_VIRTUAL = {name: getattr(VirtualClock, name.replace("perf_counter", "monotonic")) for name in _READINGS}
TIME_FUNCTIONS = {name: TimeFunction(name, getattr(api, f"real_{name}"), _VIRTUAL[name]) for name in _READINGS}
TIME_FUNCTIONS["sleep"] = TimeFunction("sleep", real_sleep, VirtualClock.sleep)
_REPLACEMENTS: dict[int, object] = {id(function.real): function for function in TIME_FUNCTIONS.values()}
_REPLACEMENTS |= {id(api.real_datetime): api.FakeDatetime, id(api.real_date): api.FakeDate}

_REAL_MODULE = ModuleType("time")
vars(_REAL_MODULE).update(vars(time))
vars(_REAL_MODULE).update({name: function.real for name, function in TIME_FUNCTIONS.items()})


def _put(stack: ExitStack, owner: object, name: str, value: object) -> None:
    stack.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def _replaced(value: object) -> object:
    """Answer what takes the place of a function or class of time; anything else as it is."""
    if isinstance(value, BuiltinMethodType) and isinstance(value.__self__, type):  # such as `datetime.now`
        fake = _REPLACEMENTS.get(id(value.__self__))
        return value if fake is None else getattr(fake, value.__name__)
    if isinstance(value, staticmethod):
        inner = _replaced(value.__func__)
        return value if inner is value.__func__ else staticmethod(inner)  # type: ignore[arg-type]
    return _REPLACEMENTS.get(id(value), value)


class _Rebinder:
    """Replaces the references that modules hold, and tells ``stack`` how to put them back."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
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
        new = _replaced(held)
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
        elif not _is_foreign(type(value).__module__):
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
            new = tuple(map(_replaced, function.__defaults__))
            _put(self._stack, function, "__defaults__", new)
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
