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
    optional,
    provided_kept,
    provided_none,
    provided_twice,
    quota,
    recovery,
    reloading,
    secrets,
    serving,
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
    *lifecycle.MUTANTS,
    *holding.MUTANTS,
    *provided_kept.MUTANTS,
    *provided_none.MUTANTS,
    *provided_twice.MUTANTS,
    *reloading.MUTANTS,
    *time.MUTANTS,
    *durability.MUTANTS,
    *lasting.MUTANTS,
    *optional.MUTANTS,
    *secrets.MUTANTS,
    *growth.MUTANTS,
    *threaded.MUTANTS,
)
"""Every planted bug, in the order of the catalogue."""
