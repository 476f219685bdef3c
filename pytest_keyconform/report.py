"""The report of a run: plain values that travel as JSON, and that every rendering is made of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from pytest_keyconform.execution import Moment
from pytest_keyconform.operation import Raised

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_keyconform.operation import Claims, Operation
    from pytest_keyconform.verdict import Counterexample

SCHEMA = 1
SPEC = "1.0"
SCENARIO = "scenario"  # what the ids of scenario files begin with: scenario[acquire/two-callers]

Level: TypeAlias = Literal["must", "should"]
Status: TypeAlias = Literal["conforms", "violated", "inconclusive", "not-applicable", "waived"]
Overall: TypeAlias = Literal["violates", "inconclusive", "partial", "conforms"]

FAILING: frozenset[Status] = frozenset({"violated", "inconclusive"})
STATUSES: tuple[Status, ...] = ("conforms", "violated", "inconclusive", "not-applicable", "waived")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationReport:
    """One operation of a counterexample: what was called and what it answered (None: it never came back).

    ``at`` is in virtual seconds; ``called`` and ``returned`` are positions in the order of calls and returns.
    """

    call: str
    answer: str | None
    client: int
    phase: str
    at: float
    called: int
    returned: int | None

    @classmethod
    def of(cls, operation: Operation) -> Self:
        """Tell of an operation."""
        return cls(
            call=str(operation.invocation),
            answer=None if operation.response is None else str(operation.response),
            client=operation.client,
            phase=operation.phase.value,
            at=operation.at,
            called=operation.called,
            returned=operation.returned,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterexampleReport:
    """The smallest failing execution: what was called, what came of it, and how to run it again.

    ``where`` is the ``file:line`` of the backend that it points to, "" unknown.
    """

    operations: tuple[OperationReport, ...]
    schedule: str
    expected: str
    observed: str
    replay: str
    switches: int = 0
    found_after: int = 1
    timeline: tuple[Moment, ...] = ()
    snippet: str | None = None
    engine: str = "tasks"
    note: str | None = None
    where: str = ""

    @classmethod
    def of(cls, counterexample: Counterexample, claims: Claims | None = None) -> Self:
        """Tell of a counterexample; its execution should be a replay, which has the moments.

        ``claims`` know where the operations of the backend are defined.
        """
        execution = counterexample.execution
        return cls(
            operations=tuple(OperationReport.of(operation) for operation in execution.history.operations),
            schedule=str(execution.schedule),
            expected=counterexample.violation.expected,
            observed=counterexample.violation.observed,
            replay=counterexample.token,
            switches=switches_in(execution.moments),
            found_after=counterexample.found_after,
            timeline=execution.moments,
            engine=counterexample.engine,
            note=counterexample.note,
            snippet=counterexample.snippet,
            where=place_of(counterexample, claims),
        )

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            **{
                **plain,
                "operations": tuple(OperationReport(**item) for item in plain["operations"]),
                "timeline": tuple(Moment(**item) for item in plain["timeline"]),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class InvariantReport:
    """What came of one invariant; only ``seconds`` differs between two runs with the same seed.

    ``cut_short``: a crash or a time-out ended its judging. ``waiver`` tells why a deviation is accepted, ``known``
    that the baseline has it too. ``pinned`` tells that the pinned catalogue does not have the invariant yet.
    """

    id: str
    family: str
    title: str
    level: Level
    status: Status
    known: bool = False
    pinned: bool = False
    audits: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    executions: int = 0
    exhausted: bool = False
    seconds: float = 0.0
    lacking: tuple[str, ...] = ()
    reason: str | None = None
    cut_short: bool = False
    waiver: str | None = None
    signature: str | None = None
    counterexample: CounterexampleReport | None = None

    def gates(self, level: Level) -> bool:
        """Tell whether this one counts: SHOULD ones do only where the level is ``should``."""
        counts = level == "should" or self.level == "must"
        return counts and not self.known and not self.pinned and self.status != "waived"

    def to_json(self) -> dict[str, Any]:
        """Answer plain values that `json` can write."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        found = plain["counterexample"]
        tuples = {name: tuple(plain[name]) for name in ("audits", "engines", "lacking")}
        return cls(
            **{
                **plain,
                **tuples,
                "counterexample": None if found is None else CounterexampleReport.from_json(found),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """When and where it ran; with ``seconds`` all that differs between two runs with the same seed."""

    started: str = ""
    duration: float = 0.0
    python: str = ""
    platform: str = ""
    plugin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What the run reached of one file: lines, branches, both in percent, and what no workload reached."""

    lines: int
    reached: int
    branches: int
    taken: int
    percent: float
    missing: tuple[str, ...] = ()


def coverage_of(files: Iterable[Coverage]) -> float:
    """Answer how many percent of the lines and branches of several files were reached; 0 where there are none."""
    every = tuple(files)
    whole = sum(one.lines + one.branches for one in every)
    return 100 * sum(one.reached + one.taken for one in every) / whole if whole else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of one target. ``policies`` are the declared ones that differ from their defaults."""

    target: str
    profile: str
    seed: int
    verdict: Overall
    counts: Mapping[Status, int]
    policies: Mapping[str, Any]
    operations: tuple[str, ...]
    invariants: tuple[InvariantReport, ...]
    schema: int = SCHEMA
    spec: str = SPEC
    error: str | None = None
    coverage: Mapping[str, Coverage] | None = None
    run: Run = dataclasses.field(default_factory=Run)

    def to_json(self) -> dict[str, Any]:
        """Answer plain values that `json` can write."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        measured = plain["coverage"]
        return cls(
            **{
                **plain,
                "operations": tuple(plain["operations"]),
                "invariants": tuple(InvariantReport.from_json(item) for item in plain["invariants"]),
                "coverage": None if measured is None else {name: _covered(one) for name, one in measured.items()},
                "run": Run(**plain["run"]),
            }
        )


def place_of(counterexample: Counterexample, claims: Claims | None) -> str:
    """Answer the ``file:line`` that a counterexample points to.

    It is where the backend raised, else where it last gave its turn away, else where the operation is defined.
    """
    at_fault, history = counterexample.violation.operation, counterexample.execution.history
    response = None if at_fault is None else at_fault.response
    if isinstance(response, Raised) and response.where:
        return response.where
    turns = [moment.where for moment in counterexample.execution.moments if moment.client > 0 and moment.where]
    if turns:
        return turns[-1]
    suspects = [*([] if at_fault is None else [at_fault]), *reversed(history.operations)]
    places = (form.where for one in suspects if claims for form in claims.operations.get(one.name, ()))
    return next((place for place in places if place), "")


def _covered(plain: Mapping[str, Any]) -> Coverage:
    return Coverage(**{**plain, "missing": tuple(plain["missing"])})


def counts_of(results: Iterable[InvariantReport]) -> dict[Status, int]:
    """Count the statuses, each of them, in their order."""
    found = [result.status for result in results]
    return {status: found.count(status) for status in STATUSES}


def verdict_of(results: Iterable[InvariantReport], level: Level, *, partial: bool = False) -> Overall:
    """Fold what gates: violates > inconclusive > partial > conforms; what judged nothing is inconclusive.

    ``partial`` tells that a part of the catalogue was left out: not selected, deselected, or never reached.
    """
    every = tuple(results)
    statuses = {result.status for result in every if result.gates(level)}
    if "violated" in statuses:
        return "violates"
    if "inconclusive" in statuses or judged_nothing(every):
        return "inconclusive"
    return "partial" if partial else "conforms"


def judged_nothing(results: Iterable[InvariantReport]) -> bool:
    """Tell whether no invariant applied, so that nothing is known of the target."""
    return all(result.status == "not-applicable" for result in results)


def switches_in(moments: Iterable[Moment]) -> int:
    """Count the changes of turn between the parallel clients, beyond those of one running after the other."""
    clients = [moment.client for moment in moments if moment.client > 0]
    changes = sum(1 for first, second in pairwise(clients) if first != second)
    return max(0, changes - max(0, len(set(clients)) - 1))
