"""Minutes, days and recoveries."""

import datetime as dt
import math
import zoneinfo

import pytest

from keyconform_reference import ConfigurationError, Options
from keyconform_reference.windows import Minutes, Windows, ZoneDays

PACIFIC = zoneinfo.ZoneInfo("America/Los_Angeles")


def stamp(*parts: int, zone: dt.tzinfo = PACIFIC) -> float:
    """Seconds since the epoch at a wall time."""
    return dt.datetime(*parts, tzinfo=zone).timestamp()


def test_a_minute_is_that_of_the_clock():
    """A minute begins at second 0 and ends 60 seconds later."""
    assert Minutes().start(125.5) == 120
    assert Minutes().end(125.5) == Minutes().end(120) == 180


@pytest.mark.parametrize(
    "day, hours", [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 6, 1), 24)], ids=["spring", "autumn", "summer"]
)
def test_a_day_has_as_many_hours_as_the_zone_gives_it(day, hours):
    """A day goes from midnight to midnight, on the days the clocks change too."""
    days = ZoneDays("America/Los_Angeles")
    start = stamp(*day)
    assert days.start(start) == days.start(start + 3600 * hours - 1) == start
    assert days.end(start) == start + 3600 * hours
    assert days.start(start + 3600 * hours) == start + 3600 * hours


def test_a_missing_midnight_is_the_instant_of_the_change():
    """Where clocks skip midnight, the day begins with the first instant there is."""
    beirut = zoneinfo.ZoneInfo("Asia/Beirut")
    days = ZoneDays("Asia/Beirut")
    first = stamp(2022, 3, 27, 1, zone=beirut)
    assert days.start(first) == first
    assert days.end(first - 1) == first


def test_an_unknown_zone_is_refused():
    """A zone that the system does not know is a typed error that names it."""
    for name in ("Mars/Olympus", "", "../etc"):
        with pytest.raises(ConfigurationError, match="day_zone"):
            ZoneDays(name)


@pytest.mark.parametrize(
    "options, wait",
    [
        (Options(), 20),
        (Options(minute_window="rolling"), 60),
        (Options(minute_window="bucket"), 60),
        (Options(quota_recovery=7), 7),
        (Options(quota_recovery="day", day_zone="rolling"), 86_400),
        (Options(quota_recovery=None), math.inf),
    ],
    ids=["minute", "rolling", "bucket", "seconds", "day", "by hand"],
)
def test_a_mark_lasts_as_long_as_the_options_say(options, wait):
    """A 429 is over at the end of its minute, after its seconds, its day, or by hand only."""
    noon = stamp(2026, 3, 1, 12) + 40
    assert Windows(options).mark_ends(noon, 0) == noon + wait


def test_a_mark_for_the_day_ends_at_midnight():
    """``quota_recovery="day"`` is the midnight of the zone."""
    noon = stamp(2026, 3, 8, 12)
    assert Windows(Options(quota_recovery="day")).mark_ends(noon, 0) == stamp(2026, 3, 9)


def test_steps_grow_and_the_last_one_repeats():
    """The n-th 429 waits for the n-th step."""
    windows = Windows(Options(quota_recovery=(1, 5, 20)))
    assert [windows.mark_ends(0, earlier) for earlier in range(5)] == [1, 5, 20, 20, 20]
