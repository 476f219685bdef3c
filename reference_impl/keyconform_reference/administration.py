"""What operators do: look at keys and repair them. The keys themselves are served in ``manager``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from . import views
from .errors import UnknownKeyError
from .keys import Pool, redact
from .migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .desk import Desk


class Administration:
    """Views are copies and change nothing; a key of no pool is answered False, 0 or None (000-14)."""

    _desk: Desk

    async def get_usage_stats(self, api_key: str, model_name: str | None) -> dict[str, Any] | None:
        """Return ``rpm``, ``tpm``, ``rpd``, ``max_*``, ``*_left``, ``last_used`` of a key and model (002-C2).

        Requests and tokens of the minute, requests of the day; None for an unlimited number. The key is
        looked for in the regular pool, then in the vertex pool; None if it is in neither.
        """
        self._desk.require_open()
        model = self._desk.models.resolve(model_name)
        for pool in Pool:
            row = await self._desk.store.row(pool, api_key, model)
            if row is not None:
                return views.usage(row)
        return None

    async def get_fail_count(self, key: str) -> int:
        """Return the strikes of a regular key; at least ``max_failures`` while it is out (000-14)."""
        return await self._count(Pool.REGULAR, key)

    async def get_vertex_fail_count(self, key: str) -> int:
        """Return the strikes of a vertex key."""
        return await self._count(Pool.VERTEX, key)

    async def is_key_valid(self, key: str) -> bool:
        """Tell whether a regular key is in service, whatever its quota (000-15)."""
        return await self._is_valid(Pool.REGULAR, key)

    async def is_vertex_key_valid(self, key: str) -> bool:
        """Tell whether a vertex key is in service."""
        return await self._is_valid(Pool.VERTEX, key)

    async def get_keys_by_status(self) -> dict[str, dict[str, int]]:
        """Return ``{"valid_keys": {key: strikes}, "invalid_keys": {...}}`` of the regular pool (000-15)."""
        return await self._by_status(Pool.REGULAR)

    async def get_vertex_keys_by_status(self) -> dict[str, dict[str, int]]:
        """Return the same for the vertex pool (000-15)."""
        return await self._by_status(Pool.VERTEX)

    async def get_all_keys_with_fail_count(self) -> dict[str, dict[str, int]]:
        """Return the regular pool by status, and ``all_keys``, their union (000-16)."""
        groups = await self._by_status(Pool.REGULAR)
        return {**groups, "all_keys": {**groups["valid_keys"], **groups["invalid_keys"]}}

    async def get_state(self) -> dict[str, Any]:
        """Return ``models`` and ``summary`` for dashboards, ready for JSON, keys redacted (002-O3, 001-9)."""
        self._desk.require_open()
        keys = sum([await self._desk.store.size(pool) for pool in Pool])
        configured = [model.name for model in self._desk.models.configured]
        return views.state(await self._desk.store.rows(), keys, configured)

    async def health(self) -> bool:
        """Tell whether the manager can serve: False while it is not open or its store is down (003-B1)."""
        return await self._desk.is_healthy()

    async def reset_key_failure_count(self, key: str) -> bool:
        """Restore a key for every model, in each pool it is in; False if in none (000-14)."""
        self._desk.require_open()
        return await self._everywhere([await self._desk.store.restore(pool, key) for pool in Pool])

    async def reset_vertex_key_failure_count(self, key: str) -> bool:
        """Restore a vertex key for every model; False if it is not in the vertex pool (000-14)."""
        self._desk.require_open()
        return await self._everywhere([await self._desk.store.restore(Pool.VERTEX, key)])

    async def restore_keys(self, keys: Iterable[str]) -> dict[str, Exception | None]:
        """Restore each of these keys; the answer holds every key, with the error of each that failed (004-5).

        A key of no pool has an ``UnknownKeyError``; what goes wrong with one keeps none of the others back.
        """
        self._desk.require_open()
        outcome: dict[str, Exception | None] = {}
        for key in keys:
            try:
                known = await self.reset_key_failure_count(key)
                outcome[key] = None if known else UnknownKeyError("regular or vertex", redact(key))
            except Exception as error:  # noqa: BLE001 - told, and no reason to leave the others as they are
                outcome[key] = error
        return outcome

    async def reset_failure_counts(self) -> None:
        """Restore every regular key (000-14)."""
        await self._restore_all(Pool.REGULAR)

    async def reset_vertex_failure_counts(self) -> None:
        """Restore every vertex key (000-14)."""
        await self._restore_all(Pool.VERTEX)

    async def reactivate_key(self, key: str, model_name: str | None = None) -> bool:
        """Restore a key, or lift only its 429 mark for ``model_name``; False if it is in no pool (000-14)."""
        if model_name is None:
            return await self.reset_key_failure_count(key)
        self._desk.require_open()
        model = self._desk.models.resolve(model_name)
        return await self._everywhere([await self._desk.store.lift_mark(pool, key, model) for pool in Pool])

    async def reset_usage(self) -> None:
        """Zero the counters of all keys and models; 429 marks stay (000-R)."""
        self._desk.require_open()
        await self._desk.store.clear_usage()
        await self._desk.heed_waiters()

    async def migrate(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Carry over what v1 has counted, and return how many rows were new (000-13, 003-B3).

        A row has ``pool``, ``key``, ``model``, ``rpm``, ``tpm``, ``rpd``, ``exhausted``, ``inactive`` and ``last_used``
        (ISO 8601, with an offset), and is left as it is. Doing it again, also after an interruption, changes nothing.
        Raises ``InvalidInputError`` for a row that cannot be read; nothing is carried over then.
        """
        self._desk.require_open()
        return await migrate(self._desk, rows, time.time())

    async def run_maintenance(self) -> None:
        """Drop what has no effect any more. Windows need no ticks: they end by the clock (002-O2)."""
        self._desk.require_open()
        await self._desk.store.sweep()
        await self._desk.heed_waiters()

    async def _count(self, pool: Pool, key: str) -> int:
        self._desk.require_open()
        standing = await self._desk.store.standing(pool, key)
        return 0 if standing is None else standing.strikes

    async def _is_valid(self, pool: Pool, key: str) -> bool:
        self._desk.require_open()
        standing = await self._desk.store.standing(pool, key)
        return standing is not None and standing.valid

    async def _by_status(self, pool: Pool) -> dict[str, dict[str, int]]:
        self._desk.require_open()
        return views.by_status(await self._desk.store.standings(pool))

    async def _restore_all(self, pool: Pool) -> None:
        self._desk.require_open()
        await self._desk.store.restore_all(pool)
        await self._desk.heed_waiters()

    async def _everywhere(self, found: list[bool]) -> bool:
        await self._desk.heed_waiters()
        return any(found)
