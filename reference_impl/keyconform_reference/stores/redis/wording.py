"""What is said to the script and what it answers: bytes there, rows here."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from keyconform_reference.keys import Pool, redact
from keyconform_reference.limits import Limits, Model, canonical
from keyconform_reference.stores.protocol import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from keyconform_reference.reports import Effects
    from keyconform_reference.stores.protocol import Roster

LETTERS = {Pool.REGULAR: b"r", Pool.VERTEX: b"v"}
_FLAGS = {"strike": b"x", "mark": b"m", "remove": b"r", "clears": b"c", "seen": b"s"}


def text(found: str) -> bytes:
    """Return a text as it is kept; lone surrogates, which reports may carry, survive."""
    return found.encode("utf-8", "surrogatepass")


def told(found: bytes) -> str:
    """Return the text that is kept."""
    return found.decode("utf-8", "surrogatepass")


def numbers(*found: float | None) -> bytes:
    """Return numbers as the script reads them, exactly up to 2**53, and None as not a number."""
    return struct.pack(f"<{len(found)}d", *(_double(one) for one in found))


def flags_of(effects: Effects) -> bytes:
    """Return a letter for each effect."""
    return b"".join(letter for name, letter in _FLAGS.items() if getattr(effects, name))


def words_of_roster(roster: Roster) -> list[bytes]:
    """Return the number of keys and the keys of each pool."""
    return [word for keys in (roster.regular, roster.vertex) for word in (b"%d" % len(keys), *map(text, keys))]


def usage_row(pool: Pool, key: str, model: Model, limits: Limits, *, valid: bool, use: Sequence[Any] | None) -> Row:
    """Return the row of a key; ``use`` is rpm, tpm, rpd, whether it is marked, when it was used last."""
    rpm, tpm, rpd, marked, last_used = use if use is not None else (b"0", b"0", b"0", 0, b"")
    used = (int(rpm), int(tpm), int(rpd))
    pairs = zip(used, (limits.rpm, limits.tpm, limits.rpd), strict=True)
    within = not marked and all(limit is None or spent < limit for spent, limit in pairs)
    group = ("available" if within else "exhausted") if valid else "inactive"
    return Row(pool, redact(key), model, group, *used, float(last_used) if last_used else None)


def rows_of(found: Sequence[Any], known: Mapping[bytes, Model], limits: Callable[[Model], Limits]) -> list[Row]:
    """Return a row for each pool, key and model that is configured (``known``, by its lane) or was used."""
    models = dict(known)
    uses: dict[tuple[Pool, bytes], dict[bytes, Any]] = {}
    for pool, (_, _, lanes) in zip(Pool, found, strict=True):
        for lane, name, listed, each in lanes:
            uses[pool, lane] = dict(zip(each[::2], each[1::2], strict=True))
            if listed and lane not in models:
                models[lane] = Model(told(name), canonical(told(name)), Limits(), configured=False)
    return [
        usage_row(pool, told(key), model, limits(model), valid=bool(ok), use=uses.get((pool, lane), {}).get(key))
        for lane, model in models.items()
        for pool, (keys, valid, _) in zip(Pool, found, strict=True)
        for key, ok in zip(keys, valid, strict=True)
    ]


def _double(found: float | None) -> float:
    try:
        return math.nan if found is None else float(found)
    except OverflowError:  # a limit that nobody reaches
        return math.inf
