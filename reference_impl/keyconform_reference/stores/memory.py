"""The state of the keys in the memory of one process.

No step awaits anything, so each one is atomic on its event loop without a lock, and no call can wait for
another (000-22, 004-2, 004-6). One event loop at a time may use it.
"""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING, Protocol

from keyconform_reference.keys import Hold, Pool
from keyconform_reference.reports import Lease
from keyconform_reference.tallies import MINUTE

from .lanes import Lane, Side
from .protocol import Row, Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyconform_reference.keys import KeyState
    from keyconform_reference.limits import Model
    from keyconform_reference.reports import Carried, Effects

    from .protocol import Roster, Rules


class Clock(Protocol):
    """What tells the time."""

    def time(self) -> float:
        """Return seconds since 1970."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class MemoryStore:
    """A ``Store`` in memory; see ``protocol.Store`` for what each step does. ``clock`` stands in for ``time``."""

    def __init__(self, rules: Rules, *, clock: Clock | None = None) -> None:
        self._clock = clock
        self._rules = rules
        self._options = rules.options
        self._tokens = itertools.count(1)
        self._last = (-math.inf, -math.inf)
        self._sides = {pool: Side((), rules) for pool in Pool}

    async def open(self, roster: Roster) -> None:
        """Serve these keys, keeping what is known of them."""
        self._build(roster, keep=True)

    async def close(self) -> None:
        """Hold nothing that needs closing; what was counted stays for an opening to come."""

    async def healthy(self) -> bool:
        """Answer True: memory does not fail."""
        return True

    async def take(self, pool: Pool, model: Model, *, avoid: str | None = None, draw: bool = False) -> Lease | None:
        """Choose a usable key; on average in constant time."""
        now = self._now()
        side = self._sides[pool]
        if not side.order:
            return None
        lane = side.lane(model, now)
        queue = lane.queue(now, draw=draw)
        state = queue.take(now, side.keys.get(avoid) if avoid is not None else None)
        if state is None:
            return None
        lease = self._hand_out(state, pool, lane, now)
        queue.served(state, now)
        return lease

    async def take_any(self, pool: Pool, model: Model, *, avoid: str | None = None) -> Lease | None:
        """Choose the next key of the rotation that is not held."""
        now = self._now()
        side = self._sides[pool]
        for _ in range(len(side.order)):
            state = side.next_state()
            if state is None or (state.key == avoid and len(side.order) > 1):
                continue
            state.settle(now)
            if state.hold is None:
                return self._hand_out(state, pool, side.lane(model, now), now)
        return None

    async def next_key(self, pool: Pool) -> str | None:
        """Return the next key, usable or not (000-7)."""
        state = self._sides[pool].next_state()
        return None if state is None else state.key

    async def give_back(self, lease: Lease) -> None:
        """Undo a ``take``."""
        now = self._now()
        side = self._sides[lease.pool]
        state, lane = side.keys.get(lease.key), side.lanes.get(lease.model)
        if state is None:
            return
        if state.hold is not None and state.hold.token == lease.token:
            state.hold = None
        if lane is not None:
            lane.unserve(state, now)
        side.touch(state, now)

    async def release(self, pool: Pool, key: str, token: int) -> bool:
        """End a lease; whoever lost it, or gave it back, frees nothing (004-1)."""
        now = self._now()
        state = self._sides[pool].keys.get(key)
        if state is None:
            return False
        state.settle(now)
        if state.hold is None or state.hold.token != token:
            return False
        self._end_hold(self._sides[pool], state, now)
        return True

    async def apply(self, pool: Pool, key: str, model: Model, effects: Effects, token: int | None) -> bool:
        """Write down a report."""
        now = self._now()
        side = self._sides[pool]
        state = side.keys.get(key)
        if state is None:
            return False
        state.settle(now)
        lane = side.lane(model, now)
        lane.apply(state, effects, now)
        if effects.strike:
            state.strike(now, self._rules.threshold, self._rules.windows)
        if effects.remove:
            state.removed_until = max(state.removed_until, self._rules.windows.removal_ends(now))
        if state.hold is not None and self._options.release == "on-report" and token in (None, state.hold.token):
            self._end_hold(side, state, now)
        if effects.clears and state.strikes:
            state.clear_strikes()
            side.touch(state, now)
        lane.touch(state, now)
        return True

    async def carry(self, pool: Pool, key: str, model: Model, carried: Carried) -> bool:
        """Take over an earlier version's row."""
        now = self._now()
        side = self._sides[pool]
        state = side.keys.get(key)
        if state is None:
            return False
        state.settle(now)
        fresh = side.lane(model, now).carry(state, carried, now)
        side.touch(state, now)
        return fresh

    async def restore(self, pool: Pool, key: str) -> bool:
        """Restore one key."""
        now = self._now()
        side = self._sides[pool]
        state = side.keys.get(key)
        if state is None:
            return False
        side.restore(state)
        side.touch(state, now)
        return True

    async def restore_all(self, pool: Pool) -> None:
        """Restore every key."""
        now = self._now()
        side = self._sides[pool]
        for state in side.order:
            side.restore(state)
        side.touch_all(now)

    async def lift_mark(self, pool: Pool, key: str, model: Model) -> bool:
        """Lift one mark."""
        now = self._now()
        side = self._sides[pool]
        state, lane = side.keys.get(key), side.lanes.get(model.identity)
        if state is None:
            return False
        if lane is not None and state in lane.uses:
            lane.uses[state].lift_mark()
            lane.touch(state, now)
        return True

    async def clear_usage(self) -> None:
        """Zero every counter; 429 marks stay, for they are the provider's word and not our count."""
        now = self._now()
        for side in self._sides.values():
            for lane in side.lanes.values():
                for use in lane.uses.values():
                    use.clear()
            side.touch_all(now)

    async def replace(self, roster: Roster) -> None:
        """Serve other keys."""
        self._build(roster, keep=self._options.reload == "preserve")

    async def row(self, pool: Pool, key: str, model: Model) -> Row | None:
        """Return the usage of a key."""
        now = self._now()
        side = self._sides[pool]
        state = side.keys.get(key)
        # A lane of its own for an unseen model: reading adds nothing to the store.
        lane = side.lanes.get(model.identity) or Lane(model, side, self._rules)
        return None if state is None else _row(pool, state, lane, now)

    async def rows(self) -> Sequence[Row]:
        """Return all usage."""
        now = self._now()
        models = {model.identity: model for model in self._rules.models}
        for side in self._sides.values():
            models |= {lane.model.identity: lane.model for lane in side.lanes.values() if lane.is_listed}
        rows = []
        for model in models.values():
            for pool, side in self._sides.items():
                lane = side.lanes.get(model.identity) or Lane(model, side, self._rules)
                rows += [_row(pool, state, lane, now) for state in side.order]
        return rows

    async def standing(self, pool: Pool, key: str) -> Standing | None:
        """Return how a key stands."""
        state = self._sides[pool].keys.get(key)
        return None if state is None else self._standing(state, self._now())

    async def standings(self, pool: Pool) -> Sequence[Standing]:
        """Return how all keys stand."""
        now = self._now()
        return [self._standing(state, now) for state in self._sides[pool].order]

    async def size(self, pool: Pool) -> int:
        """Return the number of keys."""
        return len(self._sides[pool].order)

    async def comeback(self, pool: Pool, model: Model, *, draw: bool = False) -> float | None:
        """Return the time left to the end of the first wait."""
        now = self._now()
        when = self._sides[pool].lane(model, now).queue(now, draw=draw).next_wake()
        return None if when == math.inf else max(0.0, when - now)

    async def sweep(self) -> None:
        """Drop the models that were added on the fly and have no effect any more (002-O2)."""
        now = self._now()
        for side in self._sides.values():
            side.sweep(now)

    def _hand_out(self, state: KeyState, pool: Pool, lane: Lane, now: float) -> Lease:
        lane.serve(state, now)
        token, until = next(self._tokens), math.inf
        if self._options.tenure == "lease":
            if self._options.lease_ttl is not None:
                until = now + self._options.lease_ttl
            state.hold = Hold(token, until, lane.model.identity if lane.reserves else None)
        return Lease(state.key, pool, lane.model.identity, token, None if until == math.inf else until)

    def _end_hold(self, side: Side, state: KeyState, now: float) -> None:
        reserved_for = state.hold.reserved_for if state.hold is not None else None
        state.hold = None
        if reserved_for in side.lanes:
            side.lanes[reserved_for].unreserve(state, now)
        side.touch(state, now)

    def _standing(self, state: KeyState, now: float) -> Standing:
        return Standing(state.key, state.count(now, self._rules.max_failures), state.is_valid(now))

    def _build(self, roster: Roster, *, keep: bool) -> None:
        for pool, keys in ((Pool.REGULAR, roster.regular), (Pool.VERTEX, roster.vertex)):
            self._sides[pool] = Side(keys, self._rules, self._sides[pool], keep=keep)

    def _now(self) -> float:
        """Return the wall time; where it was set back, first move everything with it (000-19)."""
        clock = self._clock or time
        now, steady = clock.time(), clock.monotonic()
        last, last_steady = self._last
        if now < last:
            # What the clock would show had nobody touched it. If the steady clock went back as well, a minute
            # is taken for granted: better to ask the provider early than to keep a key out without reason.
            before = last + (steady - last_steady if steady >= last_steady else MINUTE)
            for side in self._sides.values():
                side.shift(before, now)
        self._last = (now, steady)
        return now


def _row(pool: Pool, state: KeyState, lane: Lane, now: float) -> Row:
    use = lane.uses.get(state)
    used = (0, 0, 0) if use is None else use.used(now)
    return Row(pool, state.label, lane.model, lane.group(state, now), *used, None if use is None else use.last_used)
