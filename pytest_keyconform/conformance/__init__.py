"""The composition root: which invariants are judged, on what backend, and what came of it, as a report."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.conformance.investigate import BUDGETS, Examiner
from pytest_keyconform.conformance.pointing import pointed
from pytest_keyconform.conformance.replaying import replayed
from pytest_keyconform.conformance.scenarios.rule import ScenarioRule
from pytest_keyconform.conformance.scenarios.saving import save
from pytest_keyconform.conformance.sourcing import Sourcing
from pytest_keyconform.conformance.tokens import read as read_token
from pytest_keyconform.engine.abandoning import Abandoning
from pytest_keyconform.engine.clock import VirtualClock, real_perf_counter
from pytest_keyconform.engine.loop import NeedsRealLoop
from pytest_keyconform.engine.measuring import Gauge
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.survey import survey
from pytest_keyconform.engine.watchdog import TimedOut, Watchdog
from pytest_keyconform.errors import TokenError, WireError
from pytest_keyconform.machines import programs
from pytest_keyconform.report import (
    SCENARIO,
    CounterexampleReport,
    InvariantReport,
    Report,
    Status,
    counts_of,
    verdict_of,
)
from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.verdict import Conforms, Counterexample, Evidence, Inconclusive, NotApplicable, Verdict, Violates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.engine.survey import Backend
    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.spec.settings import Settings
    from pytest_keyconform.spec.target_setting import TargetSetting
    from pytest_keyconform.workload import Workload


UNSTARTED = "start comes before judge"
SHARES = (1, 10, 10, 60)  # of the time-out, after no, one, two and more invariants that ran into it


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report says of a target: the policies it declares, and the operations it has.

    ``launched``: a service was started for it, which is to be stopped.
    """

    policies: dict[str, object] = field(default_factory=dict)
    operations: tuple[str, ...] = ()
    launched: bool = False


class Conformance:
    """One target under the settings of a run. ``start`` first; each process of a run has one of its own.

    ``_programs`` are the generated ones, None until they are needed; ``_histories`` are theirs, as far as they were
    run: once for all invariants.
    """

    def __init__(
        self,
        settings: Settings,
        target: TargetSetting,
        extra: Sequence[type[Invariant]] = (),
        *,
        folder: Path | None = None,
    ) -> None:
        """Bind settings and target; nothing of the target is imported yet. ``folder`` is for what processes measure."""
        self.name = target.name
        self._settings = settings
        self._setting = target
        self._catalogue = (*CATALOGUE, *extra)
        self._clock = VirtualClock()
        self._target: Target | None = None
        self._backend: Backend | None = None
        self._sourcing: Sourcing | None = None  # once an invariant is about a source of limits
        self._programs: tuple[Workload, ...] | None = None
        self._histories: list[tuple[Workload, History]] = []
        self._gauge = Gauge(settings.cov, folder) if settings.cov else None
        self.timed_out = 0  # invariants that ran into the time-out so far

    def invariants(self) -> tuple[type[Invariant], ...]:
        """Answer the selected invariants, in the order of the catalogue; then the scenarios, which are asked for."""
        wanted = {*self._settings.select, *([SCENARIO.upper()] if self._settings.select else [])}
        return tuple(kind for kind in self._catalogue if not wanted or kind.id in wanted or kind.family() in wanted)

    def start(self) -> None:
        """Resolve the target and open it once; raises `UsageError` where that cannot be done."""
        roots = self._settings.search or (Path.cwd(),)
        said = self._setting.table()
        table = {self.name: said} if said else {}
        with self._measuring(), self._clock, Abandoning():
            self._target = resolve(self.name if table else self._setting.target, roots=roots, targets=table)
            self._clock.watch(self._target.modules())
            settings = self._settings
            self._backend = survey(self._target, self._clock, seed=settings.seed, seconds=settings.timeout)

    def end(self) -> None:
        """Let go of a target in another process, and stop the service that was started for it."""
        if self._target is not None and self._target.dialogue is not None:
            self._target.dialogue.end()

    def judge(self, id: str) -> InvariantReport:  # noqa: A002 - the word of the catalogue
        """Judge one invariant; whatever the backend does, an answer comes."""
        kind = next(kind for kind in self._catalogue if kind.id == id)
        started = real_perf_counter()
        if kind.general and self._programs is None and self._backend is not None:
            self._programs = self._drawn(self._backend.claims)  # not to be interrupted: it runs nothing of the backend
        with self._measuring():
            verdict = self._bounded(kind, lambda: self._examiner(kind).verdict(kind))
        result = told(kind, verdict, seconds=round(real_perf_counter() - started, 3), claims=self._claims())
        folder = self._settings.save_failures
        if folder is not None and isinstance(verdict, Violates) and not issubclass(kind, ScenarioRule):
            save(folder, self.name, result, verdict.counterexample.execution.workload)
        return result

    def replay(self, text: str) -> InvariantReport:
        """Run the one execution that a token leads to; raises `TokenError` where it leads to none."""
        token = read_token(text)
        kind = next((kind for kind in self._catalogue if kind.id == token.id), None)
        if kind is None:
            message = f"the replay token {text!r} is of {token.id}, which is no invariant of this catalogue"
            raise TokenError(message)
        started = real_perf_counter()
        verdict = self._bounded(kind, lambda: replayed(self._examiner(kind), kind, token))
        return told(kind, verdict, seconds=round(real_perf_counter() - started, 3), claims=self._claims())

    def measured(self) -> tuple[bytes, ...]:
        """Answer what was measured of the packages that are to be covered; nothing where none are."""
        return () if self._gauge is None else (self._gauge.data(),)

    def _measuring(self) -> AbstractContextManager[object]:
        return nullcontext() if self._gauge is None else self._gauge

    def facts(self) -> Facts:
        """Answer what is known of the target; nothing before `start`."""
        policies = Policies() if self._target is None else self._target.policies
        operations = () if self._backend is None else tuple(sorted(self._backend.operations))
        dialogue = None if self._target is None else self._target.dialogue
        return Facts(policies.declared(), operations, dialogue is not None and dialogue.launched is not None)

    def report(self, results: Iterable[InvariantReport], facts: Facts | None = None) -> Report:
        """Fold what came of the invariants; ``facts`` where another process opened the target."""
        found = pointed(tuple(results))
        facts = self.facts() if facts is None else facts
        return Report(
            target=self.name,
            profile=self._settings.profile,
            seed=self._settings.seed,
            verdict=verdict_of(found, self._settings.level, partial=len(found) < len(self._catalogue)),
            counts=counts_of(found),
            policies=facts.policies,
            operations=facts.operations,
            invariants=found,
        )

    def _bounded(self, kind: type[Invariant], judge: Callable[[], Verdict]) -> Verdict:
        """Judge within the time-out; once an invariant ran into it, the others get a tenth, and then a sixtieth.

        A backend that turns out to need a real event loop gets one, for this and all that comes after.
        """
        limit = self.limit()
        dog = Watchdog(limit)
        try:
            with self._clock:
                if self._target is not None:
                    self._clock.watch(self._target.modules())
                try:
                    with self._world(kind), dog:
                        return judge()
                except NeedsRealLoop:
                    self._backend = self._on_real_loop()
                    dog = Watchdog(limit)
                    with self._world(kind), dog:
                        return judge()
        except WireError as error:
            return Inconclusive(why=str(error), cut_short=True)
        except (Exception, TimedOut):
            if not dog.fired:
                raise
            self.timed_out += 1
            why = f"interrupted: a call did not end within {limit:g} s of real time"
            return Inconclusive(why=why, cut_short=True)

    def limit(self) -> float:
        """Answer how many seconds of real time the next invariant may take."""
        limit = self._settings.timeout
        return max(limit / SHARES[min(self.timed_out, len(SHARES) - 1)], min(1.0, limit))

    def _on_real_loop(self) -> Backend:
        if self._target is None:
            raise RuntimeError(UNSTARTED)
        settings = self._settings
        self._histories.clear()
        return survey(self._target, self._clock, seed=settings.seed, seconds=settings.timeout, real=True)

    def _claims(self) -> Claims | None:
        return None if self._backend is None else self._backend.claims

    def _world(self, kind: type[Invariant]) -> AbstractContextManager[object]:
        return nullcontext() if self._backend is None else self._reached(kind).world

    def _reached(self, kind: type[Invariant] | None) -> Backend:
        """Answer the backend on the engines that judge an invariant; None stands for the usual ones."""
        if self._backend is None or self._target is None:
            raise RuntimeError(UNSTARTED)
        if kind is None or not kind.sourced:
            return self._backend
        if self._sourcing is None:
            self._sourcing = Sourcing(self._backend, self._target, self._clock, seed=self._settings.seed)
        return self._sourcing.backend

    def _examiner(self, kind: type[Invariant] | None = None) -> Examiner:
        backend = self._reached(kind)
        if self._target is None:
            raise RuntimeError(UNSTARTED)
        return Examiner(
            backend=backend,
            target=self._target,
            policies=self._target.policies,
            budget=BUDGETS[self._settings.profile],
            seed=self._settings.seed,
            generated=self._generated,
            sourcing=self._sourcing,
        )

    def _drawn(self, claims: Claims) -> tuple[Workload, ...]:
        budget, policies = (
            BUDGETS[self._settings.profile],
            Policies() if self._target is None else self._target.policies,
        )
        return programs(claims, policies, seed=self._settings.seed, count=budget.programs, length=budget.length)

    def _generated(self) -> Sequence[tuple[Workload, History]]:
        """Answer the generated programs and their histories, run when they are first asked for."""
        runner = self._examiner().backend.usual
        for program in (self._programs or ())[len(self._histories) :]:
            scheduler = Bounded(last=0)
            scheduler.begin()
            self._histories.append((program, runner.run(program, scheduler).history))
        return self._histories


def told(kind: type[Invariant], verdict: Verdict, *, seconds: float, claims: Claims | None = None) -> InvariantReport:
    """Answer a verdict as it stands in a report; ``claims`` know where the operations are defined."""
    status: Status = "conforms"
    reason: str | None = None
    lacking: tuple[str, ...] = ()
    cut_short = False
    found: Counterexample | None = None
    evidence = Evidence()
    match verdict:
        case Conforms():
            evidence = verdict.evidence
        case Violates():
            status, found, evidence = "violated", verdict.counterexample, verdict.evidence
        case Inconclusive():
            status, reason, evidence = "inconclusive", verdict.why, verdict.evidence
            cut_short = verdict.cut_short
        case NotApplicable():
            status, reason, lacking = "not-applicable", verdict.why, verdict.lacking
        case _:
            assert_never(verdict)
    return InvariantReport(
        id=kind.id,
        family=kind.family(),
        title=kind.title(),
        level="must" if kind.level == "must" else "should",
        status=status,
        audits=kind.audits,
        engines=evidence.engines,
        executions=evidence.executions,
        exhausted=evidence.exhausted,
        seconds=seconds,
        lacking=lacking,
        reason=reason,
        cut_short=cut_short,
        signature=None if found is None else found.violation.signature,
        counterexample=None if found is None else CounterexampleReport.of(found, claims),
    )
