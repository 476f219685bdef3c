"""One clock for everything a backend may ask: freezegun's, the event loop's, and `time.sleep`.

Time is counted in whole microseconds, so that sums are exact. Wall time starts at `START`, monotonic time at
`UPTIME` seconds, so that a backend that takes one for the other shows it.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import BuiltinMethodType, ModuleType
from typing import TYPE_CHECKING, Self

import freezegun
from freezegun import api

from pytest_keyconform.engine.rebinding import TESTING, Rebinder, put

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
_WAITING = ("asyncio", "concurrent", "logging", "multiprocessing", "queue", "subprocess", "threading")
_REAL_TIME = frozenset((*_WAITING, *TESTING))

_active: list[VirtualClock] = []


class VirtualClock:
    """A clock that stands still until it is told to go on.

    As a context manager it takes the place of the process' clocks: `time.time`, `monotonic`, `perf_counter`,
    their ``_ns`` forms and `sleep`, and by freezegun `datetime` and the rest. Entering costs some 5 ms, the
    first time in a process 100 ms, so one entry should serve many executions, each begun with `reset`.
    Everything is restored on exit. Outside of the block it is a plain counter and changes nothing.

    ``ticks`` are microseconds since START; they never decrease within an execution. ``sleep_elsewhere`` is
    what `time.sleep` does in a thread other than the one that entered: such a thread must not move the clock.
    ``sleeper`` is asked first, where it is set: it answers True if it let the time pass.
    """

    def __init__(self) -> None:
        self.ticks = 0
        self.sleep_elsewhere: Callable[[float], None] = real_sleep
        self.sleeper: Callable[[float], bool] | None = None
        self.readings = 0  # of time by whoever is not the harness, since the execution began
        self._wall_step = 0
        self._thread = threading.get_ident()
        self._watched: list[ModuleType] = []
        self._undo = ExitStack()
        self._rebinder: Rebinder | None = None

    @property
    def now(self) -> float:
        """Virtual seconds since START; monotonic."""
        return self.ticks / MICROSECONDS

    def reset(self) -> None:
        """Go back to START, as every execution begins; takes back what `step_wall` did."""
        self.ticks = 0
        self.readings = 0
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
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if self.sleeper is not None and self.sleeper(seconds):
            return
        if threading.get_ident() != self._thread:
            self.sleep_elsewhere(seconds)
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
            self._rebinder = Rebinder(stack, _replaced)
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
            put(stack, time, name, function)
        # Undone by freezegun: it remembers what each module had.
        for module, name, original in freezer.undo_changes:
            if id(original) in _REPLACEMENTS:
                setattr(module, name, _REPLACEMENTS[id(original)])
        for module_name, module in list(sys.modules.items()):
            held = module_name != __name__ and vars(module).get("time") is time
            if held and module_name.partition(".")[0] in _REAL_TIME:
                put(stack, module, "time", _REAL_MODULE)

    def _utc_now(self) -> datetime:
        self.readings += 1
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
        if not _active:
            return self.real(*arguments)
        _active[-1].readings += 1
        return self._virtual(_active[-1], *arguments)

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


def _replaced(value: object) -> object:
    """Answer what takes the place of a function or class of time; anything else as it is."""
    if isinstance(value, BuiltinMethodType) and isinstance(value.__self__, type):  # such as `datetime.now`
        fake = _REPLACEMENTS.get(id(value.__self__))
        return value if fake is None else getattr(fake, value.__name__)
    if isinstance(value, staticmethod):
        inner = _replaced(value.__func__)
        return value if inner is value.__func__ else staticmethod(inner)  # type: ignore[arg-type]
    return _REPLACEMENTS.get(id(value), value)
