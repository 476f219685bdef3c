"""Which errors a caller can have agreed to, and where they were raised."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import types
from pathlib import Path

import pytest

from pytest_keyconform.adapters.base import Adapter
from pytest_keyconform.adapters.raised import Agreement, message_of, packages_of, place_of
from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.spec.pool import Pool


def error_of(package, *bases):
    """Make an error class as a module of that package would."""
    return type("Busy", bases or (Exception,), {"__module__": f"{package}.errors"})


Own, Foreign = error_of("app"), error_of("redis")


def is_typed(error, *, bad_input=False, errors=()):
    """Ask for an error of a backend made of the package `app`."""
    return Agreement(Policies(errors=errors), frozenset({"app"})).is_typed(error, bad_input=bad_input)


@pytest.mark.parametrize(
    "error",
    [
        Own("x"),
        error_of("app", KeyError)("x"),
        TimeoutError(),
        ConnectionResetError(),
        OSError(28, "disk full"),
        FileNotFoundError(),
    ],
)
def test_errors_that_a_caller_can_expect_are_typed(error):
    """The backend's own classes, time-outs, and the system's errors of stores and connections are typed."""
    assert is_typed(error)


@pytest.mark.parametrize(
    "error",
    [
        Exception("No available keys"),
        RuntimeError(),
        KeyError("k"),
        IndexError(),
        StopIteration(),
        ValueError(),
        TypeError(),
        Foreign("x"),
        error_of("redis", ConnectionError)("x"),
        error_of("requests", OSError)("x"),
        sqlite3.OperationalError("database is locked"),
        SystemExit(1),
    ],
)
def test_accidents_are_not_typed(error):
    """Bare exceptions, lookups that failed, and a library's errors let through are accidents."""
    assert not is_typed(error)


def test_bad_input_is_refused_by_exactly_two_classes():
    """ValueError and TypeError refuse bad input; their subclasses say something else."""
    assert is_typed(ValueError(), bad_input=True)
    assert is_typed(TypeError(), bad_input=True)
    assert not is_typed(UnicodeDecodeError("utf-8", b"", 0, 1, ""), bad_input=True)
    assert not is_typed(KeyError(), bad_input=True)


def test_declared_errors_are_typed():
    """A class that is declared is typed with its subclasses; a name with a pattern where both fit."""
    assert is_typed(error_of("redis", Foreign)(), errors=(Foreign,))
    assert is_typed(RuntimeError("no keys left"), errors=(("RuntimeError", "no keys"),))
    assert not is_typed(RuntimeError("other"), errors=(("RuntimeError", "no keys"),))
    assert not is_typed(KeyError("no keys"), errors=(("RuntimeError", "no keys"),))


def test_a_message_that_cannot_be_made_is_said_to_be():
    """An error whose text raises does not take the run with it."""

    class Bad(Exception):
        def __str__(self):
            raise KeyError

    assert message_of(Bad()) == "<its message raised KeyError>"


def test_a_backend_is_made_of_the_packages_of_its_class_and_of_its_factory():
    """A manager's packages are those of its classes and of the module of its factory, never the library's."""
    base = type("Base", (dict,), {"__module__": "vendor.keys"})
    manager = type("Manager", (base,), {"__module__": "app.deep.keys"})()
    assert packages_of(manager, types.ModuleType("conf")) == {"app", "vendor", "conf"}
    assert packages_of({}) == frozenset()


def test_an_adapter_is_made_of_what_it_wraps_too():
    """Errors of the manager that an adapter wraps are the backend's own; those of pydantic and ours are not."""
    adapter = type("Mine", (Adapter,), {"__module__": "shim"})(Pool())
    adapter.inner = type("Manager", (), {"__module__": "app.keys"})()
    adapter.error = type("Busy", (), {"__module__": "other.errors"})
    adapter.module = types.ModuleType("third.part")
    assert packages_of(adapter) == {"shim", "app", "other", "third"}


def place(source, name, filename, call):
    """Run a function of a made-up module and answer where it raised."""
    module = types.ModuleType(name)
    exec(compile(source, str(filename), "exec"), vars(module))  # noqa: S102 - a module that is not on the disk
    with pytest.raises((ValueError, ZeroDivisionError)) as caught:
        call(module)
    return place_of(caught.value, frozenset({"app"}))


def test_the_place_is_the_innermost_line_of_the_backend():
    """Of the frames of a traceback, the innermost of the backend counts, not those of libraries it calls."""
    source = "def run(call):\n    call()\n"
    here = Path.cwd() / "app" / "keys.py"
    assert place(source, "app.keys", here, lambda module: module.run(lambda: json.loads("{"))) == "app/keys.py:2"
    away = Path("/elsewhere/site/app/keys.py")
    assert place(source, "app.keys", away, lambda module: module.run(lambda: 1 / 0)) == f"{away}:2"


def test_a_place_in_a_library_is_better_than_none():
    """Where no line of the backend is on the traceback, another one that is not ours is shown."""
    source = "def run():\n\n    1 / 0\n"
    assert place(source, "lib", Path.cwd() / "lib.py", lambda module: module.run()) == "lib.py:3"
    assert place_of(ValueError()) == ""


def test_a_syntax_error_is_placed_in_its_file():
    """A file that cannot be compiled is named with the line."""
    with pytest.raises(SyntaxError) as caught:
        compile("\nx = (", str(Path.cwd() / "bad.py"), "exec")
    assert place_of(caught.value) == "bad.py:2"


def test_a_standard_error_of_a_subprocess_is_no_store():
    """An error of the standard library that is no OSError is an accident."""
    assert not is_typed(subprocess.CalledProcessError(1, "x"))
