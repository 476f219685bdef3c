"""What is known of one key: its strikes and holds, and what it spent for each model."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections import deque
from typing import TYPE_CHECKING

from .errors import ConfigurationError
from .tallies import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .limits import Limits
    from .reports import Carried
    from .tallies import Tally
    from .windows import Windows

FREE = 0.0
"""What ``free_at`` answers for a key that is free now; any other answer is a time to come."""
_QUIET = 86_400.0
_SHOWN = 8


class Pool(enum.StrEnum):
    """The two lists of keys; a key in both has a state in each (000-9)."""

    REGULAR = "regular"
    VERTEX = "vertex"

    @classmethod
    def of(cls, *, vertex: bool) -> Pool:
        """Return the pool that an ``is_vertex_key`` names."""
        return cls.VERTEX if vertex else cls.REGULAR


def redact(key: str) -> str:
    """Return what may be shown of a key: at most a third of its characters, and at most eight (001-9)."""
    shown = min(_SHOWN, len(key) // 3)
    tail = (shown + 1) // 2
    return f"{key[: shown - tail]}...{key[len(key) - tail :] if tail else ''}"


def plain_keys(keys: Iterable[str], where: str) -> tuple[str, ...]:
    """Return the keys once each, in order, as plain ``str`` (001-1, 003-I2).

    Raises ``ConfigurationError`` for what cannot be sent in a header; the key is not named in it.
    """
    if isinstance(keys, str | bytes):
        message = f"{where} must be a list of keys, not one {type(keys).__name__}"
        raise ConfigurationError(message)
    try:
        found = list(keys)
    except TypeError:
        message = f"{where} must be a list of keys, not {type(keys).__name__}"
        raise ConfigurationError(message) from None
    for number, key in enumerate(found):
        if not _is_key(key):
            message = f"{where}[{number}] is no key: a non-empty str of printable characters is needed"
            raise ConfigurationError(message)
    return tuple(dict.fromkeys(str.__str__(key) for key in found))


def _is_key(found: object) -> bool:
    return isinstance(found, str) and found.isprintable() and bool(found.strip())


@dataclasses.dataclass(slots=True)
class Hold:
    """A lease on a key. ``until`` may be infinite; ``reserved_for`` names the model it holds a request of."""

    token: int
    until: float
    reserved_for: str | None


class KeyState:
    """What holds of one key of one pool for every model."""

    __slots__ = ("hold", "key", "label", "last_out", "outs", "removed_until", "strikes", "struck_until")

    def __init__(self, key: str) -> None:
        self.key = key
        self.label = redact(key)
        self.hold: Hold | None = None
        self.outs = 0
        self.last_out = FREE
        self.restore()

    def __repr__(self) -> str:
        return f"<KeyState {self.label}>"

    def restore(self) -> None:
        """Lift strikes and removal; who holds the key goes on holding it."""
        self.strikes = 0
        self.struck_until = FREE
        self.removed_until = FREE
        self.outs = 0

    def settle(self, now: float) -> None:
        """Let what is over be over; that a read does so is not to be seen."""
        if FREE < self.struck_until <= now:
            self.strikes = 0
            self.struck_until = FREE
        if self.removed_until <= now:
            self.removed_until = FREE
        if self.hold is not None and self.hold.until <= now:
            self.hold = None

    def strike(self, now: float, threshold: int, windows: Windows) -> None:
        """Count a strike; at the threshold the key is out."""
        self.settle(now)
        self.strikes += 1
        if self.strikes < threshold:
            return
        if self.struck_until == FREE:
            self.outs = self.outs + 1 if now - self.last_out < _QUIET else 1
        # A failure of a key that is out already starts its wait again, but is no further step.
        self.struck_until = windows.strikes_end(now, self.outs - 1)
        self.last_out = self.struck_until

    def clear_strikes(self) -> None:
        """Forget the strikes; a removal by 401 or 403 stays (004-2)."""
        self.strikes = 0
        self.struck_until = FREE
        self.outs = 0

    def is_valid(self, now: float) -> bool:
        """Tell whether the key is in service, whatever its quota."""
        return self.struck_until <= now and self.removed_until <= now

    def count(self, now: float, max_failures: int) -> int:
        """Return the strikes to show: below ``max_failures`` exactly while the key is valid (000-15)."""
        self.settle(now)
        return self.strikes if self.is_valid(now) else max(self.strikes, max_failures)

    def free_at(self, now: float) -> float:
        """Return ``FREE``, or when the key is in service and unheld again (infinity: by hand)."""
        when = max(self.struck_until, self.removed_until)
        if self.hold is not None:
            when = max(when, self.hold.until)
        return when if when > now else FREE

    def shift(self, before: float, now: float) -> None:
        """Obey a clock that was set back: every wait keeps what was left of it (000-19)."""
        self.settle(before)
        self.last_out = shifted(self.last_out, before, now)
        self.struck_until = shifted(self.struck_until, before, now)
        self.removed_until = shifted(self.removed_until, before, now)
        if self.hold is not None:
            self.hold.until = shifted(self.hold.until, before, now)


class ModelUse:
    """What one key spent for one model, and whether a 429 keeps it out.

    ``last_used`` is the time of the last report, or None; ``reservations`` are (second, requests), oldest first.
    """

    __slots__ = ("carried", "day", "last_mark", "last_used", "mark_until", "marks", "minute", "reservations")

    def __init__(self, limits: Limits, windows: Windows) -> None:
        self.minute: Tally = windows.minute_tally(limits)
        self.day: Tally = windows.day_tally()
        self.last_used: float | None = None
        self.last_mark = FREE
        self.mark_until = FREE
        self.marks = 0
        self.reservations: deque[tuple[float, int]] = deque()
        self.carried = False

    def carry(self, carried: Carried, now: float) -> bool:
        """Take over what an earlier version has counted, once; False if that was done."""
        if self.carried:
            return False
        self.carried = True
        # In windows that slide it counts from now on: rather too long than too short.
        if carried.requests or carried.tokens:
            self.minute.add(now, carried.requests, carried.tokens)
        if carried.daily:
            self.day.add(now, carried.daily, 0)
        self.mark_until = max(self.mark_until, carried.mark_until)
        self.last_mark = max(self.last_mark, carried.mark_until)
        times = [time for time in (self.last_used, carried.last_used) if time is not None]
        self.last_used = max(times, default=None)
        return True

    def add(self, now: float, requests: int, tokens: int) -> None:
        """Count in both windows."""
        if requests or tokens:
            self.minute.add(now, requests, tokens)
            self.day.add(now, requests, 0)

    def used(self, now: float) -> tuple[int, int, int]:
        """Return requests and tokens of the minute and requests of the day."""
        return (*self.minute.used(now), self.day.used(now)[0])

    def clear(self) -> None:
        """Zero what was counted and reserved."""
        self.minute.clear()
        self.day.clear()
        self.reservations.clear()

    def mark(self, now: float, retry_after: float | None, windows: Windows) -> None:
        """Keep the key out for this model; an earlier mark that lasts longer stays (000-1, 004-7)."""
        if retry_after is None:
            if now - self.last_mark > _QUIET:
                self.marks = 0
            self.mark_until = max(self.mark_until, windows.mark_ends(now, self.marks))
            self.marks += 1
        else:
            self.mark_until = max(self.mark_until, now + retry_after)
        self.last_mark = self.mark_until

    def lift_mark(self) -> None:
        """Forget the 429s."""
        self.mark_until = FREE
        self.marks = 0

    def reserve(self, now: float) -> None:
        """Remember a request that was handed out and not reported yet: until its report, or a minute."""
        second = now // 1
        count = 1
        # Kept by the second: a caller that never reports costs sixty entries at most.
        if self.reservations and self.reservations[-1][0] == second:
            count += self.reservations.pop()[1]
        self.reservations.append((second, count))

    def unreserve(self, now: float) -> bool:
        """Forget the oldest reservation; True if there was one."""
        if not self.reserved(now):
            return False
        second, count = self.reservations.popleft()
        if count > 1:
            self.reservations.appendleft((second, count - 1))
        return True

    def reserved(self, now: float) -> int:
        """Return how many requests are handed out and not reported."""
        while self.reservations and self.reservations[0][0] + MINUTE <= now:
            self.reservations.popleft()
        return sum(count for _, count in self.reservations)

    def free_at(self, now: float, limits: Limits, *, with_reserved: bool) -> float:
        """Return ``FREE``, or when the key may be free for this model again (infinity: by hand)."""
        reserved = self.reserved(now) if with_reserved else 0
        marked = self.mark_until if self.mark_until > now else FREE
        minute = self._window_free_at(self.minute, now, (limits.rpm, limits.tpm), reserved)
        day = self._window_free_at(self.day, now, (limits.rpd, None), reserved)
        return max(marked, minute, day)

    def within(self, now: float, limits: Limits) -> bool:
        """Tell whether usage, without reservations, is below the limits and no 429 holds."""
        if self.mark_until > now:
            return False
        pairs = zip(self.used(now), (limits.rpm, limits.tpm, limits.rpd), strict=True)
        return all(limit is None or used < limit for used, limit in pairs)

    def _window_free_at(self, tally: Tally, now: float, limits: tuple[int | None, int | None], reserved: int) -> float:
        requests, tokens = limits
        if requests == 0 or tokens == 0:
            return math.inf
        left = None if requests is None else requests - reserved
        used = tally.used(now)
        if (left is None or used[0] < left) and (tokens is None or used[1] < tokens):
            return FREE
        by_report = self.reservations[0][0] + MINUTE if reserved else math.inf
        by_window = math.inf if left is not None and left <= 0 else tally.frees_at(now, left, tokens)
        return min(by_report, by_window)

    def shift(self, before: float, now: float) -> None:
        """Obey a clock that was set back."""
        self.reserved(before)
        self.reservations = deque((second - before + now, count) for second, count in self.reservations)
        self.minute.shift(before, now)
        self.day.shift(before, now)
        self.last_mark = shifted(self.last_mark, before, now)
        self.mark_until = shifted(self.mark_until, before, now)
        if self.last_used is not None:
            self.last_used = min(self.last_used, now)


def shifted(until: float, before: float, now: float) -> float:
    """Return the end of a wait after the clock was set back: over if it was over, else as long as it was."""
    return until - before + now if until > before else FREE
