"""The JSON report as others read it: a pydantic model that validates every one, and its JSON Schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_keyconform.errors import BaselineError
from pytest_keyconform.report import Report

if TYPE_CHECKING:
    from pathlib import Path

Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Engine = Literal["sequential", "tasks", "delayed-tasks", "threads", "simulated-processes", "processes", "wire"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class OperationModel(_Strict):
    """One operation of a counterexample; ``at`` is in virtual seconds, ``returned`` null where pending."""

    call: str
    answer: str | None
    client: Count
    phase: Literal["setup", "parallel", "finale"]
    at: Seconds
    called: Count
    returned: Count | None


class MomentModel(_Strict):
    """One line of a timeline; client 0 is the setup and the finale, -1 a task in the background."""

    client: Annotated[int, Field(ge=-1)]
    kind: str
    text: str
    where: str


class CounterexampleModel(_Strict):
    """The smallest failing execution that was found, with the token that runs it again."""

    operations: list[OperationModel]
    schedule: str
    expected: str
    observed: str
    replay: str
    switches: Count
    found_after: Count
    timeline: list[MomentModel]
    snippet: str | None
    engine: Engine
    note: str | None
    where: str = ""


class InvariantModel(_Strict):
    """What came of one invariant."""

    id: Annotated[str, Field(pattern=r"^([A-Z]+[0-9]+|scenario\[.+\])$")]
    family: Annotated[str, Field(pattern=r"^[A-Z]+$")]
    title: str
    level: Literal["must", "should"]
    status: Literal["conforms", "violated", "inconclusive", "not-applicable", "waived"]
    known: bool
    pinned: bool = False
    audits: list[str]
    engines: list[Engine]
    executions: Count
    exhausted: bool
    seconds: Seconds
    lacking: list[str]
    reason: str | None
    cut_short: bool = False
    waiver: str | None
    signature: str | None
    counterexample: CounterexampleModel | None


class CountsModel(_Strict):
    """How many invariants have each status."""

    conforms: Count
    violated: Count
    inconclusive: Count
    not_applicable: Annotated[Count, Field(alias="not-applicable")]
    waived: Count


class RunModel(_Strict):
    """When and where it ran; with ``seconds``, all that differs between two runs with the same seed."""

    started: str
    duration: Seconds
    python: str
    platform: str
    plugin: str


class CoverageModel(_Strict):
    """What the run reached of one file; ``missing`` are lines, and lines with the ways that were taken from them."""

    lines: Count
    reached: Count
    branches: Count
    taken: Count
    percent: Annotated[float, Field(ge=0, le=100)]
    missing: list[str]


class ReportModel(_Strict):
    """The report of one target, schema 1."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    spec: str
    target: str
    profile: Literal["smoke", "ci", "deep"]
    seed: Count
    verdict: Literal["violates", "inconclusive", "partial", "conforms"]
    counts: CountsModel
    policies: dict[str, Any]
    operations: list[str]
    invariants: list[InvariantModel]
    error: str | None
    coverage: dict[str, CoverageModel] | None
    run: RunModel


def read(path: Path, *, called: str) -> Report:
    """Read a report that was written earlier; ``called`` is what a message calls it. Raises `BaselineError`."""
    wanted = f"{called}: expected a JSON report of this plugin, found {path}"
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        ReportModel.model_validate(plain)
    except OSError as error:
        message = f"{wanted} ({error.strerror}); write one with --keyconform-report=json:PATH"
        raise BaselineError(message) from error
    except UnicodeDecodeError:
        raise BaselineError(f"{wanted} (it is not UTF-8)") from None
    except json.JSONDecodeError as error:
        raise BaselineError(f"{path}:{error.lineno}: {wanted} ({error.msg})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BaselineError(f"{wanted} ({place}: {first['msg']}); write it again with this version") from None
    return Report.from_json(plain)


def json_schema() -> dict[str, Any]:
    """Answer the JSON Schema of the report."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ReportModel.model_json_schema(by_alias=True),
        "title": "pytest-keyconform report",
    }
