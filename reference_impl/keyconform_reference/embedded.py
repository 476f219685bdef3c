"""A manager on a SQLite file in a folder of its own: what a service on one machine embeds where its state must last.

``make_manager`` is the registered target ``reference-sqlite``. Needs the extra ``sqlite``.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError
from .factory import LASTING, manager_of
from .options import Options

try:  # here, so that processes forked from one that has this module need not import it again
    from .stores.sql import SqlStore
    from .stores.sql.sqlite import Sqlite
except ConfigurationError as error:
    _LACKING: str | None = str(error)
else:
    _LACKING = None

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .factory import PoolLike
    from .manager import KeyManager
    from .stores import Rules, Store


@dataclasses.dataclass(frozen=True, slots=True)
class SqliteFactory:
    """Makes managers with ``options`` whose state is in ``pool.storage``; ``policies`` are these and the store's."""

    options: Options = dataclasses.field(default_factory=Options)

    @property
    def policies(self) -> dict[str, Any]:
        """The policies by name, new at each call."""
        return {**dataclasses.asdict(self.options), **LASTING}

    def __call__(self, pool: PoolLike) -> KeyManager:
        """Return a new manager, not yet open; raises ``ConfigurationError`` without a storage or the extra."""
        if pool.storage is None:
            message = "the SQLite store needs a folder: the pool has no storage"
            raise ConfigurationError(message)
        return manager_of(pool, self.options, store_in(pool.storage))


make_manager = SqliteFactory()


def store_in(folder: Path) -> Callable[[Rules], Store]:
    """Return what ``KeyManager(store=...)`` takes, for a file in a folder; raises ``ConfigurationError``."""
    if _LACKING is not None:
        raise ConfigurationError(_LACKING)
    return lambda rules: SqlStore(rules, Sqlite(folder))
