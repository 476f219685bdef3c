"""Joining the reports of one run that was split: each judged a part of the catalogue, on the same terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.errors import BaselineError
from pytest_keyconform.report import Report, Run, counts_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_keyconform.report import InvariantReport, Level

SAME = ("spec", "target", "profile", "seed", "policies", "operations")


def merged(shards: Sequence[tuple[str, Report]], ids: Sequence[str], level: Level) -> Report:
    """Join reports, each given with the name of its file; ``ids`` is the catalogue, in its order.

    Raises `BaselineError` where they do not belong together: other terms, the same invariant twice, a target that could
    not be judged. Coverage cannot be added up from figures, so the whole has none.
    """
    (first_name, first), *others = shards
    for name, shard in shards:
        if shard.error is not None:
            raise BaselineError(f"{name}: expected a report of a target that was judged, found: {shard.error}")
    for name, other in others:
        for field in SAME:
            mine, theirs = getattr(first, field), getattr(other, field)
            if mine != theirs:
                raise BaselineError(
                    f"{name}: expected {field} {mine} as in {first_name}, found {theirs}; "
                    "join reports of one run over one target only"
                )
    results = _results(shards)
    order = {id_: number for number, id_ in enumerate(ids)}
    every = tuple(sorted(results.values(), key=lambda one: (order.get(one.id, len(order)), one.id)))
    return Report(
        target=first.target,
        profile=first.profile,
        seed=first.seed,
        spec=first.spec,
        policies=first.policies,
        operations=first.operations,
        verdict=verdict_of(every, level, partial=not set(ids) <= set(results)),
        counts=counts_of(every),
        invariants=every,
        run=_run([shard.run for _, shard in shards]),
    )


def _results(shards: Sequence[tuple[str, Report]]) -> dict[str, InvariantReport]:
    results: dict[str, InvariantReport] = {}
    homes: dict[str, str] = {}
    for name, shard in shards:
        for result in shard.invariants:
            if result.id in results:
                raise BaselineError(
                    f"{name}: expected no invariant that is in another report too, found {result.id}, which "
                    f"{homes[result.id]} has; leave one of the two out"
                )
            results[result.id], homes[result.id] = result, name
    return results


def _run(runs: Sequence[Run]) -> Run:
    return Run(
        started=min(run.started for run in runs),
        duration=round(sum(run.duration for run in runs), 3),
        python=_one_of(run.python for run in runs),
        platform=_one_of(run.platform for run in runs),
        plugin=_one_of(run.plugin for run in runs),
    )


def _one_of(values: Iterable[str]) -> str:
    """Answer what is the same in all of them, or each that occurs."""
    return ", ".join(dict.fromkeys(values))
