"""What certainly counts in a window, what certainly does not, and what the catalogue leaves open.

Virtual second 0 of an execution is the aligned start of a minute, at noon of a Monday in UTC.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
import zoneinfo
from typing import TYPE_CHECKING

from pytest_keyconform.model.state import Tri

if TYPE_CHECKING:
    from pytest_keyconform.spec.policies import Policies

EPOCH = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
MINUTE, ALIGNED, FREE_AFTER, DAY, SLACK = 60.0, 50.0, 61.0, 86_400.0, 1.0
QUARTER = 900  # seconds; every zone begins its days at one


def in_minute(spent_at: float, now: float) -> Tri:
    """Tell whether what was spent then still counts in the minute window now.

    Under every policy what was spent within 50 s of an aligned start counts together, and is free 61 s later.
    """
    if now - spent_at >= FREE_AFTER:
        return Tri.NO
    start = math.floor(spent_at / MINUTE) * MINUTE
    return Tri.YES if now - start <= ALIGNED else Tri.MAYBE


def in_day(spent_at: float, now: float, zone: str) -> Tri:
    """Tell whether what was spent then still counts in the day of now; a second around midnight is left open."""
    if zone == "rolling":
        age = now - spent_at
        return Tri.YES if age < DAY - SLACK else Tri.NO if age > DAY + SLACK else Tri.MAYBE
    own = _date(spent_at, zone)
    early, late = _date(now - SLACK, zone) == own, _date(now + SLACK, zone) == own
    return Tri.MAYBE if early is not late else Tri.YES if early else Tri.NO


def marked(at: float, count: int, now: float, policies: Policies, *, starts: float = 0.0) -> Tri:
    """Tell whether a 429 mark set then (the ``count``-th in a row) still keeps the key out now.

    ``starts`` as in `Given`: days are told by the wall clock.
    """
    recovery = policies.quota_recovery
    if recovery is None:
        return Tri.YES
    if recovery == "minute":
        return in_minute(at, now)
    if recovery == "day":
        return in_day(at + starts, now + starts, policies.day_zone)
    return pausing(at, recovery, count, now)


def pausing(at: float, recovery: float | tuple[float, ...] | None, count: int, now: float) -> Tri:
    """Tell whether a pause that began then (the ``count``-th one, steps counted from 1) still lasts now."""
    if recovery is None:
        return Tri.YES
    steps = recovery if isinstance(recovery, tuple) else (recovery,)
    expected = steps[min(count, len(steps)) - 1]
    shortest, longest = (expected, expected) if count == 1 else (min(steps), max(steps))
    age = round(now - at, 6)  # both are whole microseconds, and their difference of floats is not
    return Tri.YES if age < shortest else Tri.NO if age > longest + SLACK else Tri.MAYBE


def midnight(now: float, zone: str) -> float:
    """Answer the next second at which a day of this zone begins; under ``rolling`` a day after now."""
    if zone == "rolling":
        return now + DAY
    quarter = math.floor(now / QUARTER)
    own = _date_of(quarter, zone)
    while _date_of(quarter, zone) == own:
        quarter += 1
    return float(quarter * QUARTER)


def uneven_days(zone: str) -> tuple[tuple[float, float], ...]:
    """Answer the first days of a zone that are shorter and longer than others: where each begins, and how long it is.

    Within two years; none where its clocks are never changed.
    """
    if zone == "rolling":
        return ()
    found: dict[bool, tuple[float, float]] = {}
    begin = midnight(0.0, zone)
    for _ in range(2 * 366):
        end = midnight(begin, zone)
        if end - begin != DAY:
            found.setdefault(end - begin < DAY, (begin, end - begin))
        begin = end
    return tuple(found.values())


def _date(second: float, zone: str) -> dt.date:
    return _date_of(math.floor(second / QUARTER), zone)


@functools.lru_cache(maxsize=4096)
def _date_of(quarter: int, zone: str) -> dt.date:
    """Answer the date of a quarter of an hour, counted from the beginning: time zones are asked for each one once."""
    return (EPOCH + dt.timedelta(seconds=quarter * QUARTER)).astimezone(zoneinfo.ZoneInfo(zone)).date()
