"""A user's coroutines on the controlled loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pytest_keyconform.engine.loop import ControlledLoop, Deadlock, Livelock
from pytest_keyconform.engine.open.program import NO_STATE, Outcome
from pytest_keyconform.execution import Moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.open.program import UserProgram
    from pytest_keyconform.engine.search import Scheduler

CLIENT = "client-"


class TaskPrograms:
    """Runs programs of coroutine functions; raises `NeedsRealLoop` for what only a real event loop can do."""

    name = "tasks"

    def __init__(self, clock: VirtualClock, *, max_steps: int) -> None:
        """Run them on this clock."""
        self._clock = clock
        self._max_steps = max_steps

    def run(self, program: UserProgram, scheduler: Scheduler, *, observed: bool = False) -> Outcome:
        """Run one execution."""
        self._clock.reset()
        loop = ControlledLoop(self._clock, max_steps=self._max_steps)
        moments: list[Moment] = []
        if observed:
            loop.observer = _observer(moments)
        tasks: list[asyncio.Task[object]] = []
        stuck, state = None, NO_STATE

        async def main() -> None:
            nonlocal state
            with program.state() as made:
                state = await made if asyncio.iscoroutine(made) else made
                arguments = program.arguments(state)
                loop.exploring = True
                for number, operation in enumerate(program.operations, start=1):
                    coroutine = operation(*arguments)
                    tasks.append(loop.create_task(coroutine, name=f"{CLIENT}{number}"))
                    if observed:
                        tasks[-1].add_done_callback(_ended(moments, number))
                        moments.append(Moment(number, "call", f"{program.named(number)}()"))
                await asyncio.wait(tasks)
                loop.exploring = False

        try:
            loop.run(main(), scheduler.choose)
        except (Deadlock, Livelock) as error:
            who = "; ".join(str(one) for one in error.pending if one.task.startswith(CLIENT))
            stuck = f"{type(error).__name__.lower()}: {who}"
        done = [task for task in tasks if task.done() and not task.cancelled()]
        return Outcome(
            state=state,
            results=tuple(task.result() if task in done and task.exception() is None else None for task in tasks),
            errors=tuple(task.exception() if task in done else None for task in tasks),
            schedule=scheduler.schedule(),
            stuck=stuck,
            moments=tuple(moments),
        )


def _observer(moments: list[Moment]) -> Callable[[asyncio.Task[object], str, str], None]:
    def observe(task: asyncio.Task[object], where: str, line: str) -> None:
        if where and task.get_name().startswith(CLIENT):
            moments.append(Moment(int(task.get_name().removeprefix(CLIENT)), "suspend", line, where))

    return observe


def _ended(moments: list[Moment], number: int) -> Callable[[asyncio.Task[object]], None]:
    def ended(task: asyncio.Task[object]) -> None:
        error = None if task.cancelled() else task.exception()
        if not task.cancelled():
            moments.append(Moment(number, "return", f"raised {error!r}" if error else repr(task.result())))

    return ended
