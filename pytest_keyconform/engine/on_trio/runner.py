"""The delayed task engine on trio: workloads on backends that are written for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_keyconform.engine.on_trio.turns import Turns, stepwise, tasks_below, trio
from pytest_keyconform.engine.suspending import Suspending
from pytest_keyconform.engine.tasks import CLIENT, TURNS, TaskRunner
from pytest_keyconform.operation import Invocation, Phase

if TYPE_CHECKING:
    from pytest_keyconform.engine.program import Program
    from pytest_keyconform.workload import Step


class TrioRunner(TaskRunner):
    """Runs workloads on trio; the scheduler chooses which client goes on, at each of its checkpoints.

    Tasks that a backend starts by itself go on as they are, so that no order of them is said to be the last.
    """

    name = "delayed-tasks"
    complete = False
    cost = 4

    def loop(self) -> Any:  # noqa: ANN401 - what stands for a loop here
        """Make what runs one execution."""
        return Turns(self._clock, max_steps=self._max_steps)

    async def _pause(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def _together(self, program: Program, loop: Any, asked: tuple[tuple[Step, ...], ...]) -> None:  # noqa: ANN401
        async with trio.open_nursery() as nursery:
            for number, steps in enumerate(asked, start=1):
                client = self._steps(program, loop, steps, client=number, phase=Phase.PARALLEL)
                nursery.start_soon(loop.client, number, f"{CLIENT}{number}", client)

    async def _census(self, _program: Program, loop: Any) -> tuple[int, int]:  # noqa: ANN401 - as of any loop
        """Count the tasks of the backend, some turns later; timers are those of tasks."""
        for _ in range(TURNS):
            await trio.sleep(0)
        return len(tasks_below(loop.main)) - 1, 0

    async def _cancelled(self, program: Program, step: Step, *, client: int, phase: Phase) -> None:
        """Call an operation and cancel it after some suspensions, unless it answered before."""
        arguments = dict(step.invocation.arguments)
        suspensions = int(str(arguments.pop("cancel")))
        step = replace(step, invocation=Invocation(step.name, tuple(arguments.items())))
        with trio.CancelScope() as scope:
            call = Suspending(program.perform(step, client=client, phase=phase), suspensions + 1, scope.cancel)
            await stepwise(call, lambda: iter(()))
