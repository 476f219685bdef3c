"""The virtual clock: one time for whatever a backend asks, however it bound the asking."""

import asyncio
import copy
import datetime as dt
import importlib.util
import pickle
import sys
import threading
import time

import freezegun
import pytest
from _pytest import timing
from hypothesis.internal.conjecture import engine as hypothesis_engine

from pytest_keyconform.engine import clock as clocks
from pytest_keyconform.engine.clock import START, UPTIME, VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop

EPOCH = START.timestamp()

# How managers in the field come by the time. Each style is a module with a function `read`.
STYLES = {
    "attribute of the module": ("import time\ndef read(): return time.time()", EPOCH),
    "imported name": ("from time import monotonic\ndef read(): return monotonic()", UPTIME),
    "imported under another name": ("from time import time as now\ndef read(): return now()", EPOCH),
    "default argument": ("import time\ndef read(clock=time.monotonic): return clock()", UPTIME),
    "keyword default": ("import time\ndef read(*, clock=time.time): return clock()", EPOCH),
    "default of a method": (
        (
            "import time\nclass A:\n def __init__(self, clock=time.monotonic): self.clock = clock\n"
            "def read(): return A().clock()"
        ),
        UPTIME,
    ),
    "default of a static and a class method": (
        (
            "import time\nclass A:\n @staticmethod\n def s(c=time.time): return c()\n"
            " @classmethod\n def c(cls, c=time.time): return c()\ndef read(): return (A.s() + A.c()) / 2"
        ),
        EPOCH,
    ),
    "dataclass factory": (
        (
            "import time\nfrom dataclasses import dataclass, field\n@dataclass\nclass A:\n"
            " at: float = field(default_factory=time.monotonic)\ndef read(): return A().at"
        ),
        UPTIME,
    ),
    "dataclass factory of a datetime": (
        (
            "from datetime import datetime\nfrom dataclasses import dataclass, field\n@dataclass\nclass A:\n"
            " at: datetime = field(default_factory=datetime.now)\n"
            "def read(): return (A().at - datetime(1970, 1, 1)).total_seconds()"
        ),
        EPOCH,
    ),
    "class attribute": (
        "import time\nclass A:\n _now = time.time\n def get(self): return self._now()\ndef read(): return A().get()",
        EPOCH,
    ),
    "static class attribute": (
        (
            "import time\nclass A:\n _now = staticmethod(time.monotonic)\n def get(self): return self._now()\n"
            "def read(): return A().get()"
        ),
        UPTIME,
    ),
    "inherited class attribute": (
        "import time\nclass A:\n _now = time.time\nclass B(A):\n pass\ndel A\ndef read(): return B()._now()",
        EPOCH,
    ),
    "closure": (
        "import time\ndef make(clock):\n return lambda: clock()\nread = make(time.monotonic)",
        UPTIME,
    ),
    "decorated function": (
        (
            "import functools, time\ndef plain(f):\n @functools.wraps(f)\n def inner(): return f()\n return inner\n"
            "@plain\ndef read(clock=time.time): return clock()"
        ),
        EPOCH,
    ),
    "dict of the module": ("import time\nCLOCKS = {'m': time.monotonic}\ndef read(): return CLOCKS['m']()", UPTIME),
    "object of the module": (
        "import time\nclass A:\n def __init__(self): self.clock = time.time\nA1 = A()\ndef read(): return A1.clock()",
        EPOCH,
    ),
    "nanoseconds": ("from time import time_ns\ndef read(): return time_ns() / 1e9", EPOCH),
    "performance counter": ("from time import perf_counter\ndef read(): return perf_counter()", UPTIME),
    "aware datetime": (
        "from datetime import UTC, datetime\ndef read(now=datetime.now): return now(UTC).timestamp()",
        EPOCH,
    ),
}


def module_of(source, name="backend_with_a_clock"):
    """A module that was imported before anybody froze anything."""
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
    exec(compile(source, f"{name}.py", "exec"), vars(module))
    return module


@pytest.mark.parametrize("style", STYLES)
def test_a_bound_clock_is_virtual_while_entered(style):
    """Each way to bind a clock at import reads virtual time inside the block and real time after it."""
    source, start = STYLES[style]
    module = module_of(source)
    clock = VirtualClock()
    clock.watch([module])
    before = module.read()
    with clock:
        assert module.read() == pytest.approx(start, abs=1e-6)
        clock.advance(90.5)
        assert module.read() == pytest.approx(start + 90.5, abs=1e-6)
    assert 0 <= module.read() - before < 60


def test_a_module_watched_late_is_virtual_from_then_on():
    """A module may be watched inside the block, as one is that is imported there late."""
    module = module_of(STYLES["default argument"][0])
    with VirtualClock() as clock:
        clock.watch([module])
        assert module.read() == UPTIME
    assert module.read() == pytest.approx(clocks.real_monotonic(), abs=60)


def test_a_library_that_the_module_imports_is_virtual_too():
    """A cache whose timer is a default argument of a library keeps virtual time."""
    library = module_of("import time\nclass Cache:\n def __init__(self, timer=time.monotonic): self.timer = timer")
    module = module_of("def read(): return library.Cache().timer()", name="backend_of_a_library")
    module.library = library
    with VirtualClock() as clock:
        clock.watch([module])
        assert module.read() == UPTIME


def test_a_module_imported_inside_survives_the_block():
    """What a module binds while it is imported inside the block reads real time afterwards."""
    clock = VirtualClock()
    with clock:
        module = module_of(STYLES["class attribute"][0])
        assert module.read() == EPOCH
    assert module.read() == pytest.approx(time.time(), abs=60)
    with VirtualClock() as other:
        other.advance(7)
        assert module.read() == EPOCH + 7


@pytest.mark.parametrize("name", ["queue_of_keys", "threading_keys", "gizmo"])
def test_no_name_of_a_module_gets_real_time(name):
    """A backend called like one of freezegun's ignored modules is frozen all the same."""
    module = module_of("import time\nfrom time import monotonic\ndef read(): return monotonic(), time.time()", name)
    sys.modules[name] = module
    try:
        clock = VirtualClock()
        clock.watch([module])
        with clock:
            assert module.read() == (UPTIME, EPOCH)
    finally:
        del sys.modules[name]


def test_a_thread_reads_virtual_time():
    """Time read a few frames below `threading` is virtual."""
    seen = []
    with VirtualClock():
        thread = threading.Thread(target=lambda: seen.append(time.time()))
        thread.start()
        thread.join()
    assert seen == [EPOCH]


def test_sleep_lets_virtual_time_pass():
    """`time.sleep` comes back at once, and later, however it is bound."""
    module = module_of("import time\nfrom time import sleep\ndef nap(s, sleep=sleep): sleep(s); time.sleep(s)")
    started = clocks.real_monotonic()
    with VirtualClock() as clock:
        clock.watch([module])
        module.nap(1800.0)
        assert clock.now == 3600.0
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)
    assert clocks.real_monotonic() - started < 60


def test_another_thread_does_not_move_the_clock():
    """`time.sleep` in a thread that did not enter does what `sleep_elsewhere` says."""
    slept = []
    with VirtualClock() as clock:
        clock.sleep_elsewhere = slept.append
        thread = threading.Thread(target=lambda: time.sleep(5))
        thread.start()
        thread.join()
        assert clock.now == 0.0
    assert slept == [5]


def test_all_times_are_one():
    """Wall time, monotonic time, datetime, the event loop's time and `now` go together."""
    with VirtualClock() as clock:
        clock.advance(12.25)
        assert (time.time() - EPOCH, time.monotonic() - UPTIME) == (12.25, 12.25)
        assert time.time_ns() == (int(EPOCH) * 1000 + 12250) * 1_000_000
        assert time.monotonic_ns() == (int(UPTIME) * 1000 + 12250) * 1_000_000
        assert dt.datetime.now(dt.UTC) == START + dt.timedelta(seconds=12.25)
        assert dt.datetime.now() == dt.datetime(2026, 3, 2, 12, 0, 12, 250000)  # noqa: DTZ001, DTZ005
        assert dt.date.today() == dt.date(2026, 3, 2)  # noqa: DTZ011
        assert ControlledLoop(clock).time() == time.monotonic() == clock.monotonic()
        assert clock.now == 12.25


def test_time_goes_on_only():
    """The clock never goes back by itself; `reset` takes it to the start."""
    clock = VirtualClock()
    clock.advance_to(10)
    clock.advance_to(5)
    clock.advance(-3)
    assert clock.now == 10.0
    clock.tick()
    assert clock.ticks == 10_000_001
    clock.step_wall(-60)
    clock.reset()
    assert (clock.now, clock.time()) == (0.0, EPOCH)


def test_the_wall_clock_may_step_back():
    """A step of the wall clock moves `time.time` and `datetime`, and no monotonic time."""
    with VirtualClock() as clock:
        clock.step_wall(-3600)
        assert time.time() == EPOCH - 3600
        assert dt.datetime.now(dt.UTC) == START - dt.timedelta(hours=1)
        assert time.monotonic() == UPTIME
        assert clock.now == 0.0


def test_the_harness_keeps_real_time():
    """pytest, Hypothesis, asyncio's own loop, and the exported functions read real time inside the block."""
    with VirtualClock():
        loop = asyncio.SelectorEventLoop()
        loop.close()
        assert loop.time() - clocks.real_monotonic() < 60
        counters = (
            clocks.real_perf_counter(),
            timing.perf_counter(),
            hypothesis_engine.time.perf_counter(),
        )
        assert max(counters) - min(counters) < 60


def test_everything_is_restored():
    """After the block, also one that raised, the time module and every watched module are as they were."""
    module = module_of(STYLES["default of a static and a class method"][0])
    names = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
    before = [getattr(time, name) for name in names]
    defaults = module.A.s.__defaults__
    clock = VirtualClock()
    clock.watch([module])
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), clock:
            assert module.A.s.__defaults__ != defaults
            raise ZeroDivisionError
        assert [getattr(time, name) for name in names] == before
        assert module.A.s.__defaults__ == defaults
        assert dt.datetime.__name__ == "datetime"
        assert hypothesis_engine.time is time


def test_it_can_be_entered_below_freezegun():
    """A test that froze time itself can still enter, and has its own time back afterwards."""
    with freezegun.freeze_time("2020-01-01"):
        mine = time.time()
        with VirtualClock() as clock:
            clock.advance(1)
            assert time.time() == EPOCH + 1
            assert time.monotonic() == UPTIME + 1
        assert time.time() == mine


def test_the_functions_can_be_copied_and_pickled():
    """A backend that holds a clock can be deep-copied and pickled inside the block."""
    with VirtualClock():
        assert copy.deepcopy({"clock": time.time})["clock"] is time.time
        packed = pickle.dumps(time.monotonic)
    assert pickle.loads(packed) is time.monotonic  # noqa: S301 - packed above


@pytest.mark.parametrize("other", [1.0, 0.1, 1e-6, 59.999999, 86400.0])
def test_a_sum_of_steps_is_exact(other):
    """A thousand steps add up to exactly a thousand times one, in whole microseconds."""
    clock = VirtualClock()
    for _ in range(1000):
        clock.advance(other)
    assert clock.ticks == round(other * 1e6) * 1000
