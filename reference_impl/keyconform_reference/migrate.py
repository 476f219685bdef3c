"""Carrying over what v1 has counted: once for each row, and with nothing changed in what v1 goes on with (000-13)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InvalidInputError
from .keys import FREE, Pool
from .reports import Carried

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .desk import Desk
    from .windows import Windows


class OldRow(NamedTuple):
    """A row of v1, read: its counters, and when it was used last, in seconds since the epoch."""

    pool: Pool
    key: str
    model: str
    rpm: int
    tpm: int
    rpd: int
    exhausted: bool
    inactive: bool
    last_used: float


async def migrate(desk: Desk, rows: Iterable[Mapping[str, Any]], now: float) -> int:
    """Carry rows over, each in one step of the store, and return how many were new to it.

    A row is told by pool, key and model, and is carried over once, however often and wherever it is given: again after
    an interruption is as good as at once (003-B3). A row of a key that is in no pool is left out. All rows are read
    before the first is carried over: raises ``InvalidInputError``, naming the row, and nothing has changed.
    """
    read = [read_row(row, number) for number, row in enumerate(rows)]
    fresh = 0
    for row in read:
        model = desk.models.resolve(row.model)
        carried = what_counts(row, desk.windows, now)
        fresh += await desk.store.carry(row.pool, row.key, model, carried)
    await desk.heed_waiters()
    return fresh


def read_row(row: Mapping[str, Any], number: int) -> OldRow:
    """Read one row; raises ``InvalidInputError``. The key is not named in it."""
    try:
        return OldRow(
            pool=Pool(row["pool"]),
            key=str(row["key"]),
            model=str(row["model"]),
            rpm=_count(row["rpm"]),
            tpm=_count(row["tpm"]),
            rpd=_count(row["rpd"]),
            exhausted=bool(row["exhausted"]),
            inactive=bool(row["inactive"]),
            last_used=_instant(row["last_used"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        lacking = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        message = f"row {number} cannot be carried over: {lacking}"
        raise InvalidInputError(message) from None


def _count(found: object) -> int:
    if not isinstance(found, int) or found < 0:
        message = f"expected a whole number from 0, not {found!r}"
        raise ValueError(message)
    return found


def _instant(found: str | None) -> float:
    """Return seconds since the epoch; 0 for a key that was never used."""
    if not found:
        return 0.0
    when = dt.datetime.fromisoformat(found)
    if when.tzinfo is None:
        message = f"the time {found} has no offset from UTC"
        raise ValueError(message)
    return when.timestamp()


def what_counts(row: OldRow, windows: Windows, now: float) -> Carried:
    """Return what still counts now: the windows judge by the time of the row's last use (000-13)."""
    minute = row.last_used >= windows.minute_start(now)
    day = row.last_used >= windows.day(now)[0]
    marked = windows.mark_ends(row.last_used, 0) if row.exhausted else FREE
    removed = windows.removal_ends(row.last_used) if row.inactive else FREE
    return Carried(
        requests=row.rpm if minute else 0,
        tokens=row.tpm if minute else 0,
        daily=row.rpd if day else 0,
        mark_until=marked if marked > now else FREE,
        removed_until=removed if removed > now else FREE,
        last_used=row.last_used or None,
    )
