"""What `RichManager` keeps: immutable rows, each replaced whole, in a store that is awaited."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one key of one pool, whatever the model."""

    strikes: int = 0
    banned: bool = False


@dataclass(frozen=True, slots=True)
class Tally:
    """What one key of one pool was used for with one model.

    ``requests`` and ``tokens`` belong to the clock minute ``minute``, ``daily`` to the day ``day``;
    ``marked`` is the clock minute of the last 429, -1 for none.
    """

    minute: int = -1
    requests: int = 0
    tokens: int = 0
    day: str = ""
    daily: int = 0
    marked: int = -1
    last_used: float | None = None


class MemoryStore:
    """Rows by name. Each command takes a turn of the event loop, as one that goes over a wire would."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], object] = {}

    async def travel(self) -> None:
        """Take the time of a command."""
        await asyncio.sleep(0)

    async def get(self, *name: str) -> object:
        """Answer a row, None where there is none."""
        await self.travel()
        return self._rows.get(name)

    async def put(self, row: object, *name: str) -> None:
        """Keep a row in the place of the one of that name."""
        await self.travel()
        self._rows[name] = row

    async def drop(self, *beginning: str) -> None:
        """Forget, in one step, every row whose name begins so."""
        await self.travel()
        kept = {name: row for name, row in self._rows.items() if name[: len(beginning)] != beginning}
        self._rows = kept

    async def find(self, *beginning: str) -> dict[tuple[str, ...], object]:
        """Answer every row whose name begins so, all as of one moment."""
        await self.travel()
        size = len(beginning)
        return {name[size:]: row for name, row in self._rows.items() if name[:size] == beginning}
