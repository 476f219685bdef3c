"""From what the user named to a factory: where it is looked up, and what is said where it cannot be used."""

from __future__ import annotations

import itertools
import sys
import types
from importlib.metadata import EntryPoint

import pytest

from pytest_keyconform.adapters import registered as registering
from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.errors import TargetError
from pytest_keyconform.spec.policies import Policies

_NUMBERS = itertools.count()
MANAGER = """
class Manager:
    def __init__(self, api_keys):
        self.api_keys = api_keys
    def get_key(self, model_name=None):
        return self.api_keys[0]
    def get_keys_by_status(self):
        return {}
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Answer a function that resolves an attribute of a fresh module with the source that it is given."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)

    def found(source, path="make", **options):
        name = f"app_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        return resolve(f"{name}:{path}", roots=[tmp_path], **options)

    return found


def test_a_target_is_looked_up_in_the_roots_first(app, tmp_path):
    """A module in a root is found before one of the same name further back, and so are its late imports."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "twin.py").write_text("make = None", encoding="utf-8")
    (tmp_path / "twin.py").write_text("def make(pool): return pool", encoding="utf-8")
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    target = resolve("twin:make", roots=[tmp_path, tmp_path / "elsewhere"])
    assert target.factory(1) == 1
    assert sys.path[:2] == [str(tmp_path), str(tmp_path / "elsewhere")]
    assert sys.path.count(str(tmp_path)) == 1


def test_a_target_knows_its_name_its_text_and_its_factory(app):
    """A target is called what the user calls it, and holds the very factory that was named."""
    target = app(MANAGER, "Manager", name="mine")
    assert (target.name, target.text.partition(":")[2]) == ("mine", "Manager")
    assert target.factory is target.module.Manager
    assert target.policies == Policies()
    assert target.fields == ("api_keys",)
    assert app(MANAGER, "Manager").name.startswith("app_")


def test_a_factory_is_reached_through_dots(app):
    """A factory may be an attribute of an attribute."""
    assert app("class Outer:\n    class Inner:\n        def __init__(self, pool): ...", "Outer.Inner").fields is None


def test_the_users_own_names_come_first(app, tmp_path):
    """A name of the user's table stands for its target, with the policies that the table declares."""
    (tmp_path / "keys.py").write_text(
        "def make(pool): return pool\nmake.policies = {'sentinel': None}", encoding="utf-8"
    )
    table = {
        "plain": "keys:make",
        "strict": {"target": "keys:make", "policies": {"exhaustion": "typed-error"}, "network": True},
        "reference": {"target": "plain", "policies": {"tenure": "lease"}},
    }
    assert resolve("plain", roots=[tmp_path], targets=table).policies.declared() == {"sentinel": None}
    declared = resolve("strict", roots=[tmp_path], targets=table).policies.declared()
    assert declared == {"exhaustion": "typed-error", "sentinel": None}
    assert resolve("keys:make", roots=[tmp_path], policies={"sentinel": ""}).policies.declared() == {}


def test_a_name_may_stand_for_the_registered_target_of_that_name(monkeypatch, tmp_path, app):
    """The user's `reference` with other policies leads to the registered one."""
    (tmp_path / "other.py").write_text("def make(pool): return pool", encoding="utf-8")
    monkeypatch.setattr(registering, "REGISTERED", {"reference": "other:make"})
    table = {"reference": {"target": "reference", "policies": {"tenure": "lease"}}}
    assert resolve("reference", roots=[tmp_path], targets=table).policies.tenure == "lease"


def test_a_target_may_be_registered_by_an_entry_point(app, monkeypatch, tmp_path):
    """A name of the entry-point group is a target."""
    (tmp_path / "theirs.py").write_text("def make(pool): return pool", encoding="utf-8")
    point = EntryPoint("theirs", "theirs:make", "keyconform.targets")
    monkeypatch.setattr(registering, "entry_points", lambda group: [point] if group == point.group else [])
    assert resolve("theirs", roots=[tmp_path]).text == "theirs:make"


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "referense",
            r"'referense': expected module:factory or a registered target \(reference, .*\), did you mean 'reference'",
        ),
        ("http://localhost:1", r"nobody takes connections at localhost:1"),
        ("http://203.0.113.1:80", r"203\.0\.113\.1 is another machine; say network = true"),
        ("http://localhost:x", r"expected a target such as http://127\.0\.0\.1:8000"),
        ("https://localhost:1", r"https is not spoken; name http://host:port"),
        ("stdio:", r"expected a command line after the colon"),
        ("stdio:'", r"expected a command line, but No closing quotation"),
        ("stdio:no-such-program", r"'no-such-program' cannot be started: No such file or directory"),
        ("app/keys.py:make", r"expected module:factory with a module's dotted name, found 'app/keys.py:make'"),
        ("keys:", r"expected module:factory"),
        (":make", r"expected module:factory"),
        ("no_such_module:make", r"there is no module 'no_such_module' in .* or on sys.path"),
        ("json.nothing:make", r"there is no module 'json.nothing'"),
        ("json:lods", r"module json has no attribute 'lods', did you mean 'loads'\?"),
        ("json:JSONDecoder.decod", r"JSONDecoder has no attribute 'decod', did you mean 'decode'\?"),
        ("json:__name__", r"expected a factory, found str 'json', which cannot be called"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_message(text, message, tmp_path, app):
    """Each message names what was expected and what was found, with the nearest right name."""
    with pytest.raises(TargetError, match=message) as caught:
        resolve(text, roots=[tmp_path])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source, message",
    [
        (
            "import os\nimport nowhere_to_be_found",
            r"raised ModuleNotFoundError: No module named 'nowhere_to_be_found' at app_\d+.py:2",
        ),
        ("from json import nothing", r"raised ImportError: .* at app_\d+.py:1"),
        ("\n1 / 0", r"raised ZeroDivisionError: division by zero at app_\d+.py:2"),
        ("def make(:", r"raised SyntaxError: .* at app_\d+.py:1"),
        ("import sys\nsys.exit('bye')", r"raised SystemExit: bye at app_\d+.py:2"),
        (
            "from pytest_keyconform import Adapter\nclass Mine(Adapter):\n    def aquire(self): ...",
            r"raised AdapterError: .*did you mean 'acquire'.* at app_\d+.py:2",
        ),
    ],
)
def test_a_module_that_fails_is_placed_at_its_line(app, source, message):
    """An error inside the module is told from a missing module, and placed at the line of the user's file."""
    with pytest.raises(TargetError, match=f"importing app_.* {message}"):
        app(source)


def test_an_interrupt_while_importing_is_no_error_of_the_target(app):
    """Ctrl-C during an import interrupts the run."""
    with pytest.raises(KeyboardInterrupt):
        app("raise KeyboardInterrupt")


@pytest.mark.parametrize(
    "source, fields",
    [
        ("def make(pool): ...", None),
        ("def make(*, pool): ...", None),
        ("def make(anything, /): ...", None),
        ("def make(p, storage=None): ...", None),
        ("def make(pool=None): ...", None),
        ("def make(pool=None, clock=None): ...", None),
        ("def make(*args, **rest): ...", None),
        ("def make(api_keys, vertex_api_keys=(), clock=None, **rest): ...", ("api_keys", "vertex_api_keys")),
        ("def make(api_keys=(), limits=None): ...", ("api_keys", "limits")),
        ("class make:\n    def __init__(self, api_keys, max_failures=3): ...", ("api_keys", "max_failures")),
        ("from pytest_keyconform import Adapter\nclass make(Adapter):\n    def acquire(self): ...", None),
        ("import functools\nmake = functools.partial(lambda a, pool: a, 1)", None),
        ("class Call:\n    def __call__(self, default_model): ...\nmake = Call()", ("default_model",)),
        ("async def make(pool): ...", None),
        ("import contextlib\n@contextlib.asynccontextmanager\nasync def make(api_keys): yield", ("api_keys",)),
    ],
)
def test_a_factory_is_handed_the_fields_it_names_or_the_pool(app, source, fields):
    """Parameters named after fields of the pool get those fields; else the one argument is the pool."""
    assert app(source).fields == fields


@pytest.mark.parametrize(
    "source, message",
    [
        ("def make(): ...", "the factory takes no argument; expected one argument, the Pool, or parameters named"),
        ("def make(one, two): ...", "the factory requires 'one', which is no field of Pool; expected"),
        ("def make(api_keyz, limits): ...", "requires 'api_keyz', which is no field of Pool, did you mean 'api_keys'"),
        ("def make(clock=None, seed=0): ...", r"none of the factory's parameters \(clock, seed\) is a field of Pool"),
        ("def make(**rest): ...", r"none of the factory's parameters \(rest\)"),
        ("class make:\n    __signature__ = 7\n    def __init__(self): ...", "signature cannot be read"),
    ],
)
def test_a_factory_that_cannot_be_handed_a_pool_is_refused(app, source, message):
    """A factory without a parameter, or with required ones that are no fields of the pool, is refused."""
    with pytest.raises(TargetError, match=message):
        app(source)


@pytest.mark.parametrize(
    "declared, message",
    [
        (
            "{'exhaustion': 'fall-back'}",
            r"policies.exhaustion: found 'fall-back', expected 'sentinel', 'fallback', 'typed-error' or 'blocks'",
        ),
        ("{'exhausted': 1}", r"policies.exhausted: there is no such policy, did you mean 'exhaustion'\?"),
        ("{'day_zone': 'Nowhere'}", r"policies.day_zone: found 'Nowhere', expected 'rolling' or an IANA zone"),
        ("{'sentinel': 'NONE'}", r"policies.sentinel: found 'NONE', expected '' or None"),
        ("{'errors': KeyError}", r"policies.errors: found <class 'KeyError'>, expected a tuple of classes"),
        (
            "{'errors': ('NoKey', 'left')}",
            r"policies.errors: found .*, expected a tuple of classes and of \(class name",
        ),
        ("{'errors': (('NoKey', '('),)}", r"policies.errors: .*expected a regular expression for the message of NoKey"),
        (
            "{'quota_recovery': -1}",
            r"policies.quota_recovery: found -1, expected 'minute' or 'day' or .*greater than 0",
        ),
        ("7", r"policies: expected a Policies or a dict of its fields, found int 7"),
    ],
)
def test_policies_that_do_not_exist_are_refused(app, declared, message):
    """A factory's policies are checked: the message names the field, what was found and what is allowed."""
    with pytest.raises(TargetError, match=message):
        app(f"def make(pool): ...\nmake.policies = {declared}")


def test_policies_may_be_a_value_or_a_dict(app):
    """A factory carries a `Policies` or a dict of its fields; what the user sets beside it comes before."""
    declared = "Policies(sentinel=None, tenure='lease')"
    source = f"from pytest_keyconform import Policies\ndef make(pool): ...\nmake.policies = {declared}"
    assert app(source).policies.declared() == {"sentinel": None, "tenure": "lease"}
    assert app(source, policies={"tenure": "rotation"}).policies.declared() == {"sentinel": None}


@pytest.mark.parametrize(
    "table", [{"mine": 7}, {"mine": {"policies": {}}}, {"mine": {"target": "json:loads", "policies": 7}}]
)
def test_a_table_without_a_target_is_refused(table, tmp_path, app):
    """An entry of the user's table that names no target, or no policies, is refused with what was found."""
    with pytest.raises(TargetError, match=r"mine: .*expected a (target|table of policies)"):
        resolve("mine", roots=[tmp_path], targets=table)


def test_errors_of_a_factory_are_its_own(app):
    """Before there is a manager, the packages of the factory and its module tell what is typed."""
    target = app("class Busy(Exception): ...\ndef make(pool): ...")
    assert target.agreement.is_typed(target.module.Busy(), bad_input=False)
    assert not target.agreement.is_typed(RuntimeError(), bad_input=False)
    assert isinstance(target.module, types.ModuleType)
