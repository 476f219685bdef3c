"""Factories: from the description of a pool to a key manager."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final, Protocol

from .manager import KeyManager
from .options import Options
from .stores import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .limits import LimitsLike
    from .source import LimitsSource
    from .stores import Rules, Store


class PoolLike(Protocol):
    """What a manager is made from: keys, limits by model, numbers."""

    @property
    def api_keys(self) -> Sequence[str]:
        """The regular keys."""

    @property
    def vertex_api_keys(self) -> Sequence[str]:
        """The vertex keys."""

    @property
    def limits(self) -> Mapping[str, LimitsLike]:
        """Limits by the name of the model."""

    @property
    def default_model(self) -> str:
        """The model where none is named."""

    @property
    def max_failures(self) -> int:
        """How many strikes take a key out."""

    @property
    def max_retries(self) -> int:
        """From which retry on no replacement is given."""

    @property
    def paid_key(self) -> str:
        """The key of ``get_paid_key``."""

    @property
    def storage(self) -> Path | None:
        """A folder for what is to last."""

    @property
    def limits_source(self) -> str | None:
        """The address of a page that publishes limits."""


LASTING: Final = {"durability": "write-through", "shared": True, "staleness": 0.001}
"""What the SQL stores promise: every report is stored when it is answered, and every step reads the store."""


@dataclasses.dataclass(frozen=True, slots=True)
class Factory:
    """Makes managers of one kind of ``options`` from a pool; ``policies`` are these as a dict."""

    options: Options = dataclasses.field(default_factory=Options)

    @property
    def policies(self) -> dict[str, Any]:
        """The options by name, new at each call."""
        return dataclasses.asdict(self.options)

    def __call__(self, pool: PoolLike) -> KeyManager:
        """Return a new manager, not yet open."""
        return manager_of(pool, self.options, MemoryStore)


def _source(pool: PoolLike) -> LimitsSource | None:
    if pool.limits_source is None:
        return None
    from .source import LimitsSource  # it imports httpx, which nobody needs who has no source

    return LimitsSource(pool.limits_source, storage=pool.storage)


def make_manager(pool: PoolLike) -> KeyManager:
    """Return a manager with the default options, not yet open."""
    return Factory()(pool)


def make_manager_with(options: Options) -> Factory:
    """Return a factory of managers with these options."""
    return Factory(options)


def manager_of(pool: PoolLike, options: Options, store: Callable[[Rules], Store]) -> KeyManager:
    """Return a manager of a pool, not yet open."""
    return KeyManager(
        pool.api_keys,
        pool.vertex_api_keys,
        limits=pool.limits,
        default_model=pool.default_model,
        options=options,
        max_failures=pool.max_failures,
        max_retries=pool.max_retries,
        paid_key=pool.paid_key,
        store=store,
        source=_source(pool),
    )
