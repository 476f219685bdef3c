"""The models that something is stored for, and when they are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .ledger import FIRST
from .library import ColumnDefault, and_, bindparam, delete, exists, func, insert, literal, select, update
from .tables import KEYS, LANES, USES, encoded, id_of

if TYPE_CHECKING:
    from keyconform_reference.keys import Pool
    from keyconform_reference.limits import Model

    from .ledger import Ledger

_LOOKED_AT = 2
_DEFAULTS: dict[str, Any] = {
    column.name: column.default.arg for column in USES.c if isinstance(column.default, ColumnDefault)
}


_IS_LANE = and_(LANES.c.pool == bindparam("at_pool"), LANES.c.model_id == bindparam("at_model"))
_READ = select(LANES.c.filled).where(_IS_LANE)
_FILLED = update(LANES).where(_IS_LANE).values(filled=True)


def note(ledger: Ledger, pool: Pool, model: Model) -> bool | None:
    """See that a model is listed; return whether each served key had its row of usage, None for a new model."""
    at = ledger.of_model(pool, model)
    known: bool | None = ledger.connection.execute(_READ, at).scalar_one_or_none()
    if known is None:
        _drop_idle(ledger, _LOOKED_AT)
        row = {"pool": at["at_pool"], "model_id": at["at_model"], "name": encoded(model.name)}
        ledger.connection.execute(insert(LANES), row)
    return known


def fill(ledger: Ledger, pool: Pool, model: Model) -> bool:
    """See that each served key has its row of usage; True if that was not so."""
    if not ledger.size(pool) or note(ledger, pool, model):
        return False
    at = ledger.of_model(pool, model)
    _fill(ledger, at["at_pool"], at["at_model"])
    ledger.connection.execute(_FILLED, at)
    return True


def drop_idle(ledger: Ledger) -> None:
    """Drop every model that has no effect any more."""
    _drop_idle(ledger, ledger.connection.execute(select(func.count()).where(ledger.mine(LANES))).scalar_one())


def _fill(ledger: Ledger, pool: str, model_id: str) -> None:
    there = exists().where(USES.c.pool == KEYS.c.pool, USES.c.model_id == model_id, USES.c.key_id == KEYS.c.key_id)
    columns = [literal(value, USES.c[name].type) for name, value in _DEFAULTS.items()]
    missing = select(KEYS.c.pool, literal(model_id), KEYS.c.key_id, KEYS.c.place + FIRST, *columns)
    missing = missing.where(KEYS.c.pool == pool, KEYS.c.place.is_not(None), ~there)
    names = ["pool", "model_id", "key_id", "served", *_DEFAULTS]
    ledger.connection.execute(insert(USES).from_select(names, missing, include_defaults=False))


def _drop_idle(ledger: Ledger, count: int) -> None:
    # Each new model looks at two old ones, round and round, so that ever new names never pile up (002-O2).
    connection = ledger.connection
    turn = connection.execute(select(func.coalesce(func.max(LANES.c.looked), 0)).where(ledger.mine(LANES))).scalar_one()
    configured = {id_of(model.identity) for model in ledger.rules.models}
    for row in (
        connection.execute(select(LANES).where(ledger.mine(LANES)).order_by(LANES.c.looked).limit(count))
        .mappings()
        .all()
    ):
        where = and_(LANES.c.pool == row["pool"], LANES.c.model_id == row["model_id"])
        uses = and_(USES.c.pool == row["pool"], USES.c.model_id == row["model_id"])
        live = select(USES.c.key_id).where(uses, USES.c.keep_until > ledger.now).limit(1)
        if row["model_id"] in configured or connection.execute(live).first() is not None:
            turn += 1
            connection.execute(update(LANES).where(where).values(looked=turn))
        else:
            connection.execute(delete(LANES).where(where))
            connection.execute(delete(USES).where(uses))
