"""How the tests of this folder judge one factory, as a run of the plugin does."""

from __future__ import annotations

from pathlib import Path

from pytest_keyconform.conformance import Conformance
from pytest_keyconform.spec.settings import Settings, TargetSetting

FOLDER = Path(__file__).parent


def target_of(factory):
    """Answer the target string of a factory of these modules."""
    return f"{factory.__module__}:{factory.__name__}"


def started(target, *, select=(), seed=0, profile="ci", timeout=60.0):
    """Answer the conformance of one target, opened."""
    setting = TargetSetting(name=target.partition(":")[2], target=target, asked=target)
    settings = Settings(
        targets=(setting,), search=(FOLDER,), select=select, seed=seed, profile=profile, timeout=timeout
    )
    conformance = Conformance(settings, setting)
    conformance.start()
    return conformance


def judged(conformance):
    """Answer the reports of all that is selected, by id."""
    return {kind.id: conformance.judge(kind.id) for kind in conformance.invariants()}


def told(report):
    """Answer what a report says of a violation or of what is inconclusive, for the message of a test."""
    found = report.counterexample
    lines = [f"{report.id} {report.status} {report.reason or ''}"]
    if found is not None:
        lines.append(f"observed {found.observed}, expected {found.expected}, replay {found.replay}")
        lines += [f"  {moment.client} {moment.kind} {moment.text}" for moment in found.timeline]
    return "\n".join(lines)
