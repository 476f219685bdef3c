"""Scenario files as rules that judge: found, read, compiled to workloads, and judged by what they expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.conformance.scenarios.finding import found
from pytest_keyconform.conformance.scenarios.rule import ScenarioRule, rule_of
from pytest_keyconform.errors import ScenarioError
from pytest_keyconform.spec.scenario.parts import nearest
from pytest_keyconform.spec.scenario.reading import load

__all__ = ["ScenarioRule", "rule", "rules"]

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.spec.scenario import Scenario


def rules(
    paths: Iterable[str], catalogue: Sequence[type[Invariant]], *, said: str = "--keyconform-scenarios"
) -> tuple[type[ScenarioRule], ...]:
    """Answer a rule for each file that the paths lead to; raises `ScenarioError` for what cannot be used.

    ``said`` is what named the paths.
    """
    return tuple(rule(path, name, catalogue) for name, path in found(paths, said=said).items())


def rule(path: Path, name: str, catalogue: Sequence[type[Invariant]]) -> type[ScenarioRule]:
    """Answer the rule of one file; raises `ScenarioError`."""
    scenario = load(path)
    _check_ids(scenario, path, [kind.id for kind in catalogue])
    return rule_of(scenario, name, source=str(path), catalogue=catalogue)


def _check_ids(scenario: Scenario, path: Path, ids: list[str]) -> None:
    for id_ in (*scenario.covers, *(id_ for one in scenario.then for id_ in one.keeps or ())):
        if id_ not in ids:
            line = next((n for n, text in enumerate(path.read_text("utf-8").splitlines(), 1) if id_ in text), 1)
            raise ScenarioError(
                f"{path}:{line}: expected an id of the catalogue, found {id_!r}{nearest(id_, ids)}; "
                "`keyconform list` shows them all"
            )
