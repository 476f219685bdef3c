"""Reading what a target is held against: waivers, the baseline, the pinned catalogue."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from pytest_keyconform import gate
from pytest_keyconform.report import SPEC
from pytest_keyconform.spec import report_schema, report_setting, waivers
from pytest_keyconform.spec.settings import check_spec, versions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.spec.settings import Settings


def policy_of(settings: Settings, kinds: Iterable[type[Invariant]], target: str) -> gate.Policy:
    """Read what a target is held against; raises `UsageError` for a file that cannot be used."""
    today = dt.datetime.now().astimezone().date()
    later = frozenset[str]()
    every = tuple(kinds)
    if settings.spec is not None:
        pinned = versions(settings.spec)
        check_spec(settings.spec, [SPEC, *(kind.since for kind in every)], called="--keyconform-spec")
        later = frozenset(kind.id for kind in every if versions(kind.since) > pinned)
    policy = gate.Policy(today=today, level=settings.level, later=later, require=settings.require)
    if settings.replay is not None:  # one counterexample, shown as it is
        return policy
    policy = dataclasses.replace(policy, cov=settings.cov, cov_fail_under=settings.cov_fail_under)
    if settings.waivers is not None:
        found = waivers.read(settings.waivers, ids=[kind.id for kind in every], today=today)
        policy = dataclasses.replace(policy, waivers=found)
    if settings.baseline is not None:
        path = report_setting.for_target(settings.baseline, target)
        policy = dataclasses.replace(policy, earlier=report_schema.read(path, called="--keyconform-baseline"))
    return policy
