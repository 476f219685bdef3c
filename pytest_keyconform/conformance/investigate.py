"""Judging one invariant: its workloads on the engine that fits, generated programs, and the smallest counterexample."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.fitting import Misfit, fit, inapplicable
from pytest_keyconform.conformance.confirming import confirmed
from pytest_keyconform.conformance.snippet import snippet
from pytest_keyconform.conformance.tokens import Token
from pytest_keyconform.engine.explore import Exploration, Found, Unjudged, explore
from pytest_keyconform.engine.search.portfolio import Portfolio
from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.execution import Execution
from pytest_keyconform.judging import judge_of
from pytest_keyconform.schedule import Schedule
from pytest_keyconform.verdict import (
    Conforms,
    Counterexample,
    Evidence,
    Inconclusive,
    NotApplicable,
    Verdict,
    Violates,
    Violation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.conformance.sourcing import Sourcing
    from pytest_keyconform.engine.explore import Runner
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.engine.survey import Backend
    from pytest_keyconform.history import History
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a profile spends.

    ``executions`` is for each workload with parallel clients, ``together`` for all those of an invariant, ``least`` for
    each however many there are; ``programs`` are generated, of ``length`` steps.
    """

    least: int
    executions: int
    together: int
    programs: int
    length: int


PACED = 3  # executions of a workload whose pauses bring its calls into an order
BUDGETS = {
    "smoke": Budget(least=3, executions=20, together=400, programs=10, length=12),
    "ci": Budget(least=8, executions=120, together=2400, programs=40, length=15),
    "deep": Budget(least=50, executions=3000, together=60_000, programs=500, length=25),
}


STILL = "its clock cannot be moved: its hello does not say that it can be told the time"


@dataclass(slots=True)
class Investigation:
    """What is known so far of one invariant. ``overlapped`` as in `Exploration`, over all workloads."""

    executions: int = 0
    spent: int = 0
    judged: int = 0
    exhausted: bool = True
    overlapped: bool | None = None
    engines: list[str] = field(default_factory=list)
    unjudged: list[Unjudged] = field(default_factory=list)
    misfits: list[Misfit] = field(default_factory=list)

    def add(self, exploration: Exploration, runner: Runner, *, exhausting: bool) -> None:
        """Count an exploration; ``exhausting`` tells that its workload has orders to exhaust."""
        self.executions += exploration.executions
        self.spent += exploration.executions * runner.cost
        self.judged += exploration.judged
        self.exhausted &= exploration.exhausted or not exhausting
        self.unjudged += [one for one in exploration.unjudged if one not in self.unjudged]
        self.engines += [runner.name] if runner.name not in self.engines else []
        if exploration.overlapped is not None:
            self.overlapped = exploration.overlapped or bool(self.overlapped)

    def evidence(self) -> Evidence:
        """Answer what was run."""
        return Evidence(engines=tuple(self.engines), executions=self.executions, exhausted=self.exhausted)


@dataclass(frozen=True, slots=True)
class Examiner:
    """Judges invariants of one backend under one budget.

    ``generated`` answers the histories of the generated programs, run once for all invariants. ``sourcing`` is there
    for an invariant about a source of limits.
    """

    backend: Backend
    target: Target
    policies: Policies
    budget: Budget
    seed: int
    generated: Callable[[], Sequence[tuple[Workload, History]]]
    sourcing: Sourcing | None = None

    def verdict(self, kind: type[Invariant]) -> Verdict:
        """Judge one invariant."""
        misfit = inapplicable(kind, self.policies, self.backend.claims)
        if misfit is not None:
            return NotApplicable(why=misfit.why, lacking=tuple(filter(None, misfit.lacking.split("|"))))
        if kind.sourced and self.sourcing is not None and self.sourcing.unused is not None:
            return self.sourcing.unused
        rule = kind(self.policies, self.backend.claims)
        state = Investigation()
        planned = self._planned(rule, state)
        parallel = sum(len(workload.clients) > 1 for workload, _ in planned)
        waiting = sum(len(workload.clients) > 1 and not workload.paced for workload, _ in planned)
        for workload, runner in planned:
            # What small workloads leave over is for those after them.
            share = (self.budget.together - state.spent) // max(1, waiting)
            waiting -= len(workload.clients) > 1 and not workload.paced
            most = self.budget.executions * (runner.cost if runner.name == "threads" else 1)
            budget = min(most, max(self.budget.least, share))
            broken = self._explore(rule, workload, runner, state, budget)
            if broken is not None:
                return self._violates(rule, workload, runner, broken, state)
        if not state.executions and state.unjudged:
            return Inconclusive(why=state.unjudged[0].why, cut_short=state.unjudged[0].cut_short)
        if not state.executions:
            return _lacking(state.misfits)
        return self._generated(rule, state) or self._settled(rule, state, overlapping=parallel > 0)

    def _planned(self, rule: Invariant, state: Investigation) -> list[tuple[Workload, Runner]]:
        """Answer the workloads that fit the backend, each with the engines that run it."""
        planned = []
        for workload in rule.workloads():
            fitted = fit(workload, self.backend.claims)
            if isinstance(fitted, Misfit):
                state.misfits.append(fitted)
                continue
            if self._stands_still(fitted):
                state.unjudged.append(Unjudged(STILL, mild=not rule.timed))
                continue
            runners = self.backend.fitting(fitted, rule.engines, overlap=rule.overlap)
            if not runners:
                state.unjudged.append(Unjudged(f"no engine can run its workload {fitted.name} on this backend"))
            planned += [(fitted, runner) for runner in runners]
        return planned

    def _stands_still(self, workload: Workload) -> bool:
        """Tell whether a workload lets time pass, and the backend would not notice."""
        jumps = ("advance", "set_clock")
        return not self.backend.clocked and any(step.name in jumps for _, _, step in workload.steps())

    def _explore(
        self, rule: Invariant, workload: Workload, runner: Runner, state: Investigation, budget: int
    ) -> Found | None:
        parallel = len(workload.clients) > 1 or workload.apart
        slow = not runner.repeatable and any(step.name == "advance" for _, _, step in workload.steps())
        budget = max(1, budget // runner.cost) if (parallel or not runner.repeatable) and not slow else 1
        budget = min(budget, PACED) if workload.paced else budget
        exploration = explore(runner, workload, self._search(rule, runner, budget), judge_of(rule), budget=budget)
        state.add(exploration, runner, exhausting=parallel)
        return exploration.found

    def _search(self, rule: Invariant, runner: Runner, budget: int) -> Scheduler:
        if runner.name == "threads":  # a call has so many choice points that two switches amid it are seldom reached
            return Portfolio(seed=self.seed, budget=budget, long=True, tails=rule.family() == "LIVE")
        return Portfolio(seed=self.seed, budget=budget) if runner.repeatable else RandomWalk(self.seed)

    def _generated(self, rule: Invariant, state: Investigation) -> Verdict | None:
        if not rule.general:
            return None
        judge = judge_of(rule)
        for workload, history in self.generated():
            judgement = judge(history)
            state.executions += 1
            if isinstance(judgement, Violation):
                execution = Execution(workload=workload, schedule=Schedule(), history=history)
                return self._violates(rule, workload, self.backend.usual, Found(execution, judgement), state)
            if not isinstance(judgement, Unjudged):
                state.judged += 1
        return None

    def _violates(
        self, rule: Invariant, workload: Workload, runner: Runner, found: Found, state: Investigation
    ) -> Verdict:
        shown = confirmed(runner, workload, found, judge_of(rule))
        generated = workload.name == "generated"
        token = Token(
            id=rule.id,
            engine=runner.name,
            program=workload.without(shown.dropped).setup if generated else workload.name,
            dropped=frozenset() if generated else shown.dropped,
            schedule=shown.found.execution.schedule,
            seed=self.seed,
        )
        return Violates(
            counterexample=Counterexample(
                violation=shown.found.violation,
                execution=shown.found.execution,
                token=str(token),
                engine=runner.name,
                found_after=state.executions,
                note=shown.note,
                snippet=snippet(self.target, runner, shown.found, rule, seed=self.seed),
            ),
            evidence=state.evidence(),
        )

    def _settled(self, rule: Invariant, state: Investigation, *, overlapping: bool) -> Verdict:
        evidence = state.evidence()
        grave = [one for one in state.unjudged if not one.mild]
        if grave:
            crashed = next((one for one in grave if one.cut_short), grave[0])
            return Inconclusive(why=crashed.why, cut_short=crashed.cut_short, evidence=evidence)
        if not state.judged:
            return _unexercised(state, evidence)
        if rule.overlap and overlapping and (state.overlapped is False or state.engines == ["sequential"]):
            why = (
                "whole calls in every order keep the promise, but it is about calls that overlap: no two clients ever "
            )
            return Inconclusive(why=f"{why}both stood at a choice point", evidence=evidence)
        return Conforms(evidence=evidence)


def _unexercised(state: Investigation, evidence: Evidence) -> Verdict:
    """Say why nothing was judged: what turned out to be lacking, or what never came about."""
    lacking = [one.lacking for one in state.unjudged if one.lacking]
    if lacking:
        return NotApplicable(why=state.unjudged[0].why, lacking=tuple(dict.fromkeys(lacking)))
    why = state.unjudged[0].why if state.unjudged else "no execution could be judged"
    return Inconclusive(why=why, evidence=evidence)


def _lacking(misfits: Sequence[Misfit]) -> NotApplicable:
    names = dict.fromkeys(misfit.lacking for misfit in misfits if misfit.lacking)
    why = "; ".join(dict.fromkeys(misfit.why for misfit in misfits)) or "no workload of it fits this backend"
    return NotApplicable(why=why, lacking=tuple(names))
