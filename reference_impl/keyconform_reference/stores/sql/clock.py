"""The wall time of a step, and what is done where the clock was set back (000-19).

The store remembers by how much clocks were set back in all since it was made. Each process adds up what it saw itself.
So the first process that sees a step moves everything that is stored, and the others see that it was done.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from keyconform_reference.keys import shifted
from keyconform_reference.tallies import MINUTE

from .library import func, insert, select, update
from .rows import key_of, values_of_key, values_of_use
from .tables import CLOCK, KEYS, USES, VERSION

if TYPE_CHECKING:
    from .ledger import Ledger

_SKEW = 2.0
"""Seconds by which the clocks of several machines may differ, without one of them having been set back."""
_ALIKE = 0.5


class Clock:
    """What one process knows of the time."""

    def __init__(self) -> None:
        self._last = (-math.inf, -math.inf)
        self._owed = 0.0
        self._expected = 0.0
        self._settling = 0.0

    @property
    def owes(self) -> bool:
        """True if the clock was set back, and the store may not have been moved yet."""
        return self._owed > 0

    def now(self) -> float:
        """Return the wall time, noticing where it was set back."""
        now, steady = time.time(), time.monotonic()
        last, last_steady = self._last
        if now < last:
            # What the clock would show had nobody touched it. If the steady clock went back as well, a minute
            # is taken for granted: better to ask the provider early than to keep a key out without reason.
            self._owed += last - now + (steady - last_steady if steady >= last_steady else MINUTE)
        self._last = (now, steady)
        return now

    def begin(self, ledger: Ledger) -> None:
        """Learn what was done so far; move what is stored if the clock was set back while nobody looked."""
        row = ledger.connection.execute(select(CLOCK).where(CLOCK.c.space == ledger.space)).mappings().first()
        self._owed = self._expected = self._settling = 0.0
        if row is None:
            values = {"space": ledger.space, "version": VERSION, "set_back": 0.0, "wall": ledger.now}
            ledger.connection.execute(insert(CLOCK), values)
            return
        self._expected = row["set_back"]
        used = ledger.connection.execute(select(func.max(USES.c.last_used)).where(ledger.mine(USES))).scalar_one()
        latest = max(row["wall"], used or 0.0)
        if ledger.now < latest - _SKEW:
            self._owed = latest - ledger.now + MINUTE
            self.settle(ledger)
        self.note(ledger)

    def settle(self, ledger: Ledger) -> None:
        """Move what is stored, unless another process has; ``settled`` once that is committed."""
        known = ledger.connection.execute(select(CLOCK.c.set_back).where(CLOCK.c.space == ledger.space)).scalar_one()
        self._settling = self._owed
        left = self._expected + self._owed - known
        if left > _ALIKE:
            _move(ledger, left)
            where = CLOCK.c.space == ledger.space
            ledger.connection.execute(update(CLOCK).where(where).values(set_back=known + left))

    def settled(self) -> None:
        """Hear that the transaction in which it was settled is committed."""
        self._expected += self._settling
        self._owed -= self._settling
        self._settling = 0.0

    def note(self, ledger: Ledger) -> None:
        """Write down the time, for an opening to come."""
        ledger.connection.execute(update(CLOCK).where(CLOCK.c.space == ledger.space).values(wall=ledger.now))


def _move(ledger: Ledger, seconds: float) -> None:
    now, before = ledger.now, ledger.now + seconds
    connection = ledger.connection
    for row in connection.execute(select(KEYS).where(ledger.mine(KEYS))).mappings().all():
        state = key_of(row)
        state.shift(before, now)
        where = (KEYS.c.pool == row["pool"], KEYS.c.key_id == row["key_id"])
        connection.execute(update(KEYS).where(*where).values(**values_of_key(state, now) | {"wake": 0.0}))
    for row in connection.execute(select(USES).where(ledger.mine(USES))).mappings().all():
        use = ledger.use_of(row)
        use.shift(before, now)
        where = tuple(USES.c[name] == row[name] for name in ("pool", "model_id", "key_id"))
        later = {"keep_until": shifted(row["keep_until"], before, now), "wake": 0.0}
        connection.execute(update(USES).where(*where).values(**values_of_use(use), **later))
