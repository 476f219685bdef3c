"""Planted bugs of the leases: ACQ09, ACQ12, ACQ13."""

from __future__ import annotations

import time

from twins.leases import LeaseDesk, LeaseDeskWithEnds

from planted.registry import planted


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


MUTANTS = (
    planted("ACQ09", ReleasesByKey),
    planted("ACQ09", NeverGivenBack),
    planted("ACQ12", LeaseNeverEnds),
    planted("ACQ12", LateReleaseFrees),
    planted("ACQ13", NoEndDeclared),
    planted("ACQ13", NoEndDeclaredEither),
)
