"""The steps that hand out keys and take them back, each inside one transaction."""

from __future__ import annotations

import math
import random
import secrets
from typing import TYPE_CHECKING

from keyconform_reference.keys import FREE, Hold
from keyconform_reference.reports import Lease

from . import listing
from .ledger import CANDIDATES
from .library import bindparam, exists, func, or_, select
from .rows import values_of_key
from .tables import KEYS, LANES, USES, id_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keyconform_reference.keys import KeyState, Pool
    from keyconform_reference.limits import Model
    from keyconform_reference.reports import Carried, Effects
    from keyconform_reference.stores.lanes import Lane

    from .ledger import Entry, Ledger

_AT_ONCE = 16
_SOON = 0.001

_AWAKE = CANDIDATES.where(
    KEYS.c.wake <= bindparam("now"),
    USES.c.wake <= bindparam("now"),
    KEYS.c.key_id != bindparam("avoid"),
)
# Keys are asked about in the order of their turns, so that the index is read no further than to those that are found;
# once each served key has a row, as in `CANDIDATES`.
_TURNS = (
    select(USES.c.key_id)
    .where(
        USES.c.pool == bindparam("at_pool"),
        USES.c.model_id == bindparam("at_model"),
        USES.c.wake <= bindparam("now"),
        USES.c.key_id != bindparam("avoid"),
        exists().where(
            KEYS.c.pool == USES.c.pool,
            KEYS.c.key_id == USES.c.key_id,
            KEYS.c.place.is_not(None),
            KEYS.c.wake <= bindparam("now"),
        ),
        exists().where(LANES.c.pool == USES.c.pool, LANES.c.model_id == USES.c.model_id, LANES.c.filled),
    )
    .order_by(USES.c.served)
    .limit(_AT_ONCE)
)
_COUNT = _AWAKE.with_only_columns(func.count())
_DRAWN = _AWAKE.order_by(USES.c.key_id).limit(1).offset(bindparam("drawn"))
_ASLEEP = CANDIDATES.with_only_columns(KEYS.c.wake, USES.c.wake).where(
    or_(KEYS.c.wake > bindparam("now"), USES.c.wake > bindparam("now"))
)
_ONE = CANDIDATES.where(KEYS.c.key_id == bindparam("only"))


def take(ledger: Ledger, pool: Pool, model: Model, *, avoid: str | None, draw: bool) -> Lease | None:
    """Choose a usable key; ``avoid`` only where no other is usable."""
    kind = "random" if draw else ledger.rules.options.selection
    entry = _chosen(ledger, pool, model, avoid, kind)
    if entry is None and listing.fill(ledger, pool, model):
        entry = _chosen(ledger, pool, model, avoid, kind)
    return None if entry is None else hand_out(ledger, pool, entry.lane, entry.state, turned=not draw)


def _chosen(ledger: Ledger, pool: Pool, model: Model, avoid: str | None, kind: str) -> Entry | None:
    entry = _CHOICES[kind](ledger, pool, model, "" if avoid is None else id_of(avoid))
    if entry is None and avoid is not None:
        entry = _usable(ledger, pool, ledger.entries(pool, model, _ONE, only=id_of(avoid)))
    return entry


def _longest_ago(ledger: Ledger, pool: Pool, model: Model, avoid: str) -> Entry | None:
    at = {**ledger.of_model(pool, model), "now": ledger.now, "avoid": avoid}
    # Whatever is not usable sleeps from then on, so that each round looks at other keys.
    seen: set[str] = set()
    while not seen.issuperset(key_ids := ledger.connection.execute(_TURNS, at).scalars().all()):
        seen.update(key_ids)  # one that comes twice could not be put to sleep: a round more would not end
        for key_id in key_ids:
            found = _usable(ledger, pool, ledger.entries(pool, model, _ONE, only=key_id))
            if found is not None:
                return found
    return None


def _drawn(ledger: Ledger, pool: Pool, model: Model, avoid: str) -> Entry | None:
    at = {**ledger.of_model(pool, model), "now": ledger.now, "avoid": avoid}
    while count := ledger.connection.execute(_COUNT, at).scalar_one():
        drawn = random.randrange(count)  # noqa: S311 - spreads load; it keeps no secret
        entries = ledger.entries(pool, model, _DRAWN, now=ledger.now, avoid=avoid, drawn=drawn)
        found = _usable(ledger, pool, entries)
        if found is not None:
            return found
    return None


def _ranked(ledger: Ledger, pool: Pool, model: Model, avoid: str) -> Entry | None:
    entries = ledger.entries(pool, model, _AWAKE, now=ledger.now, avoid=avoid)

    def rank(entry: Entry) -> tuple[bool, float, int]:
        waiting, load = entry.lane.load(entry.state, ledger.now)
        return (waiting, FREE if waiting else load, entry.served)

    return _usable(ledger, pool, sorted(entries, key=rank))


_CHOICES = {"round-robin": _longest_ago, "random": _drawn, "least-used": _ranked, "most-left": _ranked}


def _usable(ledger: Ledger, pool: Pool, entries: Iterable[Entry]) -> Entry | None:
    for entry in entries:
        when = entry.lane.free_at(entry.state, ledger.now)
        if when == FREE:
            return entry
        # What keeps the key itself out is written down with the key: when that ends, no model sleeps on.
        if entry.state.free_at(ledger.now) != FREE:
            ledger.save_key(pool, entry.state)
        else:
            ledger.park(pool, entry, max(when, ledger.now + _SOON))
    return None


def take_any(ledger: Ledger, pool: Pool, model: Model, *, avoid: str | None) -> Lease | None:
    """Choose the next key of the plain rotation that is not held."""
    states = ledger.keys(pool)
    if not states:
        return None
    turn = ledger.next_turn(pool)
    for step in range(len(states)):
        state = states[(turn + step) % len(states)]
        state.settle(ledger.now)
        if state.hold is None and (state.key != avoid or len(states) == 1):
            listing.note(ledger, pool, model)
            lane = ledger.lane(model)
            ledger.read_use(pool, lane, state)
            return hand_out(ledger, pool, lane, state, turned=False)
    return None


def next_key(ledger: Ledger, pool: Pool) -> str | None:
    """Return the next key of the plain rotation."""
    states = ledger.keys(pool)
    return states[ledger.next_turn(pool) % len(states)].key if states else None


def hand_out(ledger: Ledger, pool: Pool, lane: Lane, state: KeyState, *, turned: bool) -> Lease:
    """Write down that a key is served."""
    now, options = ledger.now, ledger.rules.options
    lane.serve(state, now)
    token, until = secrets.randbits(62), math.inf
    if options.tenure == "lease":
        until = math.inf if options.lease_ttl is None else now + options.lease_ttl
        state.hold = Hold(token, until, lane.model.identity if lane.reserves else None)
        ledger.save_key(pool, state)
    ledger.save_use(pool, lane, state, served=turned)
    return Lease(state.key, pool, lane.model.identity, token, None if until == math.inf else until)


def give_back(ledger: Ledger, lease: Lease) -> None:
    """Undo a ``take``."""
    state = ledger.key(lease.pool, lease.key)
    if state is None:
        return
    if state.hold is not None and state.hold.token == lease.token:
        state.hold = None
        ledger.save_key(lease.pool, state)
    lane = ledger.lane_named(lease.model)
    if ledger.read_use(lease.pool, lane, state):
        lane.unserve(state, ledger.now)
        ledger.save_use(lease.pool, lane, state)


def release(ledger: Ledger, pool: Pool, key: str, token: int) -> bool:
    """End a lease; whoever lost it, or gave it back, frees nothing (004-1)."""
    state = ledger.key(pool, key)
    if state is None:
        return False
    state.settle(ledger.now)
    if state.hold is None or state.hold.token != token:
        return False
    _end_hold(ledger, pool, state)
    ledger.save_key(pool, state)
    return True


def apply(ledger: Ledger, pool: Pool, key: str, model: Model, effects: Effects, token: int | None) -> bool:
    """Write down a report."""
    found = ledger.key_and_use(pool, key, model)
    if found is None:
        return False
    state, lane, listed = found
    before = values_of_key(state, ledger.now)
    if not listed:
        listing.note(ledger, pool, model)
    state.settle(ledger.now)
    lane.apply(state, effects, ledger.now)
    _blame(state, effects, ledger)
    ledger.save_use(pool, lane, state)
    on_report = ledger.rules.options.release == "on-report"
    if state.hold is not None and on_report and token in (None, state.hold.token):
        _end_hold(ledger, pool, state)
    if effects.clears and state.strikes:
        state.clear_strikes()
    if values_of_key(state, ledger.now) != before:
        ledger.save_key(pool, state)
    return True


def carry(ledger: Ledger, pool: Pool, key: str, model: Model, carried: Carried) -> bool:
    """Take over an earlier version's row."""
    found = ledger.key_and_use(pool, key, model)
    if found is None:
        return False
    state, lane, listed = found
    if not listed:
        listing.note(ledger, pool, model)
    state.settle(ledger.now)
    fresh = lane.carry(state, carried, ledger.now)
    ledger.save_use(pool, lane, state)
    ledger.save_key(pool, state)
    return fresh


def _blame(state: KeyState, effects: Effects, ledger: Ledger) -> None:
    rules = ledger.rules
    if effects.strike:
        state.strike(ledger.now, rules.threshold, rules.windows)
    if effects.remove:
        state.removed_until = max(state.removed_until, rules.windows.removal_ends(ledger.now))


def _end_hold(ledger: Ledger, pool: Pool, state: KeyState) -> None:
    reserved_for = None if state.hold is None else state.hold.reserved_for
    state.hold = None
    if reserved_for is None:
        return
    lane = next((one for one in ledger.uses_of(pool, state) if one.model.identity == reserved_for), None)
    if lane is not None:
        lane.unreserve(state, ledger.now)
        ledger.save_use(pool, lane, state)


def comeback(ledger: Ledger, pool: Pool, model: Model) -> float:
    """Return when a key that sleeps is to be looked at again; infinity if none will."""
    at = {**ledger.of_model(pool, model), "now": ledger.now}
    return min((max(wakes) for wakes in ledger.connection.execute(_ASLEEP, at)), default=math.inf)
