"""The task engine: an asyncio backend on the controlled loop, its clients interleaved at every await."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_keyconform.engine.clock import real_perf_counter
from pytest_keyconform.engine.loop import ControlledLoop, Deadlock, Livelock, Stalled
from pytest_keyconform.engine.program import Program
from pytest_keyconform.engine.suspending import Suspending
from pytest_keyconform.execution import Execution
from pytest_keyconform.history import Blocked, Ending, Noise, NoiseKind
from pytest_keyconform.operation import Invocation, Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.delayed.loop import DelayedLoop
    from pytest_keyconform.engine.loop import Pending
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.workload import Step, Workload

CLIENT, MAIN = "client-", "main"  # the names of the tasks
STEPS_OF_A_CALL = 50  # of the loop, that a call may take in a long program for ten keys
STEPS_OF_A_SECOND = 4  # of the loop, that a pause may take: a worker of the backend's may wake up each second
TURNS = 30  # of the loop, in which a task that is cancelled ends
MAX_STEPS = 20_000  # of the loop, in one execution: far beyond any workload, a second of real time at most


class TaskRunner:
    """Runs workloads on a controlled loop; the scheduler chooses which ready task goes on."""

    name = "tasks"
    repeatable = True
    complete = True
    cost = 1
    kind = Program

    def __init__(
        self,
        target: Target,
        clock: VirtualClock,
        *,
        seed: int,
        leased: bool = False,
        max_steps: int = MAX_STEPS,
    ) -> None:
        """Judge a target on this clock; ``seed`` seeds `random` before each execution."""
        self._leased = leased
        self._target = target
        self._clock = clock
        self._seed = seed
        self._max_steps = max_steps

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:
        """Run one execution."""
        started = real_perf_counter()
        program = self.program(workload, observed=observed)
        program.outside |= not self.complete
        loop = self.loop()
        loop.max_steps += STEPS_OF_A_CALL * workload.extent
        loop.horizon += program.patience
        loop.ending = program.stop
        if observed:
            loop.observer = _observer(program)
        ending, blocked = Ending.FINISHED, tuple[Blocked, ...]()
        with program.listening():
            try:
                loop.run(self._main(program, loop), scheduler.choose)
            except (Deadlock, Livelock) as stuck:
                ending = Ending.DEADLOCK if isinstance(stuck, Deadlock) else Ending.LIVELOCK
                blocked = _blocked(program, stuck.pending)
            except Stalled as stalled:
                ending, blocked = Ending.STALLED, _blocked(program, stalled.pending)
            except GeneratorExit as left:  # a backend raised it: the loop's own closing of coroutines stays inside it
                if program.recorder is not None:
                    program.recorder.abandon(left)
        program.noise += [Noise(NoiseKind.UNRETRIEVED, program.keyring.redact(str(text))) for text in loop.noise]
        return Execution(
            workload=workload,
            schedule=scheduler.schedule(),
            history=program.history(ending, blocked=blocked),
            moments=tuple(program.moments),
            spelled=tuple(program.spelled),
            seconds=real_perf_counter() - started,
        )

    def program(self, workload: Workload, *, observed: bool) -> Program:
        """Make what is executed."""
        return self.kind(workload, self._target, self._clock, seed=self._seed, leased=self._leased, observed=observed)

    def loop(self) -> ControlledLoop | DelayedLoop:
        """Make the loop of one execution."""
        return ControlledLoop(self._clock, max_steps=self._max_steps)

    async def _census(self, program: Program, loop: ControlledLoop | DelayedLoop) -> tuple[int, int]:
        """Count the tasks and timers that are none of the harness' own, some turns later."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
        if not self.complete:
            program.interludes.let_end()
        names = [task.get_name() for task in asyncio.all_tasks(loop) if not task.done()]
        own = sum(name == MAIN or name.startswith(CLIENT) for name in names)
        return len(names) - own, loop.timers_of_others()

    async def _main(self, program: Program, loop: ControlledLoop | DelayedLoop) -> None:
        workload = program.workload
        program.census = lambda: self._census(program, loop)
        if not await program.open():
            return
        await self._steps(program, loop, workload.setup, phase=Phase.SETUP)
        if workload.clients:
            asked = await program.with_leases(workload)
            loop.exploring = True
            await self._together(program, loop, asked)
            loop.exploring = False
        await self._steps(program, loop, workload.finale, phase=Phase.FINALE)
        if isinstance(loop, ControlledLoop) and any(step.name == "advance" for _, _, step in workload.steps()):
            loop.note_dead()  # a worker, say, that was to go on
        await program.close()

    async def _together(
        self, program: Program, loop: ControlledLoop | DelayedLoop, asked: tuple[tuple[Step, ...], ...]
    ) -> None:
        clients = [
            loop.create_task(
                self._steps(program, loop, steps, client=number, phase=Phase.PARALLEL), name=f"{CLIENT}{number}"
            )
            for number, steps in enumerate(asked, start=1)
        ]
        await asyncio.wait(clients)
        for client in clients:
            client.result()

    async def _pause(self, seconds: float) -> None:
        """Let seconds pass; none: let others come first."""
        await asyncio.sleep(seconds)

    async def _steps(
        self,
        program: Program,
        loop: ControlledLoop | DelayedLoop,
        steps: tuple[Step, ...],
        *,
        phase: Phase,
        client: int = 0,
    ) -> None:
        for number, step in enumerate(steps):
            if number and phase is Phase.PARALLEL:
                await self._pause(0)  # between two calls a client does something else, so others may come first
            if step.name == "advance":
                program.note(client, "advance", str(step))
                await self._pass_time(program, loop, float(str(step.invocation.get("seconds"))))
            elif step.name == "set_clock":
                await self._set_clock(program, step, client=client)
            elif step.invocation.get("cancel") is not None:
                await self._cancelled(program, step, client=client, phase=phase)
            else:
                await program.perform(step, client=client, phase=phase)

    async def _pass_time(self, _program: Program, loop: ControlledLoop | DelayedLoop, seconds: float) -> None:
        loop.horizon += seconds
        loop.max_steps += STEPS_OF_A_SECOND * int(seconds)
        await self._pause(seconds)
        self._clock.readings -= 1  # that timer was the harness' own

    async def _set_clock(self, program: Program, step: Step, *, client: int) -> None:
        program.set_clock(step, client=client)

    async def _cancelled(self, program: Program, step: Step, *, client: int, phase: Phase) -> None:
        """Call an operation and cancel it after some suspensions, unless it answered before."""
        arguments = dict(step.invocation.arguments)
        suspensions = int(str(arguments.pop("cancel")))
        step = replace(step, invocation=Invocation(step.name, tuple(arguments.items())))
        reached = asyncio.Event()
        call = Suspending(program.perform(step, client=client, phase=phase), suspensions + 1, reached.set)
        task = asyncio.ensure_future(call)
        task.add_done_callback(lambda _: reached.set())
        await reached.wait()  # woken, it is ready like any other: the schedule may let others come first
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _observer(program: Program) -> Callable[[asyncio.Task[Any], str, str], None]:
    def observe(task: asyncio.Task[Any], where: str, line: str) -> None:
        name = task.get_name()
        if where and name.startswith(CLIENT):
            program.note(int(name.removeprefix(CLIENT)), "suspend", line, where)
        elif where:
            program.note(0 if name == MAIN else -1, "suspend", line, where)

    return observe


def _blocked(program: Program, pending: tuple[Pending, ...]) -> tuple[Blocked, ...]:
    calls = (
        {}
        if program.recorder is None
        else {op.client: str(op.invocation) for op in program.recorder.operations if op.pending}
    )
    found = []
    for one in pending:
        name = one.task
        client = int(name.removeprefix(CLIENT)) if name.startswith(CLIENT) else 0
        if client in calls:
            found.append(Blocked(client, calls[client], one.waits_for, one.where))
    return tuple(dict.fromkeys(found))
