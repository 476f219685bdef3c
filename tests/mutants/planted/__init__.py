"""Key managers with one planted bug each, written from the promises of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planted import (
    acquire,
    blocking,
    calling,
    compatible,
    consistency,
    durability,
    enduring,
    exhaustion,
    failures,
    formats,
    growth,
    holding,
    lasting,
    leasing,
    lifecycle,
    liveness,
    mixing,
    opening,
    optional,
    provided_kept,
    provided_none,
    provided_twice,
    quota,
    recovery,
    reloading,
    secrets,
    serving,
    sharing,
    source,
    streaming,
    threaded,
    time,
    unknown,
    vertex,
)

if TYPE_CHECKING:
    from planted.registry import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *acquire.MUTANTS,
    *serving.MUTANTS,
    *leasing.MUTANTS,
    *consistency.MUTANTS,
    *compatible.MUTANTS,
    *quota.MUTANTS,
    *exhaustion.MUTANTS,
    *unknown.MUTANTS,
    *failures.MUTANTS,
    *recovery.MUTANTS,
    *mixing.MUTANTS,
    *calling.MUTANTS,
    *vertex.MUTANTS,
    *formats.MUTANTS,
    *liveness.MUTANTS,
    *blocking.MUTANTS,
    *opening.MUTANTS,
    *lifecycle.MUTANTS,
    *holding.MUTANTS,
    *provided_kept.MUTANTS,
    *provided_none.MUTANTS,
    *provided_twice.MUTANTS,
    *reloading.MUTANTS,
    *time.MUTANTS,
    *durability.MUTANTS,
    *lasting.MUTANTS,
    *source.MUTANTS,
    *sharing.MUTANTS,
    *enduring.MUTANTS,
    *optional.MUTANTS,
    *secrets.MUTANTS,
    *streaming.MUTANTS,
    *growth.MUTANTS,
    *threaded.MUTANTS,
)
"""Every planted bug, in the order of the catalogue."""
DEEP: tuple[Mutant, ...] = threaded.DEEP
"""Those that take a deep run."""
