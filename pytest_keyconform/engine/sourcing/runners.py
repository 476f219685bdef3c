"""The engines for workloads with a source of limits: a real loop, or calls that take their real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.engine.clock import real_perf_counter
from pytest_keyconform.engine.delayed.runner import DelayedRunner
from pytest_keyconform.engine.driving import drive
from pytest_keyconform.engine.sourcing.program import SourcedProgram
from pytest_keyconform.engine.threads.runner import ThreadRunner
from pytest_keyconform.execution import Execution
from pytest_keyconform.history import Ending
from pytest_keyconform.limits_page import WITHOUT_ANSWER
from pytest_keyconform.operation import Phase

if TYPE_CHECKING:
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.workload import Workload


class SourcedOnLoop(DelayedRunner):
    """Runs asyncio backends: the answer of a source comes over a socket."""

    kind = SourcedProgram


class SourcedAtOnce(ThreadRunner):
    """Runs synchronous backends, one client a workload.

    Where the source withholds an answer nothing is controlled, since a thread that waits for a socket would keep its
    turn: threads and their waits are real, and only the clock is not.
    """

    kind = SourcedProgram

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:
        """Run one execution."""
        if not withholds(workload):
            return super().run(workload, scheduler, observed=observed)
        started = real_perf_counter()
        program = self.program(workload, observed=observed)
        with program.listening():
            if drive(program.open()):
                for phase, steps in ((Phase.SETUP, workload.setup), (Phase.FINALE, workload.finale)):
                    for step in steps:
                        if step.name == "advance":
                            self._clock.advance(float(str(step.invocation.get("seconds"))))
                        else:
                            drive(program.perform(step, client=0, phase=phase))
                drive(program.close())
            program.stop()
        return Execution(
            workload=workload,
            schedule=scheduler.schedule(),
            history=program.history(Ending.FINISHED),
            moments=tuple(program.moments),
            seconds=real_perf_counter() - started,
        )


def withholds(workload: Workload) -> bool:
    """Tell whether the source of a workload takes requests and does not answer them, at any time."""
    states = {step.invocation.get("state") for _, _, step in workload.steps() if step.name == "source"}
    states |= {None if workload.given.source is None else workload.given.source.state}
    return not states.isdisjoint(WITHOUT_ANSWER)
