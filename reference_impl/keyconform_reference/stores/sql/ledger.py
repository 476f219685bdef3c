"""One transaction: what it reads and writes of keys and usage, as the objects that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from keyconform_reference.keys import Pool
from keyconform_reference.limits import Limits, Model, canonical
from keyconform_reference.stores.lanes import Lane, Side

from .library import and_, bindparam, func, insert, select, update
from .rows import key_of, use_of, values_of_key, values_of_use
from .tables import KEYS, LANES, POOLS, USES, decoded, id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyconform_reference.keys import KeyState, ModelUse
    from keyconform_reference.stores.protocol import Rules

    from .library import ColumnElement, Connection, RowMapping, Select, Table

FIRST = -(2**40)
"""Below every turn that is ever served: keys of a new lane come before those that were served."""

_IS_KEY = and_(KEYS.c.pool == bindparam("at_pool"), KEYS.c.key_id == bindparam("at_key"))
_OF_MODEL = and_(USES.c.pool == bindparam("at_pool"), USES.c.model_id == bindparam("at_model"))
_IS_USE = and_(_OF_MODEL, USES.c.key_id == bindparam("at_key"))
_SAME_KEY = and_(KEYS.c.pool == USES.c.pool, KEYS.c.key_id == USES.c.key_id)
_BOTH = (*KEYS.c, *[column for column in USES.c if column.name not in KEYS.c])
_OF_LANE = and_(LANES.c.pool == KEYS.c.pool, LANES.c.model_id == bindparam("at_model"))
_SERVED = KEYS.c.place.is_not(None)

READ_KEY = select(KEYS).where(_IS_KEY, _SERVED)
READ_KEYS = select(KEYS).where(KEYS.c.pool == bindparam("at_pool"), _SERVED).order_by(KEYS.c.place)
WRITE_KEY = update(KEYS).where(_IS_KEY)
READ_USE = select(USES).where(_IS_USE)
WRITE_USE = update(USES).where(_IS_USE)
COUNT = select(func.count()).select_from(KEYS).where(KEYS.c.pool == bindparam("at_pool"), _SERVED)
CANDIDATES = (
    select(*_BOTH)
    .select_from(KEYS.join(USES, _SAME_KEY).join(LANES, _OF_LANE))
    .where(_OF_MODEL, _SERVED, LANES.c.filled)
)
"""The served keys of a pool with what they spent for a model, once each of them has a row for it."""
READ_BOTH = (
    select(*_BOTH, LANES.c.model_id.label("listed"))
    .select_from(
        KEYS.outerjoin(USES, and_(_SAME_KEY, USES.c.model_id == bindparam("at_model"))).outerjoin(LANES, _OF_LANE)
    )
    .where(_IS_KEY, _SERVED)
)
_OTHERS = USES.alias()
_LAST = select(func.max(_OTHERS.c.served)).where(
    _OTHERS.c.pool == bindparam("at_pool"), _OTHERS.c.model_id == bindparam("at_model")
)
WRITE_USE_TURNED = WRITE_USE.values(served=func.coalesce(_LAST.scalar_subquery() + 1, FIRST))
READ_PLACE = select(KEYS.c.place).where(_IS_KEY)
READ_TURN = select(POOLS.c.turn).where(POOLS.c.pool == bindparam("at_pool"))
NEXT_TURN = update(POOLS).where(POOLS.c.pool == bindparam("at_pool")).values(turn=POOLS.c.turn + 1)
EVERY_USE_OF = (
    select(USES, LANES.c.name)
    .join(LANES, and_(USES.c.pool == LANES.c.pool, USES.c.model_id == LANES.c.model_id))
    .where(USES.c.pool == bindparam("at_pool"), USES.c.key_id == bindparam("at_key"))
)


class Entry(NamedTuple):
    """A key, the lane it is looked at for, and its turn there."""

    state: KeyState
    lane: Lane
    served: int


class Ledger:
    """Reads and writes inside one transaction, whose time is ``now``."""

    def __init__(self, connection: Connection, rules: Rules, *, space: str, now: float) -> None:
        self.connection = connection
        self.rules = rules
        self.now = now
        self.space = space
        self._nowhere = Side((), rules)

    def name(self, pool: Pool) -> str:
        """Return the name of a pool among those of all managers that share the tables."""
        return f"{self.space}{pool}"

    def pool_of(self, name: str) -> Pool:
        """Return the pool of such a name."""
        return Pool(name[len(self.space) :])

    def of_model(self, pool: Pool, model: Model) -> dict[str, str]:
        """Return what finds the rows of a pool and a model."""
        return {"at_pool": self.name(pool), "at_model": id_of(model.identity)}

    def mine(self, table: Table) -> ColumnElement[bool]:
        """Return the condition that a row of a table is of this manager."""
        return table.c.pool.in_([self.name(pool) for pool in Pool])

    # Keys -------------------------------------------------------------------------------------------------

    def key(self, pool: Pool, key: str) -> KeyState | None:
        """Return a key that is served; None for any other."""
        row = self.connection.execute(READ_KEY, {"at_pool": self.name(pool), "at_key": id_of(key)}).mappings().first()
        return None if row is None else key_of(row)

    def keys(self, pool: Pool) -> list[KeyState]:
        """Return the served keys of a pool in their order."""
        return [key_of(row) for row in self.connection.execute(READ_KEYS, {"at_pool": self.name(pool)}).mappings()]

    def save_key(self, pool: Pool, state: KeyState) -> None:
        """Write a key down."""
        at = {"at_pool": self.name(pool), "at_key": id_of(state.key)}
        self.connection.execute(WRITE_KEY, {**at, **values_of_key(state, self.now)})

    def size(self, pool: Pool) -> int:
        """Return the number of served keys."""
        return int(self.connection.execute(COUNT, {"at_pool": self.name(pool)}).scalar_one())

    def next_turn(self, pool: Pool) -> int:
        """Return the turn of the plain rotation, and let the next one come."""
        at = {"at_pool": self.name(pool)}
        known = int(self.connection.execute(READ_TURN, at).scalar_one())
        self.connection.execute(NEXT_TURN, at)
        return known

    def key_and_use(self, pool: Pool, key: str, model: Model) -> tuple[KeyState, Lane, bool] | None:
        """Return a served key, a lane with its usage, and whether the model is listed."""
        at = {**self.of_model(pool, model), "at_key": id_of(key)}
        row = self.connection.execute(READ_BOTH, at).mappings().first()
        if row is None:
            return None
        state, lane = key_of(row), self.lane(model)
        if row["served"] is not None:
            self.put(lane, state, row)
        return state, lane, row["listed"] is not None

    # Usage ------------------------------------------------------------------------------------------------

    def lane(self, model: Model) -> Lane:
        """Return an empty lane: usage is put into it as it is read."""
        return Lane(model, self._nowhere, self.rules)

    def lane_named(self, identity: str) -> Lane:
        """Return an empty lane of a model by its identity."""
        known = next((model for model in self.rules.models if model.identity == identity), None)
        return self.lane(known or Model(identity, identity, Limits(), configured=False))

    def lane_of(self, model_id: str, name: bytes) -> Lane:
        """Return an empty lane of a stored model; one that is in no configuration is unlimited."""
        known = next((model for model in self.rules.models if id_of(model.identity) == model_id), None)
        shown = decoded(name)
        return self.lane(known or Model(shown, canonical(shown), Limits(), configured=False))

    def use_of(self, row: RowMapping) -> ModelUse:
        """Return the usage that a row tells of, whatever its model."""
        limits = next(
            (model.limits for model in self.rules.models if id_of(model.identity) == row["model_id"]), Limits()
        )
        return use_of(row, limits, self.rules.windows)

    def put(self, lane: Lane, state: KeyState, row: RowMapping) -> ModelUse:
        """Put the usage that a row tells of into a lane."""
        use = lane.uses[state] = use_of(row, lane.model.limits, self.rules.windows)
        lane.keep_until = max(lane.keep_until, row["keep_until"])
        return use

    def read_use(self, pool: Pool, lane: Lane, state: KeyState) -> bool:
        """Put the usage of a key into the lane; False if there is none."""
        row = self.connection.execute(READ_USE, self._at(pool, lane, state)).mappings().first()
        if row is not None:
            self.put(lane, state, row)
        return row is not None

    def save_use(self, pool: Pool, lane: Lane, state: KeyState, *, served: bool = False) -> None:
        """Write the usage of a key down; ``served`` sends it to the end of the rotation."""
        use = lane.uses.get(state) or lane.use(state)
        at = self._at(pool, lane, state)
        values = values_of_use(use)
        values["wake"] = use.free_at(self.now, lane.limits, with_reserved=lane.holds_back)
        values["keep_until"] = lane.keep_until
        statement = WRITE_USE_TURNED if served else WRITE_USE
        if not self.connection.execute(statement, {**at, **values}).rowcount:
            place = self.connection.execute(READ_PLACE, at).scalar_one()
            row = {"pool": at["at_pool"], "model_id": at["at_model"], "key_id": at["at_key"], **values}
            self.connection.execute(insert(USES), {"served": FIRST + place, **row})

    def uses_of(self, pool: Pool, state: KeyState) -> Iterator[Lane]:
        """Return a lane for each model that something is known of for this key."""
        at = {"at_pool": self.name(pool), "at_key": id_of(state.key)}
        for row in self.connection.execute(EVERY_USE_OF, at).mappings().all():
            lane = self.lane_of(row["model_id"], row["name"])
            self.put(lane, state, row)
            yield lane

    def park(self, pool: Pool, entry: Entry, when: float) -> None:
        """Look at a key for this model again at ``when``, not earlier."""
        self.connection.execute(WRITE_USE, {**self._at(pool, entry.lane, entry.state), "wake": when})

    def entries(self, pool: Pool, model: Model, chosen: Select[Any], **more: object) -> Iterator[Entry]:
        """Return the keys that a narrowed ``CANDIDATES`` answers; ``more`` are its parameters."""
        at = {**self.of_model(pool, model), **more}
        for row in self.connection.execute(chosen, at).mappings().all():
            state, lane = key_of(row), self.lane(model)
            self.put(lane, state, row)
            yield Entry(state, lane, row["served"])

    def _at(self, pool: Pool, lane: Lane, state: KeyState) -> dict[str, str]:
        return {**self.of_model(pool, lane.model), "at_key": id_of(state.key)}
