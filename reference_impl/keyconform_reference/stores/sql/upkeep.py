"""The steps of operators: rosters, repairs, what is read; each inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keyconform_reference.keys import Pool
from keyconform_reference.stores.protocol import Row, Standing

from .ledger import WRITE_USE
from .library import and_, delete, insert, select, update
from .tables import KEYS, LANES, POOLS, USES, id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyconform_reference.keys import KeyState
    from keyconform_reference.limits import Model
    from keyconform_reference.stores.lanes import Lane
    from keyconform_reference.stores.protocol import Roster

    from .ledger import Ledger
    from .library import ColumnElement

_RESTORED = {"strikes": 0, "struck_until": 0.0, "removed_until": 0.0, "outs": 0}
_UNCOUNTED: dict[str, Any] = {
    "minute_requests": 0,
    "minute_tokens": 0,
    "minute_more": "",
    "day_requests": 0,
    "day_more": "",
}
_UNCOUNTED |= {"reserved": "", "reserved_count": 0, "wake": 0.0}
_UNMARKED = {"mark_until": 0.0, "marks": 0, "wake": 0.0}


def enlist(ledger: Ledger, roster: Roster, *, keep_others: bool) -> None:
    """Serve these keys; of others nothing is served, and nothing known unless ``keep_others``."""
    for pool, keys in ((ledger.name(Pool.REGULAR), roster.regular), (ledger.name(Pool.VERTEX), roster.vertex)):
        known = ledger.connection.execute(select(KEYS.c.key_id, KEYS.c.place).where(KEYS.c.pool == pool)).all()
        places: dict[str, int | None] = {row.key_id: row.place for row in known}
        wanted = {id_of(key): place for place, key in enumerate(keys)}
        if not ledger.connection.execute(select(POOLS.c.turn).where(POOLS.c.pool == pool)).first():
            ledger.connection.execute(insert(POOLS), {"pool": pool, "turn": 0})
        if {key_id: place for key_id, place in places.items() if place is not None} != wanted:
            _turn_to(ledger, pool, keys, places)
        if not keep_others:
            _forget(ledger, pool, places.keys() - wanted.keys())


def _turn_to(ledger: Ledger, pool: str, keys: Sequence[str], known: dict[str, int | None]) -> None:
    connection = ledger.connection
    connection.execute(update(KEYS).where(KEYS.c.pool == pool).values(place=None))
    for place, key in enumerate(keys):
        key_id = id_of(key)
        if key_id in known:
            where = and_(KEYS.c.pool == pool, KEYS.c.key_id == key_id)
            connection.execute(update(KEYS).where(where).values(place=place))
    new = [(place, key, id_of(key)) for place, key in enumerate(keys)]
    rows = [{"pool": pool, "key_id": at, "key": key, "place": place} for place, key, at in new if at not in known]
    if rows:
        connection.execute(insert(KEYS), rows)
    connection.execute(update(POOLS).where(POOLS.c.pool == pool).values(turn=0))
    connection.execute(update(LANES).where(LANES.c.pool == pool).values(filled=False))


def _forget(ledger: Ledger, pool: str, key_ids: set[str]) -> None:
    for key_id in key_ids:
        ledger.connection.execute(delete(USES).where(USES.c.pool == pool, USES.c.key_id == key_id))
        ledger.connection.execute(delete(KEYS).where(KEYS.c.pool == pool, KEYS.c.key_id == key_id))


def forget_states(ledger: Ledger) -> None:
    """Forget what is known of every key but who holds it: a lease is the caller's, not the key's record."""
    ledger.connection.execute(delete(USES).where(ledger.mine(USES)))
    ledger.connection.execute(delete(LANES).where(ledger.mine(LANES)))
    ledger.connection.execute(update(KEYS).where(ledger.mine(KEYS)).values(**_RESTORED, last_out=0.0, wake=0.0))


def wake_all(ledger: Ledger) -> None:
    """Look at every key anew: the limits may be others."""
    for table in (KEYS, USES):
        ledger.connection.execute(update(table).where(ledger.mine(table), table.c.wake > 0).values(wake=0.0))


def restore(ledger: Ledger, pool: Pool, key: str) -> bool:
    """Lift everything that keeps a key out but quota."""
    if ledger.key(pool, key) is None:
        return False
    name, key_id = ledger.name(pool), id_of(key)
    _restore(
        ledger, and_(KEYS.c.pool == name, KEYS.c.key_id == key_id), and_(USES.c.pool == name, USES.c.key_id == key_id)
    )
    return True


def restore_all(ledger: Ledger, pool: Pool) -> None:
    """Lift it for every key."""
    _restore(ledger, KEYS.c.pool == ledger.name(pool), USES.c.pool == ledger.name(pool))


def _restore(ledger: Ledger, keys: ColumnElement[bool], uses: ColumnElement[bool]) -> None:
    ledger.connection.execute(update(KEYS).where(keys).values(**_RESTORED, wake=0.0))
    ledger.connection.execute(update(USES).where(uses).values(**_UNMARKED))


def lift_mark(ledger: Ledger, pool: Pool, key: str, model: Model) -> bool:
    """Lift one mark."""
    if ledger.key(pool, key) is None:
        return False
    at = {**ledger.of_model(pool, model), "at_key": id_of(key)}
    ledger.connection.execute(WRITE_USE, {**at, **_UNMARKED})
    return True


def clear_usage(ledger: Ledger) -> None:
    """Zero every counter; 429 marks stay, for they are the provider's word and not our count."""
    ledger.connection.execute(update(USES).where(ledger.mine(USES)).values(**_UNCOUNTED))


# What is read -----------------------------------------------------------------------------------------------


def row(ledger: Ledger, pool: Pool, key: str, model: Model) -> Row | None:
    """Return the usage of a key."""
    state = ledger.key(pool, key)
    if state is None:
        return None
    lane = ledger.lane(model)
    ledger.read_use(pool, lane, state)
    return _row(ledger, pool, state, lane)


def rows(ledger: Ledger) -> Sequence[Row]:
    """Return all usage."""
    keys = {pool: {id_of(state.key): state for state in ledger.keys(pool)} for pool in Pool}
    lanes = {(pool, model.identity): ledger.lane(model) for model in ledger.rules.models for pool in Pool}
    stored = ledger.connection.execute(select(LANES).where(ledger.mine(LANES))).mappings()
    by_id = {
        (ledger.pool_of(one["pool"]), one["model_id"]): ledger.lane_of(one["model_id"], one["name"]) for one in stored
    }
    for use in ledger.connection.execute(select(USES).where(ledger.mine(USES))).mappings():
        pool = ledger.pool_of(use["pool"])
        state, lane = keys[pool].get(use["key_id"]), by_id.get((pool, use["model_id"]))
        if state is not None and lane is not None:
            ledger.put(lane, state, use)
    listed = {lane.model.identity: lane.model for lane in [*lanes.values(), *by_id.values()] if lane.is_listed}
    lanes |= {(pool, lane.model.identity): lane for (pool, _), lane in by_id.items()}
    return [
        _row(ledger, pool, state, lanes.get((pool, model.identity)) or ledger.lane(model))
        for model in listed.values()
        for pool in Pool
        for state in keys[pool].values()
    ]


def _row(ledger: Ledger, pool: Pool, state: KeyState, lane: Lane) -> Row:
    use = lane.uses.get(state)
    used = (0, 0, 0) if use is None else use.used(ledger.now)
    group = lane.group(state, ledger.now)
    return Row(pool, state.label, lane.model, group, *used, None if use is None else use.last_used)


def standing(ledger: Ledger, pool: Pool, key: str) -> Standing | None:
    """Return how a key stands."""
    state = ledger.key(pool, key)
    return None if state is None else _standing(ledger, state)


def standings(ledger: Ledger, pool: Pool) -> Sequence[Standing]:
    """Return how all keys stand."""
    return [_standing(ledger, state) for state in ledger.keys(pool)]


def _standing(ledger: Ledger, state: KeyState) -> Standing:
    return Standing(state.key, state.count(ledger.now, ledger.rules.max_failures), state.is_valid(ledger.now))
