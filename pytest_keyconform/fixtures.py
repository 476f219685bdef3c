"""What the fixtures answer that users request in tests of their own; the fixtures themselves are in `plugin`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_keyconform.adapters.keys import canary
from pytest_keyconform.adapters.resolve import OpeningFailed, resolve
from pytest_keyconform.errors import UsageError
from pytest_keyconform.spec.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from pytest_keyconform.adapters.resolve import Opened, Target
    from pytest_keyconform.spec.settings import Settings, TargetSetting


def make_pool(regular: int = 3, vertex: int = 2, **fields: Any) -> Pool:  # noqa: ANN401  # the fields of a Pool
    """Make a pool of so many canary keys; the other fields of a `Pool` go by name, such as ``limits``."""
    return Pool(
        api_keys=tuple(canary(f"key-{number}") for number in range(1, regular + 1)),
        vertex_api_keys=tuple(canary(f"vertex-{number}") for number in range(1, vertex + 1)),
        **fields,
    )


class Opening:
    """The target's key manager on one pool: made and opened on entering, closed on leaving.

    ``async with`` for any manager, ``with`` for one whose opening awaits nothing.
    """

    def __init__(self, target: Target, pool: Pool) -> None:
        self._target = target
        self._pool = pool
        self._opened: Opened | None = None

    async def __aenter__(self) -> Any:  # noqa: ANN401  # a manager is whatever the factory makes
        """Make and open a fresh manager."""
        try:
            self._opened = await self._target.opened(self._pool)
        except (OpeningFailed, UsageError) as error:
            _fail(str(error))
        return self._opened.manager

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._opened is not None:
            await self._opened.close()

    def __enter__(self) -> Any:  # noqa: ANN401  # likewise
        """Make and open a fresh manager that needs no event loop."""
        return _at_once(self.__aenter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        _at_once(self.__aexit__(kind, error, trace))


def opener(config: pytest.Config) -> Callable[..., Opening]:
    """Answer a factory of openings: ``open(pool)``, with ``target=NAME`` where there are several."""
    judge = config.pluginmanager.get_plugin("keyconform-judge")
    if judge is None:
        _fail("key_manager: expected a target, found none; name one: --keyconform=package.module:factory")
    resolved: dict[str, Target] = {}

    def open_on(pool: Pool | None = None, *, target: str | None = None) -> Opening:
        found = _resolved(judge.settings, target, resolved)
        return Opening(found, make_pool() if pool is None else pool)

    return open_on


def setting_of(settings: Settings, name: str | None, *, asking: str) -> TargetSetting:
    """Answer the target of this name, or the only one; ``asking`` is the fixture that fails where there is none."""
    named = {setting.name: setting for setting in settings.targets}
    if name is None and len(named) == 1:
        name = next(iter(named))
    if name is None or name not in named:
        _fail(f"{asking}: expected target= one of {', '.join(named)}, found {name!r}")
    return named[name]


def _resolved(settings: Settings, name: str | None, resolved: dict[str, Target]) -> Target:
    """Answer the target of this name, or the only one, resolved."""
    setting = setting_of(settings, name, asking="key_manager")
    name = setting.name
    if name not in resolved:
        try:
            resolved[name] = resolve(setting.target, roots=settings.search, name=name, policies=setting.policies or {})
        except UsageError as error:
            _fail(str(error))
    return resolved[name]


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # whatever it answers
    """Run a coroutine that suspends nowhere."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    return _fail("key_manager: this manager awaits while it is opened or closed; use `async with` instead of `with`")


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)
