"""What one key spent for one model: in the window of now, in the last seconds, or as a bucket that drains.

All times are seconds since the epoch by the wall clock, given by the caller; a tally never reads a clock.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = 60.0
_STAMPS = 1024


class Span(Protocol):
    """Fixed windows that follow each other without a gap."""

    def start(self, now: float) -> float:
        """Return when the window of ``now`` began."""

    def end(self, now: float) -> float:
        """Return when the window of ``now`` ends: the first instant of the next one."""


class Tally(Protocol):
    """What one key spent for one model in one kind of window."""

    def add(self, now: float, requests: int, tokens: int) -> None:
        """Count ``requests`` and ``tokens`` as spent now."""

    def used(self, now: float) -> tuple[int, int]:
        """Return the requests and tokens that count now."""

    def frees_at(self, now: float, requests: int | None, tokens: int | None) -> float:
        """Return when less than these (None: any number) will count if nothing more is spent."""

    def shift(self, before: float, now: float) -> None:
        """Obey a clock that showed ``before`` and was set back to ``now``."""

    def clear(self) -> None:
        """Forget everything."""

    def saved(self) -> tuple[float, ...]:
        """Return all there is to it as numbers."""

    def load(self, numbers: Sequence[float]) -> None:
        """Be as a tally was that answered these numbers."""


class FixedTally:
    """What was spent in the span of now; the next span begins at nothing, traffic or not (003-B2)."""

    __slots__ = ("_requests", "_span", "_start", "_tokens")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._start = -math.inf
        self._requests = self._tokens = 0

    def add(self, now: float, requests: int, tokens: int) -> None:
        """Count into the span of now."""
        start = self._span.start(now)
        # A clock that is a little behind, of another machine, counts into the span that has begun.
        if start > self._start:
            self._start, self._requests, self._tokens = start, 0, 0
        self._requests += requests
        self._tokens += tokens

    def used(self, now: float) -> tuple[int, int]:
        """Return what the span of now has seen."""
        if self._span.start(now) > self._start:
            return (0, 0)
        return (self._requests, self._tokens)

    def frees_at(self, now: float, requests: int | None, tokens: int | None) -> float:
        """Return the end of the span, whatever the numbers, or now where they already hold."""
        return now if _below(self.used(now), requests, tokens) else self._span.end(now)

    def shift(self, before: float, now: float) -> None:
        """Move what still counted into the span of the new time."""
        if self._span.start(before) == self._start:
            self._start = self._span.start(now)
        else:
            self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._start = -math.inf

    def saved(self) -> tuple[float, int, int]:
        """Return the start of the span, requests, tokens."""
        return (self._start, self._requests, self._tokens)

    def load(self, numbers: Sequence[float]) -> None:
        """Be as saved."""
        self._start = numbers[0]
        self._requests, self._tokens = map(int, numbers[1:])


class RollingTally:
    """What was spent in the last ``length`` seconds.

    Exact up to a thousand different instants; beyond, neighbours are merged into the later one, so that
    memory is bounded and nothing counts for too short a time.
    """

    __slots__ = ("_length", "_requests", "_spent", "_tokens")

    def __init__(self, length: float) -> None:
        self._length = length
        self._spent: deque[tuple[float, int, int]] = deque()
        self._requests = self._tokens = 0

    def add(self, now: float, requests: int, tokens: int) -> None:
        """Count at this instant."""
        self._forget(now)
        self._requests += requests
        self._tokens += tokens
        if self._spent and self._spent[-1][0] == now:
            _, before, spent = self._spent.pop()
            requests, tokens = before + requests, spent + tokens
        self._spent.append((now, requests, tokens))
        if len(self._spent) > _STAMPS:
            self._merge()

    def used(self, now: float) -> tuple[int, int]:
        """Return what has not yet left the window."""
        self._forget(now)
        return (self._requests, self._tokens)

    def frees_at(self, now: float, requests: int | None, tokens: int | None) -> float:
        """Return when enough has left the window."""
        left_requests, left_tokens = self.used(now)
        when = now
        for stamp, some_requests, some_tokens in self._spent:
            if _below((left_requests, left_tokens), requests, tokens):
                break
            left_requests -= some_requests
            left_tokens -= some_tokens
            when = stamp + self._length
        return when

    def shift(self, before: float, now: float) -> None:
        """Keep the time each entry still had."""
        self._forget(before)
        self._spent = deque((stamp - before + now, requests, tokens) for stamp, requests, tokens in self._spent)

    def clear(self) -> None:
        """Forget everything."""
        self._spent.clear()
        self._requests = self._tokens = 0

    def saved(self) -> tuple[float, ...]:
        """Return instant, requests, tokens of each entry."""
        return tuple(itertools.chain.from_iterable(self._spent))

    def load(self, numbers: Sequence[float]) -> None:
        """Be as saved."""
        self.clear()
        for at in range(0, len(numbers), 3):
            stamp, requests, tokens = numbers[at], int(numbers[at + 1]), int(numbers[at + 2])
            self._spent.append((stamp, requests, tokens))
            self._requests += requests
            self._tokens += tokens

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] + self._length <= now:
            _, requests, tokens = self._spent.popleft()
            self._requests -= requests
            self._tokens -= tokens

    def _merge(self) -> None:
        # A grid, and not just neighbours: merged again and again, old entries would become one late lump.
        grain = self._length / (_STAMPS // 2)
        merged: deque[tuple[float, int, int]] = deque()
        for stamp, requests, tokens in self._spent:
            if merged and merged[-1][0] // grain == stamp // grain:
                _, some_requests, some_tokens = merged.pop()
                merged.append((stamp, some_requests + requests, some_tokens + tokens))
            else:
                merged.append((stamp, requests, tokens))
        self._spent = merged


class _Drain:
    """One number that drains to nothing within a minute, at the pace of its limit or faster."""

    __slots__ = ("_level", "_pace", "_pace_of_limit", "_stamp")

    def __init__(self, limit: int | None) -> None:
        self._pace_of_limit = (limit or 0) / MINUTE
        self._pace = self._pace_of_limit
        self._level = 0.0
        self._stamp = -math.inf

    def add(self, now: float, amount: int) -> None:
        self._level = self.level(now) + amount
        if self._level == amount:
            self._pace = self._pace_of_limit
        # An overshoot drains within the minute too, and more traffic never makes that later.
        self._pace = max(self._pace, self._level / MINUTE)
        self._stamp = now

    def level(self, now: float) -> float:
        return max(0.0, self._level - (now - self._stamp) * self._pace) if self._level else 0.0

    def used(self, now: float) -> int:
        # The margin hides rounding: 3 x 0.1 must not count as one more.
        return math.ceil(self.level(now) - 1e-6)

    def frees_at(self, now: float, limit: int | None) -> float:
        if limit is None or self.used(now) < limit:
            return now
        return now + (self.level(now) - (limit - 1)) / self._pace

    def shift(self, before: float, now: float) -> None:
        self._level = self.level(before)
        self._stamp = now

    def saved(self) -> tuple[float, float, float]:
        return (self._level, self._pace, self._stamp)

    def load(self, numbers: Sequence[float]) -> None:
        self._level, self._pace, self._stamp = numbers


class BucketTally:
    """A bucket of each: at most the limit at once, refilled evenly over a minute."""

    __slots__ = ("_limits", "_requests", "_tokens")

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._limits = (rpm, tpm)
        self.clear()

    def add(self, now: float, requests: int, tokens: int) -> None:
        """Take out of both buckets."""
        self._requests.add(now, requests)
        self._tokens.add(now, tokens)

    def used(self, now: float) -> tuple[int, int]:
        """Return what is not yet refilled, rounded up."""
        return (self._requests.used(now), self._tokens.used(now))

    def frees_at(self, now: float, requests: int | None, tokens: int | None) -> float:
        """Return when both buckets hold a whole one again."""
        return max(self._requests.frees_at(now, requests), self._tokens.frees_at(now, tokens))

    def shift(self, before: float, now: float) -> None:
        """Keep the levels."""
        self._requests.shift(before, now)
        self._tokens.shift(before, now)

    def clear(self) -> None:
        """Fill both buckets."""
        rpm, tpm = self._limits
        self._requests, self._tokens = _Drain(rpm), _Drain(tpm)

    def saved(self) -> tuple[float, ...]:
        """Return level, pace and instant of both buckets."""
        return (*self._requests.saved(), *self._tokens.saved())

    def load(self, numbers: Sequence[float]) -> None:
        """Be as saved."""
        self.clear()
        if numbers:
            self._requests.load(numbers[:3])
            self._tokens.load(numbers[3:])


def _below(used: tuple[int, int], requests: int | None, tokens: int | None) -> bool:
    return (requests is None or used[0] < requests) and (tokens is None or used[1] < tokens)
