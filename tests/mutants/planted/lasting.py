"""Planted bugs of DUR05 and DUR10."""

from __future__ import annotations

import pickle

from managers.kept import FileStore, KeptManager

from planted.registry import planted


class _TakenForNone(FileStore):
    def load(self):
        try:
            return super().load()
        except Exception:
            return {}


class TornIsNone(KeptManager):
    """What cannot be read is taken for nothing."""

    store = _TakenForNone


class _Unchecked(FileStore):
    def load(self):
        return pickle.loads(self._path.read_bytes()[32:]) if self._path.exists() else {}  # noqa: S301


class ErrorOfTheParser(KeptManager):
    """The error of who reads the file is let through."""

    store = _Unchecked


class _CountsAlone(FileStore):
    def load(self):
        return {name: row for name, row in super().load().items() if name[0] == "tally"}


class CountsAreKeptAlone(KeptManager):
    """Strikes and bans are not stored."""

    store = _CountsAlone


class HealedByOpening(KeptManager):
    """Opening forgives every key."""

    async def init(self):
        await super().init()
        await self.reset_failure_counts()


MUTANTS = (
    planted("DUR05", TornIsNone),
    planted("DUR05", ErrorOfTheParser),
    planted("DUR10", CountsAreKeptAlone),
    planted("DUR10", HealedByOpening),
)
