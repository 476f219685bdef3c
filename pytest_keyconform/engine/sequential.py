"""The sequential engine: a synchronous backend, whole calls in every order; no event loop, no second thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_keyconform.engine.clock import real_perf_counter
from pytest_keyconform.engine.program import Program
from pytest_keyconform.execution import Execution
from pytest_keyconform.history import Ending
from pytest_keyconform.operation import Phase

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.workload import Step, Workload


class SequentialRunner:
    """Runs workloads call by call; the scheduler chooses whose call is next, so calls never overlap."""

    name = "sequential"
    repeatable = True
    cost = 1

    def __init__(self, target: Target, clock: VirtualClock, *, seed: int, leased: bool = False) -> None:
        """Judge a target on this clock; ``seed`` seeds `random` before each execution."""
        self._leased = leased
        self._target = target
        self._clock = clock
        self._seed = seed

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:
        """Run one execution."""
        started = real_perf_counter()
        program = Program(workload, self._target, self._clock, seed=self._seed, leased=self._leased, observed=observed)
        with program.listening():
            if drive(program.open()):
                self._steps(program, workload.setup, phase=Phase.SETUP)
                self._clients(program, workload, scheduler)
                self._steps(program, workload.finale, phase=Phase.FINALE)
                drive(program.close())
        return Execution(
            workload=workload,
            schedule=scheduler.schedule(),
            history=program.history(Ending.FINISHED),
            moments=tuple(program.moments),
            seconds=real_perf_counter() - started,
        )

    def _clients(self, program: Program, workload: Workload, scheduler: Scheduler) -> None:
        waiting = {number: list(steps) for number, steps in enumerate(drive(program.with_leases(workload)), start=1)}
        current: int | None = None
        while waiting:
            ready = list(waiting)
            last = ready.index(current) if current in waiting else None
            current = ready[scheduler.choose(ready, last) if len(ready) > 1 else 0]
            self._steps(program, (waiting[current].pop(0),), client=current, phase=Phase.PARALLEL)
            if not waiting[current]:
                del waiting[current]

    def _steps(self, program: Program, steps: tuple[Step, ...], *, phase: Phase, client: int = 0) -> None:
        for step in steps:
            if step.name == "advance":
                program.note(client, "advance", str(step))
                self._clock.advance(float(str(step.invocation.get("seconds"))))
            else:
                drive(program.perform(step, client=client, phase=phase))


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine answers
    """Run a coroutine that need not suspend; where it does, that is the backend's fault and raised into it."""
    try:
        coroutine.send(None)
        for _ in range(100):
            coroutine.throw(RuntimeError("a synchronous backend answered an awaitable that needs an event loop"))
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    message = "a coroutine of the backend cannot be ended"
    raise RuntimeError(message)
