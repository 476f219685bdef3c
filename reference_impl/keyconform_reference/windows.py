"""Where the minute and the day end, and how long a key stays out.

A *span* says where a fixed window begins and ends: the minutes of the clock, the days of a zone. All times
are seconds since the epoch by the wall clock, given by the caller; nothing here reads a clock.
"""

from __future__ import annotations

import datetime as dt
import math
import zoneinfo
from typing import TYPE_CHECKING

from .errors import ConfigurationError
from .tallies import MINUTE, BucketTally, FixedTally, RollingTally

if TYPE_CHECKING:
    from .limits import Limits
    from .options import Options, Recovery
    from .tallies import Span, Tally

DAY = 86_400.0


class Minutes:
    """The minutes of the clock."""

    __slots__ = ()

    def start(self, now: float) -> float:
        """Return the last full minute."""
        return now // MINUTE * MINUTE

    def end(self, now: float) -> float:
        """Return the next full minute."""
        return now // MINUTE * MINUTE + MINUTE


class ZoneDays:
    """The days of a zone, of 23 or 25 hours where its clocks are changed (000-19, 000-27)."""

    __slots__ = ("_end", "_start", "_zone")

    def __init__(self, name: str) -> None:
        try:
            self._zone = zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            message = f"day_zone must be 'rolling' or an IANA zone that this system knows, not {name!r}"
            raise ConfigurationError(message) from None
        self._start = self._end = -math.inf

    def start(self, now: float) -> float:
        """Return the midnight before ``now``."""
        if not self._start <= now < self._end:
            self._turn_to(now)
        return self._start

    def end(self, now: float) -> float:
        """Return the midnight after ``now``."""
        self.start(now)
        return self._end

    def _turn_to(self, now: float) -> None:
        # Aware arithmetic would add 24 hours of wall time; each midnight is asked of the zone instead.
        today = dt.datetime.fromtimestamp(now, self._zone).date()
        self._start = self._midnight(today)
        self._end = self._midnight(today + dt.timedelta(days=1))

    def _midnight(self, day: dt.date) -> float:
        return dt.datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()


class Windows:
    """The minute and the day as the options want them."""

    __slots__ = ("_days", "_kind", "_minutes", "_options")

    def __init__(self, options: Options) -> None:
        self._options = options
        self._kind = options.minute_window
        self._minutes = Minutes()
        self._days: Span | None = None if options.day_zone == "rolling" else ZoneDays(options.day_zone)

    def minute_tally(self, limits: Limits) -> Tally:
        """Return an empty tally of requests and tokens in the minute."""
        if self._kind == "bucket":
            return BucketTally(limits.rpm, limits.tpm)
        return FixedTally(self._minutes) if self._kind == "fixed" else RollingTally(MINUTE)

    def day_tally(self) -> Tally:
        """Return an empty tally of requests in the day."""
        return RollingTally(DAY) if self._days is None else FixedTally(self._days)

    def minute_start(self, now: float) -> float:
        """Return since when requests count in the minute of now."""
        return self._minutes.start(now) if self._kind == "fixed" else now - MINUTE

    def day(self, now: float) -> tuple[float, float]:
        """Return when the day of now began and when it ends; a rolling day is the last 24 hours."""
        return (now - DAY, now) if self._days is None else (self._days.start(now), self._days.end(now))

    def mark_ends(self, now: float, earlier: int) -> float:
        """Return when a 429 of now is over, after ``earlier`` others; infinity is by hand (004-7)."""
        recovery = self._options.quota_recovery
        if recovery == "minute":
            return self._minutes.end(now) if self._kind == "fixed" else now + MINUTE
        if recovery == "day":
            return now + DAY if self._days is None else self._days.end(now)
        return comeback(recovery, now, earlier)

    def strikes_end(self, now: float, earlier: int) -> float:
        """Return when a key struck out now is back by itself."""
        return comeback(self._options.strike_recovery, now, earlier)

    def removal_ends(self, now: float) -> float:
        """Return when a key taken out by 401 or 403 now is back by itself."""
        return comeback(self._options.auth_recovery, now, 0)


def comeback(recovery: Recovery, now: float, earlier: int) -> float:
    """Return the end of a wait that begins now, the ``earlier``-th after the first; the last step repeats."""
    if recovery is None:
        return math.inf
    if isinstance(recovery, tuple):
        return now + recovery[min(earlier, len(recovery) - 1)]
    return now + recovery
