"""From rows to the objects that decide, and back."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

from keyconform_reference.keys import Hold, KeyState, ModelUse
from keyconform_reference.tallies import FixedTally

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keyconform_reference.limits import Limits
    from keyconform_reference.tallies import Tally
    from keyconform_reference.windows import Windows

    from .library import RowMapping

_MOST = 2**62
"""Numbers are kept up to this one: a column holds no more, and no provider serves as much."""
_SECOND, _COUNT = 11, 5
_ENTRY = _SECOND + _COUNT
_FULL = 10**_COUNT - 1

Values = dict[str, Any]


def key_of(row: RowMapping) -> KeyState:
    """Return the key that a row of ``keys`` tells of."""
    state = KeyState(row["key"])
    state.strikes = row["strikes"]
    state.struck_until = row["struck_until"]
    state.removed_until = row["removed_until"]
    state.outs = row["outs"]
    state.last_out = row["last_out"]
    if row["hold_token"] is not None:
        state.hold = Hold(row["hold_token"], row["hold_until"], row["hold_for"])
    return state


def values_of_key(state: KeyState, now: float) -> Values:
    """Return the columns of a key."""
    hold = state.hold
    return {
        "strikes": min(state.strikes, _MOST),
        "struck_until": state.struck_until,
        "removed_until": state.removed_until,
        "outs": state.outs,
        "last_out": state.last_out,
        "hold_token": None if hold is None else hold.token,
        "hold_until": None if hold is None else hold.until,
        "hold_for": None if hold is None else hold.reserved_for,
        "wake": state.free_at(now),
    }


def use_of(row: RowMapping, limits: Limits, windows: Windows) -> ModelUse:
    """Return the usage that a row of ``uses`` tells of."""
    use = ModelUse(limits, windows)
    _load(use.minute, row["minute_more"], (row["minute_start"], row["minute_requests"], row["minute_tokens"]))
    _load(use.day, row["day_more"], (row["day_start"], row["day_requests"], 0))
    use.last_used = row["last_used"]
    use.mark_until = row["mark_until"]
    use.marks = row["marks"]
    use.last_mark = row["last_mark"]
    use.reservations = _reservations(row["reserved"])
    use.carried = bool(row["carried"])
    return use


def values_of_use(use: ModelUse) -> Values:
    """Return the columns of a usage."""
    reservations = list(_in_pieces(use.reservations))
    minute_start, minute_requests, minute_tokens, minute_more = _columns(use.minute)
    day_start, day_requests, _, day_more = _columns(use.day)
    return {
        "minute_start": minute_start,
        "minute_requests": minute_requests,
        "minute_tokens": minute_tokens,
        "minute_more": minute_more,
        "day_start": day_start,
        "day_requests": day_requests,
        "day_more": day_more,
        "last_used": use.last_used,
        "mark_until": use.mark_until,
        "marks": use.marks,
        "last_mark": use.last_mark,
        "reserved": "".join(f"{second:0{_SECOND}d}{count:0{_COUNT}d}" for second, count in reservations),
        "reserved_count": sum(count for _, count in reservations),
        "carried": use.carried,
    }


def _load(tally: Tally, more: str, columns: tuple[float, ...]) -> None:
    if isinstance(tally, FixedTally):
        tally.load(columns)
    else:
        tally.load([_number(word) for word in more.split()])


def _columns(tally: Tally) -> tuple[float, int, int, str]:
    if not isinstance(tally, FixedTally):
        return (-math.inf, 0, 0, " ".join(map(repr, tally.saved())))
    start, requests, tokens = tally.saved()
    return (start, min(requests, _MOST), min(tokens, _MOST), "")


def _number(word: str) -> float:
    return int(word) if word.removeprefix("-").isdigit() else float(word)


def _reservations(text: str) -> deque[tuple[float, int]]:
    entries = (text[at : at + _ENTRY] for at in range(0, len(text), _ENTRY))
    return deque((float(entry[:_SECOND]), int(entry[_SECOND:])) for entry in entries)


def _in_pieces(reservations: Iterable[tuple[float, int]]) -> Iterable[tuple[int, int]]:
    for second, count in reservations:
        left = count
        while left > 0:
            yield max(0, math.floor(second)), min(left, _FULL)
            left -= _FULL
