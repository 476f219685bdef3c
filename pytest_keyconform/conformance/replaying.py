"""Running the one execution that a replay token leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.fitting import Misfit, fit
from pytest_keyconform.conformance.confirming import IN_REAL_TIME, TRIES
from pytest_keyconform.conformance.snippet import snippet
from pytest_keyconform.engine.explore import Found, Judgement, Unjudged
from pytest_keyconform.engine.shrink import again
from pytest_keyconform.errors import TokenError
from pytest_keyconform.judging import judge_of
from pytest_keyconform.machines import pool_given
from pytest_keyconform.verdict import Conforms, Counterexample, Evidence, Inconclusive, Verdict, Violates, Violation
from pytest_keyconform.workload import Workload

if TYPE_CHECKING:
    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.conformance.investigate import Examiner
    from pytest_keyconform.conformance.tokens import Token
    from pytest_keyconform.engine.explore import Judge, Runner
    from pytest_keyconform.execution import Execution


def replayed(examiner: Examiner, kind: type[Invariant], token: Token) -> Verdict:
    """Run it and judge it; raises `TokenError` where the token does not fit this backend."""
    runner = examiner.backend.runners.get(token.engine)
    if runner is None:
        engines = " and ".join(sorted(examiner.backend.runners))
        message = (
            f"the replay token is of the engine {token.engine}, this target is judged on {engines}; judge it again"
        )
        raise TokenError(message)
    rule = kind(examiner.policies, examiner.backend.claims)
    program = _program(examiner, rule, token)
    execution, judgement, ran = _run(runner, program, token, judge_of(rule))
    evidence = Evidence(engines=(runner.name,), executions=ran, seconds=0.0)
    if judgement is None:
        return Conforms(evidence=evidence)
    if isinstance(judgement, Unjudged):
        return Inconclusive(why=judgement.why, cut_short=judgement.cut_short, evidence=evidence)
    found = Counterexample(
        violation=judgement,
        execution=execution,
        token=str(token),
        engine=runner.name,
        found_after=1,
        note=None if runner.repeatable else IN_REAL_TIME,
        snippet=snippet(examiner.target, runner, Found(execution, judgement), rule, seed=examiner.seed),
    )
    return Violates(counterexample=found, evidence=evidence)


def _run(runner: Runner, program: Workload, token: Token, judge: Judge) -> tuple[Execution, Judgement, int]:
    """Run the schedule, some times over where an engine cannot repeat it, until the judge objects."""
    tries = 1 if runner.repeatable else TRIES
    for ran in range(1, tries + 1):
        execution = again(runner, program, token.schedule)
        judgement = judge(execution.history)
        if isinstance(judgement, Violation) or ran == tries:
            break
    return execution, judgement, ran


def _program(examiner: Examiner, rule: Invariant, token: Token) -> Workload:
    claims = examiner.backend.claims
    if not isinstance(token.program, str):
        workload = Workload(name="generated", given=pool_given(claims), setup=token.program)
    else:
        named = {workload.name: workload for workload in rule.workloads()}
        if token.program not in named:
            message = f"the replay token names no workload of {rule.id}: {token.program!r}; judge again"
            raise TokenError(message)
        workload = named[token.program]
    fitted = fit(workload, claims)
    if isinstance(fitted, Misfit):
        message = f"the replay token does not fit this target: {fitted.why}; judge it again"
        raise TokenError(message)
    return fitted.without(token.dropped)
