"""From a program that broke an invariant to a scenario file that runs it again."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pytest_keyconform.conformance.scenarios.compiling import MODELLED, RENAMED, SAYING, compiled
from pytest_keyconform.conformance.scenarios.finding import shipped
from pytest_keyconform.errors import ScenarioError
from pytest_keyconform.operation import Invocation, Ref
from pytest_keyconform.spec.scenario import HINT
from pytest_keyconform.spec.scenario.checks import BEGINNING
from pytest_keyconform.spec.scenario.reading import read
from pytest_keyconform.workload import Given, Limits

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_keyconform.report import InvariantReport
    from pytest_keyconform.workload import Step, Workload

BACK = {(kind, lease): key for (kind, key), lease in RENAMED.items()}
PLAIN = {"outcome": "success", "retries": 0, "pool": "regular"}


def save(folder: Path, target: str, result: InvariantReport, program: Workload) -> Path | None:
    """Write a program into a folder, under the target's name and the invariant's id; None where no file says it."""
    text = written(result, program)
    if text is None:
        return None
    path = folder / re.sub(r"[^\w.-]+", "-", target) / f"{result.id}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def written(result: InvariantReport, program: Workload) -> str | None:
    """Answer the text of a scenario that is this program and expects the invariant to be kept."""
    import yaml

    plain = _plain(result, program)
    body = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    text = f"{HINT.format(schema=shipped() / 'schema.json')}\n{body}"
    try:
        again = compiled(read(text, "saved")).workload
    except ScenarioError:
        return None
    return text if _shape(again) == _shape(program) else None


def _plain(result: InvariantReport, program: Workload) -> dict[str, Any]:
    when: list[Any] = [_step(step) for step in program.setup]
    if program.clients:
        when.append({"parallel": [_caller([_step(step) for step in client]) for client in program.clients]})
    when += [_step(step) for step in program.finale]
    found = result.counterexample
    return {
        "title": result.title,
        "why": "" if found is None else f"observed: {found.observed}; replay {found.replay}",
        "covers": [result.id],
        "level": result.level,
        "given": _given(program),
        "when": when,
        "then": [{"keeps": [result.id]}],
    }


def _caller(steps: list[dict[str, Any]]) -> object:
    return steps[0] if len(steps) == 1 else steps


def _given(program: Workload) -> dict[str, Any]:
    given, plain = program.given, Given()
    found: dict[str, Any] = {"regular": list(given.regular), "vertex": list(given.vertex)}
    found["limits"] = {model: _limits(row) for model, row in given.limits}
    found["default_model"] = given.default_model
    for name in ("max_failures", "max_retries", "paid_key"):
        value = getattr(given, name)
        found |= {name: value} if value != getattr(plain, name) else {}
    if given.starts:
        found["begins"] = (BEGINNING + timedelta(seconds=given.starts)).isoformat()
    found |= {"opened": False} if program.unopened else {}
    return found | ({"apart": True} if program.apart else {})


def _limits(row: Limits) -> dict[str, int]:
    return {name: value for name in ("rpm", "tpm", "rpd") if (value := getattr(row, name)) is not None}


def _step(step: Step) -> dict[str, Any]:
    arguments = dict(step.invocation.arguments)
    match step.name:
        case "advance" | "set_clock":
            return {step.name: arguments["seconds"]}
        case _ if "cancel" in arguments:
            at = arguments.pop("cancel")
            return {"cancel": {"at": at, "call": {step.name: _body(step, arguments)}}}
        case _:
            return {step.name: _body(step, arguments)}


def _body(step: Step, arguments: dict[str, object]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in arguments.items():
        if (name != "of" or step.name == "stream") and PLAIN.get(name, ...) != value:
            body[BACK.get((step.name, name), name)] = _value(value)
    body |= {"model": None} if step.name in MODELLED and "model" not in body else {}
    body |= {"as": step.bind} if step.bind else {}
    return body | ({"optional": True} if step.optional else {})


def _value(value: object) -> object:
    if isinstance(value, Ref):
        return value.name
    return [_value(item) for item in value] if isinstance(value, tuple) else value


def _shape(program: Workload) -> object:
    """Answer what two programs have in common that are the same but for how they are written."""
    whole = (program.setup + program.finale,)
    parts = (program.setup, *program.clients, program.finale) if program.clients else whole
    steps = tuple(tuple(_invocation(step) for step in part) for part in parts)
    given = program.given
    rows = (given.regular, given.vertex, given.limits, given.default_model, given.max_failures, given.max_retries)
    return steps, rows, given.paid_key, given.starts, given.source, program.apart, program.unopened


def _invocation(step: Step) -> object:
    said = {("pool", "regular"), ("outcome", "success"), ("retries", 0), ("tokens", 1)}
    found = Invocation(step.name, tuple(sorted(step.invocation.arguments, key=lambda pair: pair[0])))
    kept = [
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in found.arguments
        if not isinstance(value, (dict, list))
        and (name, value) not in said
        and value is not None
        and (name not in SAYING or value)
    ]
    return found.name, tuple(kept), step.bind
