"""Which of the usable keys is served, in a time that does not grow with their number.

A ``Queue`` keeps the keys of one pool for one model: *ready* ones in the order the selection wants, *parked*
ones with the time they may be free again. A key that became unusable is found out when its turn comes and is
parked then; it is not looked at again before its time, or before something happens to it. So the work of all
acquires together is a constant number of steps for each acquire and each thing that happened to a key, also
with all keys out.
"""

# ruff: noqa: ARG002 - a choice is told the time, whether its order depends on it or not

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Protocol

from .keys import FREE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .keys import KeyState

_AT_ONCE = 16
"""How many keys one acquire moves or looks at anew: spreads the work of a minute's end."""


class Choice(Protocol):
    """The order of the keys that are thought to be usable."""

    def add(self, state: KeyState, now: float) -> None:
        """Add a new key, or one that was served: its turn is after the others."""

    def rejoin(self, state: KeyState, now: float) -> None:
        """Add a key that came back: it missed its turn, and has it before keys that were served since."""

    def pop(self, now: float) -> KeyState | None:
        """Remove and return the key whose turn it is."""

    def unpop(self, state: KeyState, now: float) -> None:
        """Put back a key that was not served: its turn is next."""

    def touch(self, state: KeyState, now: float) -> None:
        """Look anew at a key whose usage changed."""


class Rotation:
    """Round-robin: the key served longest ago (004-1).

    A key that came back goes before the ring. It cannot push in: to be out at its turn it has to wait for it.
    """

    __slots__ = ("_back", "_ring")

    def __init__(self) -> None:
        self._back: deque[KeyState] = deque()
        self._ring: deque[KeyState] = deque()

    def add(self, state: KeyState, now: float) -> None:
        """Append to the ring."""
        self._ring.append(state)

    def pop(self, now: float) -> KeyState | None:
        """Take who came back, else the head of the ring."""
        if self._back:
            return self._back.popleft()
        return self._ring.popleft() if self._ring else None

    def rejoin(self, state: KeyState, now: float) -> None:
        """Line up before the ring."""
        self._back.append(state)

    def unpop(self, state: KeyState, now: float) -> None:
        """Put back before all others."""
        self._back.appendleft(state)

    def touch(self, state: KeyState, now: float) -> None:
        """Ignore usage."""


class Lottery:
    """Any key, each as likely."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: list[KeyState] = []

    def add(self, state: KeyState, now: float) -> None:
        """Add to the draw."""
        self._keys.append(state)

    def pop(self, now: float) -> KeyState | None:
        """Draw."""
        if not self._keys:
            return None
        drawn = random.randrange(len(self._keys))  # noqa: S311 - spreads load; it keeps no secret
        self._keys[drawn], self._keys[-1] = self._keys[-1], self._keys[drawn]
        return self._keys.pop()

    def rejoin(self, state: KeyState, now: float) -> None:
        """Add to the draw."""
        self._keys.append(state)

    def unpop(self, state: KeyState, now: float) -> None:
        """Put back into the draw."""
        self._keys.append(state)

    def touch(self, state: KeyState, now: float) -> None:
        """Ignore usage."""


class Ranking:
    """The lowest load among keys without an unreported request; else the key served longest ago.

    That unreported requests count first keeps parallel acquires on distinct keys whatever the loads (004-1).
    ``load`` answers (has unreported requests, load) of a key now. Loads fall when a minute ends; from then on
    each acquire looks at a few keys anew, so that no acquire looks at all of them.
    """

    __slots__ = ("_due", "_entries", "_heap", "_load", "_minute", "_served", "_turns")

    def __init__(self, load: Callable[[KeyState, float], tuple[bool, float]]) -> None:
        self._load = load
        self._turns = itertools.count()
        self._heap: list[tuple[bool, float, int, KeyState]] = []
        # The one valid entry of each key that is ready; others in the heap are leftovers.
        self._entries: dict[KeyState, tuple[bool, float, int, KeyState]] = {}
        self._served: dict[KeyState, int] = {}
        self._minute = -math.inf
        self._due: list[KeyState] = []

    def add(self, state: KeyState, now: float) -> None:
        """Rank behind its equals."""
        self._served[state] = next(self._turns)
        self._push(state, now)

    def pop(self, now: float) -> KeyState | None:
        """Take the best, looking again at what its entry says."""
        self._refresh(now)
        while self._heap:
            entry = heapq.heappop(self._heap)
            state = entry[3]
            if self._entries.get(state) is not entry:
                continue
            if self._rank(state, now) > entry:
                self._push(state, now)
                continue
            del self._entries[state]
            return state
        return None

    def rejoin(self, state: KeyState, now: float) -> None:
        """Rank it by when it was served last."""
        self._push(state, now)

    def unpop(self, state: KeyState, now: float) -> None:
        """Rank it where it was."""
        self._push(state, now)

    def touch(self, state: KeyState, now: float) -> None:
        """Rank it anew if it is ready."""
        entry = self._entries.get(state)
        if entry is not None and self._rank(state, now) != entry:
            self._push(state, now)

    def _rank(self, state: KeyState, now: float) -> tuple[bool, float, int, KeyState]:
        waiting, load = self._load(state, now)
        return (waiting, FREE if waiting else load, self._served[state], state)

    def _push(self, state: KeyState, now: float) -> None:
        entry = self._entries[state] = self._rank(state, now)
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _AT_ONCE:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)

    def _refresh(self, now: float) -> None:
        minute = now // 60
        if minute != self._minute:
            self._minute = minute
            self._due = list(self._entries)
        for _ in range(min(_AT_ONCE, len(self._due))):
            self.touch(self._due.pop(), now)


class Queue:
    """The keys of one pool for one model. Every key is ready or parked, never both."""

    __slots__ = ("_choice", "_free_at", "_order", "_parked", "_wakes")

    def __init__(self, choice: Choice, free_at: Callable[[KeyState, float], float]) -> None:
        self._choice = choice
        self._free_at = free_at
        self._order = itertools.count()
        self._parked: dict[KeyState, float] = {}
        # Ends of waits, soonest first; an entry that ``_parked`` does not confirm is a leftover.
        self._wakes: list[tuple[float, int, KeyState]] = []

    def fill(self, states: Iterable[KeyState], now: float) -> None:
        """Add keys in order."""
        for state in states:
            self._choice.add(state, now)

    def take(self, now: float, avoid: KeyState | None = None) -> KeyState | None:
        """Take out the usable key whose turn it is; ``avoid`` only if no other is usable.

        The caller gives the key back with ``served`` once it has written down that it was.
        """
        passed: KeyState | None = None
        while True:
            self._wake(now)
            found, met = self._next_usable(now, avoid)
            passed = passed or met
            if found is not None or not self._due(now):
                break
        if found is None:
            return passed
        if passed is not None:
            self._choice.unpop(passed, now)
        return found

    def served(self, state: KeyState, now: float) -> None:
        """Give back a key that ``take`` took out."""
        self._choice.add(state, now)

    def touch(self, state: KeyState, now: float) -> None:
        """Hear that something happened to a key: it may be usable, or its rank another."""
        if state in self._parked:
            del self._parked[state]
            self._choice.rejoin(state, now)
        else:
            self._choice.touch(state, now)

    def touch_all(self, now: float) -> None:
        """Hear that something happened to every key."""
        for state in list(self._parked):
            self.touch(state, now)

    def next_wake(self) -> float:
        """Return when the next parked key may be free (infinity: by hand)."""
        while self._wakes and not self._is_current(self._wakes[0]):
            heapq.heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else math.inf

    def _next_usable(self, now: float, avoid: KeyState | None) -> tuple[KeyState | None, KeyState | None]:
        """Return the next usable key other than ``avoid``, and ``avoid`` if it was met and is usable."""
        passed = None
        while (state := self._choice.pop(now)) is not None:
            when = self._free_at(state, now)
            if when != FREE:
                self._park(state, max(when, now + 0.001))
            elif state is avoid:
                passed = state
            else:
                return state, passed
        return None, passed

    def _park(self, state: KeyState, when: float) -> None:
        self._parked[state] = when
        if when == math.inf:
            return
        heapq.heappush(self._wakes, (when, next(self._order), state))
        if len(self._wakes) > 2 * len(self._parked) + _AT_ONCE:
            self._wakes = [wake for wake in self._wakes if self._is_current(wake)]
            heapq.heapify(self._wakes)

    def _is_current(self, wake: tuple[float, int, KeyState]) -> bool:
        return self._parked.get(wake[2]) == wake[0]

    def _due(self, now: float) -> bool:
        return self.next_wake() <= now

    def _wake(self, now: float) -> None:
        """Make some of the keys ready whose wait is over."""
        for _ in range(_AT_ONCE):
            if not self._due(now):
                return
            self.touch(heapq.heappop(self._wakes)[2], now)
