"""Planted bugs of DUR09: what others changed is not obeyed, or too late."""

from __future__ import annotations

from managers.several import Several, SeveralCached, SeveralOnAFile

from planted.registry import planted


class ReadWhenOpened(SeveralCached):
    """Pools and bans are read when an instance is opened, and after its own changes."""

    lasts = float("inf")


class ReadTooSeldom(SeveralCached):
    """A copy lasts for a minute, and not for the two seconds that are declared."""

    lasts = 60.0


class PoolsAreItsOwn(Several):
    """Bans are shared, and the pools are those that an instance was told of itself."""

    def __init__(self, pool):
        self._own = None
        super().__init__(pool)

    def _seen(self):
        pools, health = super()._seen()
        self._own = self._own or pools
        return self._own, health

    def _forget(self):
        self._own = None


class CountsAreItsOwn(Several):
    """Whether a key has room is told by what was read of it first, and by its own reports."""

    def __init__(self, pool):
        self._copies = {}
        super().__init__(pool)

    def _used(self, cell):
        name = cell["pool"], cell["key"], cell["model"], cell["minute"]
        if name not in self._copies:
            self._copies[name] = super()._used(cell)
        return self._copies[name]

    def _add(self, cell):
        super()._add(cell)
        self._copies.clear()


class NeverBack(Several):
    """A key that was out once is out for this instance, whoever brings it back."""

    def __init__(self, pool):
        self._gone = set()
        super().__init__(pool)

    def _valid(self, vertex, key):
        valid = super()._valid(vertex, key)
        if not valid:
            self._gone.add(key)
        return valid and key not in self._gone

    def _forget(self):
        self._gone.clear()


class FileReadOnce(SeveralOnAFile):
    """Who is out is read once."""

    _copy = None

    def _out(self):
        self._copy = super()._out() if self._copy is None else self._copy
        return self._copy

    def handle_api_failure(self, *given, **named):
        answer = super().handle_api_failure(*given, **named)
        self._copy = None
        return answer


MUTANTS = (
    planted("DUR09", ReadWhenOpened),
    planted("DUR09", ReadTooSeldom),
    planted("DUR09", PoolsAreItsOwn),
    planted("DUR09", CountsAreItsOwn),
    planted("DUR09", NeverBack),
    planted("DUR09", FileReadOnce),
)
