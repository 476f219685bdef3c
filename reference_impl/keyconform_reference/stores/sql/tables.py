"""The tables. Times are seconds since the epoch; infinity is "by hand", 0 "no wait".

A key and a model are found by an *id*, which is short and can be stored everywhere, whatever the name is.

- ``keys``: a row for each key of a pool that is known. ``place`` is its place in the rotation; NULL: it is not served,
  and what is known of it waits for its return. ``wake`` is when it is to be looked at again, not earlier.
- ``uses``: what a key spent for a model. ``served`` orders the rotation: the lowest was served longest ago.
  ``wake`` as above, for this model. ``reserved`` holds requests that were handed out and not reported, oldest first: 11
  digits of seconds and 5 of a count for each second. ``minute_more`` and ``day_more`` are windows that slide or drain.
  ``carried``: what an earlier version counted is in it.
- ``lanes``: the models that something is stored for. ``filled`` says that each served key has a row in ``uses``;
  ``looked`` is the turn at which it was last looked at for dropping it.
- ``pools``: the turn of the plain rotation.
- ``clock``: a row: by how much clocks were set back in all (see ``clock.py``), and the time when it was written.

Managers that share the tables differ by their *space*, which the names of their pools begin with.
"""

from __future__ import annotations

import hashlib
import math

from .library import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

VERSION = 1
LONGEST_ID = 200
METADATA = MetaData()

KEYS = Table(
    "keyconform_keys",
    METADATA,
    Column("pool", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("key", Text, nullable=False),
    Column("place", BigInteger),
    Column("strikes", BigInteger, nullable=False, default=0),
    Column("struck_until", Double, nullable=False, default=0.0),
    Column("removed_until", Double, nullable=False, default=0.0),
    Column("outs", BigInteger, nullable=False, default=0),
    Column("last_out", Double, nullable=False, default=0.0),
    Column("hold_token", BigInteger),
    Column("hold_until", Double),
    Column("hold_for", String),
    Column("wake", Double, nullable=False, default=0.0),
    Index("keyconform_keys_place", "pool", "place"),
)

USES = Table(
    "keyconform_uses",
    METADATA,
    Column("pool", String, primary_key=True),
    Column("model_id", String, primary_key=True),
    Column("key_id", String, primary_key=True),
    Column("served", BigInteger, nullable=False),
    Column("wake", Double, nullable=False, default=0.0),
    Column("keep_until", Double, nullable=False, default=0.0),
    Column("minute_start", Double, nullable=False, default=-math.inf),
    Column("minute_requests", BigInteger, nullable=False, default=0),
    Column("minute_tokens", BigInteger, nullable=False, default=0),
    Column("minute_more", Text, nullable=False, default=""),
    Column("day_start", Double, nullable=False, default=-math.inf),
    Column("day_requests", BigInteger, nullable=False, default=0),
    Column("day_more", Text, nullable=False, default=""),
    Column("last_used", Double),
    Column("mark_until", Double, nullable=False, default=0.0),
    Column("marks", BigInteger, nullable=False, default=0),
    Column("last_mark", Double, nullable=False, default=0.0),
    Column("reserved", Text, nullable=False, default=""),
    Column("reserved_count", BigInteger, nullable=False, default=0),
    Column("carried", Boolean, nullable=False, default=False),
    Index("keyconform_uses_served", "pool", "model_id", "served"),
    Index("keyconform_uses_key", "pool", "key_id"),
)

LANES = Table(
    "keyconform_lanes",
    METADATA,
    Column("pool", String, primary_key=True),
    Column("model_id", String, primary_key=True),
    Column("name", LargeBinary, nullable=False),
    Column("filled", Boolean, nullable=False, default=False),
    Column("looked", BigInteger, nullable=False, default=0),
)

POOLS = Table(
    "keyconform_pools",
    METADATA,
    Column("pool", String, primary_key=True),
    Column("turn", BigInteger, nullable=False, default=0),
)

CLOCK = Table(
    "keyconform_clock",
    METADATA,
    Column("space", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("set_back", Double, nullable=False, default=0.0),
    Column("wall", Double, nullable=False),
)


def id_of(name: str) -> str:
    """Return the id of a key or model: itself where it is short and plain, else its digest."""
    if len(name) <= LONGEST_ID and name.isprintable():
        return f"={name}"
    return f"#{hashlib.sha256(encoded(name)).hexdigest()}"


def encoded(name: str) -> bytes:
    """Return a name as bytes, lone surrogates too."""
    return name.encode("utf-8", "surrogatepass")


def decoded(name: bytes) -> str:
    """Return what was ``encoded``."""
    return bytes(name).decode("utf-8", "surrogatepass")
