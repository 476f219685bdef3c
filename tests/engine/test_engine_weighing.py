"""What a call costs: lines of the backend, and memory that is held."""

import sys
import tracemalloc
from types import ModuleType

from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.engine.weighing import Memory, Weighing
from pytest_keyconform.workload import Given

SOURCE = """
held = []

def loop(times):
    total = 0
    for number in range(times):
        total += number
    return total

def keep(times):
    held.extend(bytearray(1000) for _ in range(times))
"""


def backend(tmp_path):
    """A module in a file of its own."""
    path = tmp_path / "weighed.py"
    path.write_text(SOURCE, encoding="utf-8")
    module = ModuleType("weighed")
    exec(compile(SOURCE, str(path), "exec"), vars(module))
    return module


def test_lines_are_counted_where_they_run(tmp_path):
    """Ten times as many rounds are about ten times as many lines; the harness and the library count for nothing."""
    module = backend(tmp_path)
    with Weighing() as few:
        module.loop(10)
    with Weighing() as many:
        module.loop(100)
    assert 20 <= few.lines <= 30
    assert 180 <= many.lines - few.lines <= 190
    with Weighing() as nothing:
        sorted(range(10), key=str)
    assert nothing.lines == 0


def test_looks_at_weighed_keys_count():
    """A search in C runs in one line, and weighs as much as it looks at."""
    keys = Keyring(weighed=True).pool_of(Given(regular=tuple(f"key-{number}" for number in range(50)))).api_keys
    with Weighing() as weighing:
        assert "none" not in list(keys)
    assert 50 <= weighing.lines <= 60


def test_a_tracer_is_back_afterwards():
    """Whoever traced before traces again."""
    before = sys.gettrace()
    with Weighing():
        assert sys.gettrace() is not before
    assert sys.gettrace() is before


def test_memory_that_is_held_is_measured(tmp_path):
    """What the backend holds counts, what it let go does not; measuring ends with `stop`."""
    module, memory = backend(tmp_path), Memory()
    assert memory.held() == 0
    module.keep(100)
    grown = memory.held()
    assert 100_000 < grown < 130_000
    module.held.clear()
    assert memory.held() < grown / 10
    memory.stop()
    assert not tracemalloc.is_tracing()
