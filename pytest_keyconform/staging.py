"""What the fixture `scenario` answers: a function that runs one scenario file against the target of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.conformance.scenarios import rules
from pytest_keyconform.errors import UsageError
from pytest_keyconform.fixtures import setting_of
from pytest_keyconform.render import timeline
from pytest_keyconform.report import FAILING
from pytest_keyconform.spec.places import BUILTIN
from pytest_keyconform.target_run import TargetRun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_keyconform.conformance.scenarios.rule import ScenarioRule
    from pytest_keyconform.report import InvariantReport
    from pytest_keyconform.spec.settings import Settings
    from pytest_keyconform.spec.target_setting import TargetSetting


def stage(request: pytest.FixtureRequest) -> Callable[..., InvariantReport]:
    """Answer ``run(path)``, with ``target=NAME`` where there are several.

    It fails the test with the counterexample, skips it where the target cannot run the scenario, and else answers what
    came of it.
    """
    folders = (request.path.parent, request.config.rootpath)
    judge = request.config.pluginmanager.get_plugin("keyconform-judge")
    if judge is None:
        pytest.fail(
            "scenario: expected a target, found none; name one: --keyconform=package.module:factory", pytrace=False
        )

    def run(path: str | Path, *, target: str | None = None) -> InvariantReport:
        setting = setting_of(judge.settings, target, asking="scenario")
        unusable = ""
        try:
            rule = _rule(str(path), folders)
            result = _judged(judge.settings, setting, rule)
        except UsageError as error:
            unusable = str(error)
        if unusable:  # not within `except`: pytest would show what was raised there as well
            pytest.fail(unusable, pytrace=False)
        return _verdict(result, setting, rule)

    return run


def _rule(text: str, folders: tuple[Path, ...]) -> type[ScenarioRule]:
    """Answer the rule of a file that is found from one of these folders, or is shipped."""
    places = [str(folder / text) for folder in folders if (folder / text).is_file()]
    shipped = text if text.startswith(f"{BUILTIN}/") else f"{BUILTIN}/{text}"
    found = rules([*places, shipped][:1], CATALOGUE, said="scenario")
    if len(found) != 1:
        raise UsageError(f"scenario: expected one file, found {len(found)} in {text}; name one of them")
    return found[0]


def _judged(settings: Settings, setting: TargetSetting, rule: type[ScenarioRule]) -> InvariantReport:
    alone = settings.model_copy(update={"replay": None, "max_time": None, "reports": (), "isolate": False})
    run = TargetRun(alone, setting, (rule,))
    try:
        run.start()
        return run.judge(rule)
    finally:
        run.report()  # ends the process that judged


def _verdict(result: InvariantReport, setting: TargetSetting, rule: type[ScenarioRule]) -> InvariantReport:
    if result.status == "not-applicable":
        pytest.skip(result.reason or f"lacks {', '.join(result.lacking)}")
    if result.status in FAILING:
        pytest.fail(timeline.page(result, asked=setting.asked, scenarios=[rule.source]), pytrace=False)
    return result
