"""The pytest hooks that are always there: flags, ini keys, fixtures. Without a target that is all."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from pytest_keyconform import hookspecs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_keyconform.fixtures import Opening
    from pytest_keyconform.fixtures.frozen import FrozenTime
    from pytest_keyconform.fixtures.serving import LimitsPage, Upstream
    from pytest_keyconform.report import InvariantReport
    from pytest_keyconform.spec.pool import Pool

# name, type of the ini key, metavar, help
OPTIONS = (
    ("profile", "string", "PROFILE", "the budget: smoke, ci or deep (default: ci)"),
    (
        "select",
        "args",
        "IDS",
        "judge only these ids or families, such as ACQ,FMT01; the verdict is then partial",
    ),
    ("level", "string", "LEVEL", "what gates: must or should (default: must)"),
    ("report", "linelist", "FORMAT:PATH", "write a report, such as json:report.json; may be repeated"),
    ("seed", "string", "N|random", "the same seed gives the same run (default: 0)"),
    ("replay", "string", "TOKEN", "run one counterexample again, alone, as a violation shows it"),
    ("timeout", "float", "S", "seconds after which one invariant is given up (default: 60)"),
    ("max_time", "float", "S", "seconds after which no further invariant is begun"),
    ("baseline", "string", "PATH", "an earlier JSON report: what got worse fails, violations it has too pass as known"),
    ("require", "string", "KIND", "which operations it must have: those of in-process, shared-store or service"),
    ("spec", "string", "VERSION", "the pinned catalogue, such as 1.0: later invariants are advisory"),
    ("cov", "linelist", "PACKAGE", "measure which lines and branches of it the invariants reach; may be repeated"),
    ("cov_fail_under", "float", "PERCENT", "fail below this coverage (default: 70)"),
    ("waivers", "string", "PATH", "accepted deviations (default: keyconform-waivers.toml beside pyproject.toml)"),
    ("scenarios", "linelist", "PATH", "run scenario files too: a file, a folder, or builtin; may be repeated"),
    ("save_failures", "string", "DIR", "save the programs that break invariants as scenario files"),
)
REPEATABLE = ("report", "cov", "scenarios")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let others extend the catalogue."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flags and the ini keys of the same names."""
    group = parser.getgroup("keyconform", "API-key manager conformance")
    group.addoption(
        "--keyconform",
        action="append",
        metavar="TARGET",
        help="judge a key manager: package.module:factory or a configured name; NAME=TARGET names it; repeatable",
    )
    group.addoption("--keyconform-only", action="store_true", default=None, help="collect nothing but the invariants")
    group.addoption(
        "--keyconform-isolate", action="store_true", default=None, help="judge each invariant in a fresh interpreter"
    )
    parser.addini("keyconform_isolate", "judge each invariant in a fresh interpreter", type="bool", default=None)
    parser.addini("keyconform", "the key managers to judge, one a line", type="linelist", default=None)
    parser.addini("keyconform_only", "collect nothing but the invariants", type="bool", default=None)
    for name, kind, metavar, text in OPTIONS:
        action = "append" if name in REPEATABLE else "store"
        group.addoption(f"--keyconform-{name.replace('_', '-')}", action=action, metavar=metavar, help=text)
        parser.addini(f"keyconform_{name}", text, type=kind, default=None)  # type: ignore[arg-type]  # one of its names


def pytest_configure(config: pytest.Config) -> None:
    """Register what judges, where there is a target."""
    config.addinivalue_line("markers", "keyconform: an invariant of an API-key manager, added by pytest-keyconform")
    if not _has_target(config):
        flag = _lonely_flag(config)
        if flag is not None:
            raise pytest.UsageError(
                f"{flag}: expected a target to judge, found none; name one: --keyconform=package.module:factory"
            )
        return
    from pytest_keyconform.session import Judge, NothingElse

    judge = Judge.of(config)
    config.pluginmanager.register(judge, "keyconform-judge")
    if judge.settings.only:
        config.pluginmanager.register(NothingElse(), "keyconform-only")


@pytest.fixture
def key_pool() -> Callable[..., Pool]:
    """Make pools of canary keys: so many regular ones, so many vertex ones, and the other fields of a Pool."""
    from pytest_keyconform.fixtures import make_pool

    return make_pool


@pytest.fixture
def explore() -> Callable[..., Any]:
    """Run operations of the test's own at once, in every order that matters: `pytest_keyconform.explore`."""
    from pytest_keyconform.exploring import explore as function

    return function


@pytest.fixture
def key_manager(request: pytest.FixtureRequest) -> Callable[..., Opening]:
    """Open the target's key manager on a pool: the answer is for ``async with``, or for ``with``."""
    from pytest_keyconform.fixtures import opener

    return opener(request.config)


@pytest.fixture
def scenario(request: pytest.FixtureRequest) -> Callable[..., InvariantReport]:
    """Run a scenario file against the target: a path, from the test's folder on, or the name of one that is shipped."""
    from pytest_keyconform.staging import stage

    return stage(request)


@pytest.fixture
def frozen_time(request: pytest.FixtureRequest) -> Iterator[FrozenTime]:
    """Freeze every clock of the process and of its event loop; it goes on where the test says so."""
    from pytest_keyconform.fixtures.frozen import FrozenTime

    with FrozenTime() as time:
        time.watch(*([request.module] if request.module else []))
        yield time


@pytest.fixture
def provider() -> Iterator[Callable[..., Upstream]]:
    """Make a provider for the keys of a pool, which answers httpx clients and enforces limits for each key."""
    from pytest_keyconform.fixtures.serving import Serving

    with Serving() as serving:
        yield serving.provider


@pytest.fixture
def limits_page() -> Iterator[Callable[..., LimitsPage]]:
    """Make the page that publishes limits, which answers httpx clients and can be taken down."""
    from pytest_keyconform.fixtures.serving import Serving

    with Serving() as serving:
        yield serving.limits_page


def _has_target(config: pytest.Config) -> bool:
    """Tell whether any place names a target, without importing anything for it."""
    if hasattr(config, "workerinput"):
        return "keyconform" in config.workerinput
    if config.getoption("--keyconform") or os.environ.get("KEYCONFORM_TARGET") or ini(config, "keyconform"):
        return True
    tables = (
        (config.rootpath / "keyconform.toml", ()),
        (config.rootpath / "pyproject.toml", ("tool", "keyconform")),
    )
    return any("target" in _table(path, keys) for path, keys in tables)


def _table(path: os.PathLike[str], keys: tuple[str, ...]) -> dict[str, Any]:
    """Answer a table of a TOML file; empty for a file that is not there or cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # pathlib would do, the path is pytest's
            table: Any = tomllib.load(file)
    except (OSError, ValueError):
        return {}
    for key in keys:
        table = table.get(key, {}) if isinstance(table, dict) else {}
    return table if isinstance(table, dict) else {}


def _lonely_flag(config: pytest.Config) -> str | None:
    """Answer a flag that means nothing without a target, where one was given."""
    names = ["only", "isolate", *(name for name, *_ in OPTIONS)]
    flags = [f"--keyconform-{name.replace('_', '-')}" for name in names]
    if hasattr(config, "workerinput"):
        return None
    return next((flag for flag in flags if config.getoption(flag) is not None), None)


def ini(config: pytest.Config, name: str) -> Any:  # noqa: ANN401  # an ini key is what its type says
    """Answer an ini key; one of the wrong type is the user's error."""
    try:
        return config.getini(name)
    except (TypeError, ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"{config.inipath}: {name}: {error}") from None
