"""Which instructions can be seen by other threads is read from the code, and from who stores what."""

from __future__ import annotations

import dis
import sys
from types import ModuleType

import pytest

from pytest_keyconform.engine.threads.primitives import ControlledLock, ControlledRLock, made_lock, made_rlock
from pytest_keyconform.engine.threads.visible import Scope, is_backend

SOURCE = """
import threading
TOTAL = 0

class Pool:
    def __init__(self):
        self.lock, self.keys, self.turn = threading.Lock(), ["a"], 0

    def serve(self):
        with self.lock:
            self.turn = self.turn + 1
            return self.keys[self.turn]

    def helper(self):
        return self.serve()

    @property
    def size(self):
        return len(self.keys)

def count():
    global TOTAL
    TOTAL = TOTAL + 1
    return int(TOTAL)

def closing():
    seen = 0
    def inner(call):
        nonlocal seen
        seen = seen + 1
        return call(seen)
    return inner
"""


@pytest.fixture
def visible(tmp_path):
    """A function that answers the visible instructions of a function of the module, as name and argument."""
    path = tmp_path / "backend_of_visible.py"
    path.write_text(SOURCE)
    module = ModuleType("backend_of_visible")
    module.__file__ = str(path)
    exec(compile(SOURCE, str(path), "exec"), vars(module))
    for value in (module.Pool, module.count, module.closing):
        value.__module__ = module.__name__
    sys.modules[module.__name__] = module
    scope = Scope()
    scope.learn(scope.reached([module]))
    scope.learn([module])

    def names(code):
        offsets = scope.visible(code)
        return [(one.opname, one.argval) for one in dis.get_instructions(code) if one.offset in offsets]

    yield module, names
    del sys.modules[module.__name__]


def test_an_attribute_that_only_constructors_store_is_not_seen(visible):
    """The lock and the list stay what they are; the cursor is stored by `serve`, and the list is looked into."""
    module, names = visible
    seen = names(module.Pool.serve.__code__)
    attributes = [name for opcode, name in seen if "ATTR" in opcode]
    assert attributes == ["turn", "turn", "turn"]
    assert [opcode for opcode, _ in seen if opcode in ("BINARY_SUBSCR", "STORE_ATTR")] == [
        "STORE_ATTR",
        "BINARY_SUBSCR",
    ]


def test_a_call_of_traced_code_is_not_seen_and_others_are(visible):
    """What the callee touches is seen there; a builtin that looks into a container is seen at its call."""
    module, names = visible
    assert names(module.Pool.helper.__code__) == []
    assert [opcode for opcode, _ in names(module.Pool.size.fget.__code__)] == ["CALL"]


def test_globals_and_cells_that_change_are_seen(visible):
    """Those that are stored, and not a conversion of what was read."""
    module, names = visible
    assert [opcode for opcode, _ in names(module.count.__code__)] == ["LOAD_GLOBAL", "STORE_GLOBAL", "LOAD_GLOBAL"]
    inner = [opcode for opcode, _ in names(module.closing().__code__)]
    assert inner == ["LOAD_DEREF", "STORE_DEREF", "LOAD_DEREF", "CALL"]


@pytest.mark.parametrize(
    "filename, traced",
    [
        ("/srv/app/keys.py", True),
        ("/venv/lib/python3.11/site-packages/somepool/core.py", True),
        ("/venv/lib/python3.11/site-packages/pydantic/main.py", False),
        (dis.__file__, False),
        ("<string>", False),
    ],
)
def test_the_backend_is_traced_and_what_is_well_kept_is_not(filename, traced):
    """Whatever is installed counts as the backend's, but for the standard library and libraries in wide use."""
    assert is_backend(filename) is traced


@pytest.mark.parametrize("make", [ControlledLock, ControlledRLock])
def test_a_lock_is_a_mark_where_no_execution_goes_on(make):
    """Nobody waits there, and what is not held cannot be let go."""
    lock = make()
    with lock:
        assert "locked controlled" in repr(lock)
        assert lock.locked()
    assert "unlocked" in repr(lock)
    with pytest.raises(RuntimeError, match=r"release|un-acquired"):
        lock.release()


def test_locks_keep_their_contract_in_an_execution(lab):
    """Reentrance, time-outs, non-blocking attempts, and what a condition asks of a lock."""
    with lab.world.turns(None):
        lock, again = made_lock(), made_rlock()
        assert lock.acquire()
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=5)
        with pytest.raises(ValueError, match="non-blocking"):
            lock.acquire(blocking=False, timeout=5)
        lock.release()
        assert again.acquire()
        assert again.acquire()
        saved = again._release_save()
        assert not again._is_owned()
        again._acquire_restore(saved)
        assert again._recursion_count() == 2
        again.release()
        again.release()
    assert not isinstance(made_lock(), ControlledLock)
    assert not isinstance(made_rlock(), ControlledRLock)
