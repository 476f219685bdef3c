"""Planted bugs of the leases: ACQ09, ACQ12, ACQ13."""

from __future__ import annotations

import asyncio
import time

from managers.poor import NOTHING
from twins.leases import LeaseDesk, LeaseDeskWithEnds

from planted.registry import planted
from pytest_keyconform import Lease


class ReleasesByKey(LeaseDesk):
    """A release frees the key that it names, whoever holds it."""

    def _give_back(self, lease):
        vertex, _ = lease.handle or (False, None)
        self._holders.pop((vertex, lease.key), None)


class NeverGivenBack(LeaseDesk):
    """A release of a key that was served twice before is not looked at."""

    def _give_back(self, lease):
        if lease.handle[1] < 2:
            super()._give_back(lease)


class LeaseNeverEnds(LeaseDeskWithEnds):
    """The end of a lease is declared, and nobody looks for old ones."""

    async def acquire(self, model, pool):
        return await LeaseDesk.acquire(self, model, pool)


class LateReleaseFrees(LeaseDeskWithEnds):
    """The release of a lease that has ended frees the key of who has it now."""

    def _give_back(self, lease):
        vertex, ticket = lease.handle or (False, None)
        if time.monotonic() - self._since.get(ticket, -1000.0) >= 60.0:
            self._holders.pop((vertex, lease.key), None)
        super()._give_back(lease)


class NoEndDeclared(LeaseDesk):
    """Leases have no end."""


class NoEndDeclaredEither(ReleasesByKey):
    """Leases have no end, and a release names the key."""


class ResetFreesTheLease(LeaseDesk):
    """A reset of a key forgets who holds it."""

    async def reset(self, key):
        self._holders.pop((False, key), None)
        return await super().reset(key)


class VertexLeasesTakenLate(LeaseDesk):
    """A vertex key is looked at, something is awaited, and it is taken whoever has it by then."""

    async def acquire(self, model, pool):
        if pool != "vertex":
            return await super().acquire(model, pool)
        name = self._books._name(model)
        cards = self._books._decks[True].cards.values()
        free = [one.key for one in cards if (True, one.key) not in self._holders and self._books._usable(one, name)]
        await asyncio.sleep(0)
        if not free:
            return NOTHING
        ticket = self._holders[True, free[0]] = next(self._tickets)
        return Lease(free[0], handle=(True, ticket))


class EndedLeaseTakenTwice(LeaseDeskWithEnds):
    """Where a lease has ended its key is taken over after an await, by everybody who saw that."""

    async def acquire(self, model, pool):
        now, vertex = time.monotonic(), pool == "vertex"
        over = [
            key for (held, key), ticket in self._holders.items() if held == vertex and now - self._since[ticket] >= 60
        ]
        if not over:
            return await super().acquire(model, pool)
        await asyncio.sleep(0)
        ticket = self._holders[vertex, over[0]] = next(self._tickets)
        self._since[ticket] = now
        return Lease(over[0], handle=(vertex, ticket))


MUTANTS = (
    planted("ACQ09", ReleasesByKey),
    planted("ACQ09", NeverGivenBack),
    planted("ACQ12", LeaseNeverEnds),
    planted("ACQ12", LateReleaseFrees),
    planted("ACQ13", NoEndDeclared),
    planted("ACQ13", NoEndDeclaredEither),
    planted("ACQ09", ResetFreesTheLease),
    planted("ACQ09", VertexLeasesTakenLate),
    planted("ACQ12", EndedLeaseTakenTwice),
)
