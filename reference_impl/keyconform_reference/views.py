"""The answers that dashboards read: plain dicts, made anew for each call (000-15, 000-16, 002-C2)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from .keys import Pool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .limits import Limits
    from .stores import Row, Standing

GROUPS = ("available", "exhausted", "inactive")
_POOLS = {Pool.REGULAR: "regular_keys", Pool.VERTEX: "vertex_keys"}


def by_status(standings: Iterable[Standing]) -> dict[str, dict[str, int]]:
    """Return ``{"valid_keys": {key: strikes}, "invalid_keys": {key: strikes}}``."""
    groups: dict[str, dict[str, int]] = {"valid_keys": {}, "invalid_keys": {}}
    for standing in standings:
        groups["valid_keys" if standing.valid else "invalid_keys"][standing.key] = standing.strikes
    return groups


def usage(row: Row) -> dict[str, Any]:
    """Return one row as a dict: numbers are int, None is unlimited, ``last_used`` an ISO time or None."""
    limits = row.model.limits
    last_used = row.last_used
    used = {"rpm": row.rpm, "tpm": row.tpm, "rpd": row.rpd}
    return {
        **used,
        **_numbers(limits, used),
        "last_used": None if last_used is None else _iso(last_used),
    }


def state(rows: Sequence[Row], keys: int, configured: Iterable[str]) -> dict[str, Any]:
    """Return every model with the rows of both pools by group, and a summary that counts them.

    Configured models are there without any key too.

    ``total_keys`` counts keys; ``total_available`` and its sisters count rows, one for each key and model.
    Keys are redacted: this answer goes to pages and logs (001-9).
    """
    models = {name: {pool: _groups() for pool in _POOLS.values()} for name in configured}
    totals = dict.fromkeys(GROUPS, 0)
    for row in rows:
        model = models.setdefault(row.model.name, {name: _groups() for name in _POOLS.values()})
        model[_POOLS[row.pool]][row.group].append({"api_key": row.label, **usage(row)})
        totals[row.group] += 1
    return {"models": models, "summary": _summary(keys, len(models), totals)}


def _groups() -> dict[str, list[dict[str, Any]]]:
    return {group: [] for group in GROUPS}


def _summary(keys: int, models: int, totals: Mapping[str, int]) -> dict[str, int]:
    return {
        "total_keys": keys,
        "total_models": models,
        **{f"total_{group}": totals[group] for group in GROUPS},
    }


def _numbers(limits: Limits, used: Mapping[str, int]) -> dict[str, int | None]:
    numbers: dict[str, int | None] = {}
    for name, limit in (("rpm", limits.rpm), ("tpm", limits.tpm), ("rpd", limits.rpd)):
        numbers[f"max_{name}"] = limit
        numbers[f"{name}_left"] = None if limit is None else max(0, limit - used[name])
    return numbers


def _iso(stamp: float) -> str:
    return dt.datetime.fromtimestamp(stamp, dt.UTC).isoformat()
