"""The report as SARIF 2.1.0, for code scanning: a rule for each invariant, a result where one does not hold."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_keyconform.render.telling import Telling, cleaned
from pytest_keyconform.render.timeline import moments_of, replay_command

if TYPE_CHECKING:
    from pytest_keyconform.execution import Moment
    from pytest_keyconform.report import CounterexampleReport, InvariantReport, Report

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
PLACE = re.compile(r"(.+):([1-9][0-9]*)")
LEVELS = {"violated": "error", "advisory": "warning", "known": "note", "waived": "note"}


def render(report: Report, telling: Telling | None = None) -> str:
    """Write a report as SARIF, one run for the target.

    A violation is a result of kind ``fail`` at the line of the backend that its counterexample points to, with one
    thread flow for each client; what could not be judged is of kind ``open``. What is waived is suppressed.
    Each result has a place.
    """
    report, telling = cleaned(report), telling or Telling()
    ids = [result.id for result in report.invariants]
    run = {
        "tool": {"driver": _driver(report)},
        "automationDetails": {"id": f"keyconform/{report.target}/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(report)],
        "results": [
            _result(result, ids.index(result.id), telling=telling, asked=telling.target(report))
            for result in report.invariants
            if result.status in {"violated", "inconclusive", "waived"}
        ],
        "properties": {"verdict": report.verdict, "profile": report.profile, "seed": report.seed, "spec": report.spec},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _driver(report: Report) -> dict[str, Any]:
    version = {"version": report.run.plugin} if report.run.plugin else {}
    return {"name": "pytest-keyconform", **version, "rules": [_rule(result) for result in report.invariants]}


def _rule(result: InvariantReport) -> dict[str, Any]:
    return {
        "id": result.id,
        "shortDescription": {"text": result.title},
        "help": {"text": f"{result.title}. `keyconform explain {result.id}` says why, and how it is mended."},
        "defaultConfiguration": {"level": "error" if result.level == "must" else "warning"},
        "properties": {"tags": [result.family, result.level, *(f"audit {audit}" for audit in result.audits)]},
    }


def _invocation(report: Report) -> dict[str, Any]:
    if report.error is None:
        return {"executionSuccessful": True}
    notification = {"level": "error", "message": {"text": report.error}}
    return {"executionSuccessful": False, "toolExecutionNotifications": [notification]}


def _result(result: InvariantReport, index: int, *, telling: Telling, asked: str) -> dict[str, Any]:
    found, standing = result.counterexample, telling.standing(result)
    told: dict[str, Any] = {"ruleId": result.id, "ruleIndex": index}
    if found is None:
        told |= {
            "kind": "open",
            "level": "none",
            "message": {"text": f"{result.title}: {result.reason or 'not judged'}"},
        }
    else:
        text = f"{result.title}. Observed: {found.observed}. Expected: {found.expected}. "
        text += f"Replay: {replay_command(asked, found.replay)}"
        told |= {"kind": "fail", "level": LEVELS[standing], "message": {"text": text}, **_evidence(found)}
    told.setdefault("locations", [_nowhere(asked)])
    told["partialFingerprints"] = {"keyconform/v1": _fingerprint(result)}
    if telling.comparison is not None:
        told["baselineState"] = "unchanged" if result.known else "new"
    if result.status == "waived":
        told["suppressions"] = [{"kind": "external", "status": "accepted", "justification": result.waiver or ""}]
    return told


def _fingerprint(result: InvariantReport) -> str:
    return hashlib.sha256(f"{result.id}\0{result.signature}".encode()).hexdigest()


def _evidence(found: CounterexampleReport) -> dict[str, Any]:
    place = _location(found.where)
    flows = _flows(moments_of(found))
    return {
        **({} if place is None else {"locations": [place]}),
        **({} if not flows else {"codeFlows": [{"threadFlows": flows}]}),
    }


def _flows(moments: tuple[Moment, ...]) -> list[dict[str, Any]]:
    """Answer what each client did, in the order of the whole."""
    flows: dict[int, list[dict[str, Any]]] = {}
    for number, moment in enumerate(moments, start=1):
        location = {**(_location(moment.where) or {}), "message": {"text": moment.text or moment.kind}}
        flows.setdefault(moment.client, []).append({"executionOrder": number, "location": location})
    return [{"id": f"client {client}", "locations": steps} for client, steps in sorted(flows.items())]


def _nowhere(target: str) -> dict[str, Any]:
    """Answer a place for what has none: there are readers that refuse a whole report for one result without."""
    return {
        "logicalLocations": [{"fullyQualifiedName": target, "kind": "module"}],
        "physicalLocation": {"artifactLocation": {"uri": quote(target, safe="")}, "region": {"startLine": 1}},
    }


def _location(where: str) -> dict[str, Any] | None:
    """Answer a place of the backend; None where there is none."""
    match = PLACE.fullmatch(where)
    if match is None:
        return None
    path = PurePath(match[1])
    artifact = (
        {"uri": f"file://{'' if path.as_posix().startswith('/') else '/'}{quote(path.as_posix())}"}
        if path.is_absolute()
        else {"uri": quote(path.as_posix()), "uriBaseId": "%SRCROOT%"}
    )
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": int(match[2])}}}
