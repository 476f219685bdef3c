"""The in-memory state of one pool: its keys, and a lane for each model."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

from keyconform_reference.keys import FREE, KeyState, ModelUse
from keyconform_reference.limits import Limits
from keyconform_reference.selection import Lottery, Queue, Ranking, Rotation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keyconform_reference.limits import Model
    from keyconform_reference.reports import Carried, Effects
    from keyconform_reference.selection import Choice

    from .protocol import Rules

_IDLE_AFTER_ACQUIRE = 120.0
_IDLE_AFTER_USE = 90_000.0
"""25 hours: the longest day, after which no window holds anything."""
_LOOKED_AT = 2


class Lane:
    """What the keys of one pool spent for one model, and their order.

    ``keep_until`` is when nothing here has an effect any more, if nothing else happens.
    """

    __slots__ = (
        "_queues",
        "_rules",
        "_side",
        "counts",
        "holds_back",
        "keep_until",
        "limits",
        "model",
        "reserves",
        "uses",
    )

    def __init__(self, model: Model, side: Side, rules: Rules) -> None:
        options = rules.options
        self.model = model
        self._side = side
        self._rules = rules
        self.limits = Limits() if options.counted_on == "none" else model.limits
        self.counts = options.counted_on == "acquire"
        # What an acquire has counted already must not be held back a second time.
        self.holds_back = options.counted_on == "record" and self.limits.counts_requests
        self.reserves = self.holds_back or options.selection in ("least-used", "most-left")
        self.keep_until = FREE
        self.uses: dict[KeyState, ModelUse] = {}
        self._queues: dict[str, Queue] = {}

    def use(self, state: KeyState) -> ModelUse:
        """Return the usage of a key, an empty one if there is none yet."""
        found = self.uses.get(state)
        if found is None:
            found = self.uses[state] = ModelUse(self.model.limits, self._rules.windows)
        return found

    def free_at(self, state: KeyState, now: float) -> float:
        """Return ``FREE`` if the key is usable for this model and unheld, else when it may be."""
        when = state.free_at(now)
        use = self.uses.get(state)
        if use is not None:
            when = max(when, use.free_at(now, self.limits, with_reserved=self.holds_back))
        elif self._is_closed:
            when = math.inf
        return when

    def group(self, state: KeyState, now: float) -> str:
        """Return the group of a key in ``get_state``: what was counted decides, not what is handed out."""
        if not state.is_valid(now):
            return "inactive"
        use = self.uses.get(state)
        within = not self._is_closed if use is None else use.within(now, self.limits)
        return "available" if within else "exhausted"

    def queue(self, now: float, *, draw: bool) -> Queue:
        """Return the order of the keys; each order is made when it is first asked for."""
        kind = "random" if draw else self._rules.options.selection
        found = self._queues.get(kind)
        if found is None:
            found = self._queues[kind] = Queue(self._choice(kind), self._free_at)
            found.fill(self._side.order, now)
        return found

    def serve(self, state: KeyState, now: float) -> None:
        """Write down that the key was served."""
        self.keep_until = max(self.keep_until, now + _IDLE_AFTER_ACQUIRE)
        if self.counts:
            self.seen(state, now).add(now, 1, 0)
        if self.reserves:
            self.use(state).reserve(now)

    def unserve(self, state: KeyState, now: float) -> None:
        """Undo ``serve``."""
        self.unreserve(state, now)
        use = self.uses.get(state)
        if self.counts and use is not None and use.used(now)[0]:
            use.add(now, -1, 0)

    def unreserve(self, state: KeyState, now: float) -> None:
        """Forget the oldest request of a key that was handed out and not reported."""
        use = self.uses.get(state)
        if use is not None:
            use.unreserve(now)

    def apply(self, state: KeyState, effects: Effects, now: float) -> None:
        """Write down what a report says of the key and this model."""
        self.unreserve(state, now)
        if state.hold is not None and state.hold.reserved_for == self.model.identity:
            state.hold.reserved_for = None
        if effects.seen:
            self.seen(state, now).add(now, effects.requests, effects.tokens)
        if effects.mark:
            use = self.use(state)
            use.mark(now, effects.retry_after, self._rules.windows)
            self.keep_until = max(self.keep_until, use.mark_until + _IDLE_AFTER_USE)

    def carry(self, state: KeyState, carried: Carried, now: float) -> bool:
        """Take over what an earlier version knew of the key and this model, once; False if that was done."""
        use = self.use(state)
        self.keep_until = max(self.keep_until, now + _IDLE_AFTER_USE, carried.mark_until + _IDLE_AFTER_USE)
        if not use.carry(carried, now):
            return False
        state.removed_until = max(state.removed_until, carried.removed_until)
        return True

    def seen(self, state: KeyState, now: float) -> ModelUse:
        """Return the usage of a key that was used now."""
        self.keep_until = max(self.keep_until, now + _IDLE_AFTER_USE)
        use = self.use(state)
        use.last_used = now
        return use

    def touch(self, state: KeyState, now: float) -> None:
        """Hear that something happened to a key."""
        for queue in self._queues.values():
            queue.touch(state, now)

    def touch_all(self, now: float) -> None:
        """Hear that something happened to every key."""
        for queue in self._queues.values():
            queue.touch_all(now)

    @property
    def is_listed(self) -> bool:
        """True if the model is configured or something was stored for it."""
        return self.model.configured or any(use.last_used is not None or use.mark_until for use in self.uses.values())

    @property
    def _is_closed(self) -> bool:
        return 0 in self._numbers

    @property
    def _numbers(self) -> tuple[int | None, ...]:
        return (self.limits.rpm, self.limits.tpm, self.limits.rpd)

    def _free_at(self, state: KeyState, now: float) -> float:
        return self.free_at(state, now)

    def _choice(self, kind: str) -> Choice:
        if kind == "random":
            return Lottery()
        return Rotation() if kind == "round-robin" else Ranking(self.load)

    def load(self, state: KeyState, now: float) -> tuple[bool, float]:
        """Return whether a key has unreported requests, and what ``selection`` ranks it by."""
        use = self.uses.get(state)
        if use is None:
            return (False, 0.0)
        used = use.used(now)
        if self._rules.options.selection == "least-used":
            return (use.reserved(now) > 0, float(used[0]))
        shares = [spent / limit for spent, limit in zip(used, self._numbers, strict=True) if limit]
        return (use.reserved(now) > 0, max(shares, default=float(used[0])))


class Side:
    """The keys of one pool. ``order`` never changes: a reload makes a new side."""

    def __init__(self, keys: Iterable[str], rules: Rules, earlier: Side | None = None, *, keep: bool = False) -> None:
        self._rules = rules
        self.keys = {key: KeyState(key) for key in keys}
        self.lanes: dict[str, Lane] = {}
        if earlier is not None:
            self._carry_over(earlier, keep=keep)
        self.order = tuple(self.keys.values())
        self._turns = itertools.cycle(self.order)

    def __repr__(self) -> str:
        return f"<Side of {len(self.order)} keys>"

    def lane(self, model: Model, now: float) -> Lane:
        """Return the lane of a model, a new one if there is none."""
        found = self.lanes.get(model.identity)
        if found is None:
            self._drop_idle(now, _LOOKED_AT)
            found = self.lanes[model.identity] = Lane(model, self, self._rules)
        return found

    def next_state(self) -> KeyState | None:
        """Return the next key of the plain rotation, usable or not."""
        return next(self._turns, None)

    def touch(self, state: KeyState, now: float) -> None:
        """Tell every lane that something happened to a key."""
        for lane in self.lanes.values():
            lane.touch(state, now)

    def touch_all(self, now: float) -> None:
        """Tell every lane that something happened to every key."""
        for lane in self.lanes.values():
            lane.touch_all(now)

    def restore(self, state: KeyState) -> None:
        """Lift everything that keeps a key out but quota."""
        state.restore()
        for lane in self.lanes.values():
            if state in lane.uses:
                lane.uses[state].lift_mark()

    def shift(self, before: float, now: float) -> None:
        """Obey a clock that showed ``before`` and was set back to ``now``."""
        for state in self.order:
            state.shift(before, now)
        for lane in self.lanes.values():
            for use in lane.uses.values():
                use.shift(before, now)
        self.touch_all(now)

    def sweep(self, now: float) -> None:
        """Drop every lane that has no effect any more."""
        self._drop_idle(now, len(self.lanes))

    def _drop_idle(self, now: float, count: int) -> None:
        # Each new model looks at two old ones, round and round, so that ever new names never pile up
        # (002-O2).
        for identity in list(itertools.islice(self.lanes, count)):
            lane = self.lanes.pop(identity)
            if lane.model.configured or lane.keep_until > now:
                self.lanes[identity] = lane

    def _carry_over(self, earlier: Side, *, keep: bool) -> None:
        survivors = [state for key, state in earlier.keys.items() if key in self.keys]
        if not keep:
            # A lease is the caller's, not the key's record: a reload must not hand the key to a second
            # holder.
            for state in survivors:
                self.keys[state.key].hold = state.hold
            return
        self.keys.update((state.key, state) for state in survivors)
        for lane in earlier.lanes.values():
            new = self.lanes[lane.model.identity] = Lane(lane.model, self, self._rules)
            new.keep_until = lane.keep_until
            new.uses = {state: lane.uses[state] for state in survivors if state in lane.uses}
