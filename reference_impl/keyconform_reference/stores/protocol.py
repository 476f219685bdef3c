"""What a store must do in one step.

Everything a decision rests on is read and written inside a single call of these methods: two calls in
parallel have the effect of one after the other, and a call that is cancelled has happened in full or not at
all. A store holds no lock of its own between calls. The store reads the clock itself, so that the processes
on one store may share one.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keyconform_reference.keys import Pool
    from keyconform_reference.limits import Model
    from keyconform_reference.options import Options
    from keyconform_reference.reports import Carried, Effects, Lease
    from keyconform_reference.windows import Windows


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """The numbers and choices every step obeys."""

    options: Options
    windows: Windows
    models: tuple[Model, ...]
    max_failures: int

    @property
    def threshold(self) -> int:
        """How many strikes take a key out."""
        return 1 if self.options.failures == "immediate" else self.max_failures


@dataclasses.dataclass(frozen=True, slots=True)
class Roster:
    """The keys of both pools, each once, in the order of rotation."""

    regular: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    vertex: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.regular) + len(self.vertex)


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """How a key stands apart from quota: ``strikes`` is below the threshold exactly while ``valid``."""

    key: str = dataclasses.field(repr=False)
    strikes: int
    valid: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What one key spent for one model, and its group: ``available``, ``exhausted`` or ``inactive``."""

    pool: Pool
    label: str
    model: Model
    group: str
    rpm: int
    tpm: int
    rpd: int
    last_used: float | None


class Store(Protocol):
    """The state of the keys; each method is one atomic step."""

    async def open(self, roster: Roster) -> None:
        """Get ready to serve these keys; opening again keeps what is known of them."""

    async def close(self) -> None:
        """Let go of every resource; closing twice is harmless."""

    async def healthy(self) -> bool:
        """Tell whether steps can be done."""

    async def take(self, pool: Pool, model: Model, *, avoid: str | None = None, draw: bool = False) -> Lease | None:
        """Choose a usable, unheld key and write down that it was served; None if there is none.

        ``avoid`` is served only if no other key is usable. With ``draw`` any usable key, each as likely.
        """

    async def take_any(self, pool: Pool, model: Model, *, avoid: str | None = None) -> Lease | None:
        """Choose the next unheld key of the pool though it is not usable; None if there is none."""

    async def next_key(self, pool: Pool) -> str | None:
        """Return the next key of the plain rotation; None for an empty pool."""

    async def give_back(self, lease: Lease) -> None:
        """Undo a ``take`` whose answer reached nobody: neither counted nor held."""

    async def release(self, pool: Pool, key: str, token: int) -> bool:
        """End the lease of this token; True if it was held."""

    async def apply(self, pool: Pool, key: str, model: Model, effects: Effects, token: int | None) -> bool:
        """Write down a report: every effect or none; True if the key is in the pool."""

    async def carry(self, pool: Pool, key: str, model: Model, carried: Carried) -> bool:
        """Take over what an earlier version knew of a key of the pool and a model; True the first time."""

    async def restore(self, pool: Pool, key: str) -> bool:
        """Lift strikes, removal and all 429 marks of a key; True if the key is in the pool."""

    async def restore_all(self, pool: Pool) -> None:
        """Lift them for every key of the pool, in one step."""

    async def lift_mark(self, pool: Pool, key: str, model: Model) -> bool:
        """Lift the 429 mark of a key for one model; True if the key is in the pool."""

    async def clear_usage(self) -> None:
        """Zero the counters of every key and model, in one step."""

    async def replace(self, roster: Roster) -> None:
        """Serve these keys from now on; what is known of the others is forgotten."""

    async def row(self, pool: Pool, key: str, model: Model) -> Row | None:
        """Return the usage of a key, or None if it is not in the pool."""

    async def rows(self) -> Sequence[Row]:
        """Return a row for each pool, key and model that is configured or was used, of one moment."""

    async def standing(self, pool: Pool, key: str) -> Standing | None:
        """Return how a key stands, or None if it is not in the pool."""

    async def standings(self, pool: Pool) -> Sequence[Standing]:
        """Return how every key of the pool stands, of one moment."""

    async def size(self, pool: Pool) -> int:
        """Return the number of keys."""

    async def comeback(self, pool: Pool, model: Model, *, draw: bool = False) -> float | None:
        """Return in how many seconds a key may become usable by itself; None if none will."""

    async def sweep(self) -> None:
        """Drop what has no effect any more."""
