"""The thread engine: a synchronous backend, its clients real threads that are interleaved at visible instructions."""

from __future__ import annotations

import linecache
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_keyconform.engine.clock import real_perf_counter
from pytest_keyconform.engine.driving import drive
from pytest_keyconform.engine.program import Program
from pytest_keyconform.engine.simulated.sqlite import SharedStore, controlled
from pytest_keyconform.engine.threads.turns import MAIN, Ended
from pytest_keyconform.engine.threads.visible import is_backend
from pytest_keyconform.engine.threads.world import MAX_POINTS, ThreadWorld
from pytest_keyconform.execution import Execution
from pytest_keyconform.history import Blocked, Ending, Noise, NoiseKind
from pytest_keyconform.operation import Phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import FrameType

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.engine.threads.standing import Controlled
    from pytest_keyconform.engine.threads.turns import Turns
    from pytest_keyconform.workload import Step, Workload

POINTS_OF_A_CALL = 50  # that a call may take in a long program for ten keys: a lock for each is taken and given back
ENDINGS = {"deadlock": Ending.DEADLOCK, "livelock": Ending.LIVELOCK}


class ThreadRunner:
    """Runs workloads with one thread for each client; the scheduler chooses whose turn it is.

    ``preempt``: at every visible instruction; else only between calls and where a thread has to wait, which is what
    the sequential engine does. Locks, threads and time of the backend are controlled either way.
    """

    repeatable = True
    complete = True
    kind = Program

    def __init__(  # noqa: PLR0913 - as every runner, and what is this one's own
        self,
        target: Target,
        clock: VirtualClock,
        *,
        seed: int,
        world: ThreadWorld,
        leased: bool = False,
        preempt: bool = True,
        max_points: int = MAX_POINTS,
    ) -> None:
        """Judge a target on this clock; it is quicker inside of ``world``, which is entered where it is not."""
        self.name = "threads" if preempt else "sequential"
        self.cost = 3 if preempt else 1
        self._preempt = preempt
        self._target = target
        self._clock = clock
        self._seed = seed
        self._world = world
        self._leased = leased
        self._max_points = max_points

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:
        """Run one execution."""
        with self._world:
            return self._run(workload, scheduler, observed=observed)

    def _run(self, workload: Workload, scheduler: Scheduler, *, observed: bool) -> Execution:
        started = real_perf_counter()
        program = self.program(workload, observed=observed)
        with program.listening(), self._turns(scheduler, workload) as turns, _store(program, turns):
            program.pass_time = turns.advance
            turns.allow(program.patience)
            if observed:
                turns.switched = _observer(program)
            with suppress(Ended):
                self._all(program, turns)
            program.stop()
            blocked = blocked_in(program, turns)
        program.noise += [Noise(NoiseKind.THREAD_DIED, f"{name} could not be ended") for name in turns.leaked]
        standstill = turns.standstill
        return Execution(
            workload=workload,
            schedule=scheduler.schedule(),
            history=program.history(ENDINGS[standstill.kind] if standstill else Ending.FINISHED, blocked=blocked),
            moments=tuple(program.moments),
            spelled=tuple(program.spelled),
            seconds=real_perf_counter() - started,
            overlapped=turns.overlapped if self._preempt and len(workload.clients) > 1 else None,
        )

    def program(self, workload: Workload, *, observed: bool) -> Program:
        """Make what is executed."""
        return self.kind(workload, self._target, self._clock, seed=self._seed, leased=self._leased, observed=observed)

    def _turns(self, scheduler: Scheduler, workload: Workload) -> AbstractContextManager[Turns]:
        most = self._max_points + POINTS_OF_A_CALL * workload.extent
        return self._world.turns(scheduler.choose, preempt=self._preempt, max_points=most)

    def _all(self, program: Program, turns: Turns) -> None:
        workload = program.workload
        if not drive(program.open()):
            return
        self._steps(program, turns, workload.setup, phase=Phase.SETUP)
        if workload.clients:
            asked = drive(program.with_leases(workload))
            bodies = [self._client(program, turns, steps, number) for number, steps in enumerate(asked, start=1)]
            self._world.run(turns, bodies, [f"client-{number}" for number in range(1, len(bodies) + 1)])
        self._steps(program, turns, workload.finale, phase=Phase.FINALE)
        drive(program.close())

    def _client(self, program: Program, turns: Turns, steps: tuple[Step, ...], number: int) -> Callable[[], None]:
        def body() -> None:
            for place, step in enumerate(steps):
                if place:
                    turns.begin()
                self._steps(program, turns, (step,), phase=Phase.PARALLEL, client=number)

        return body

    def _steps(self, program: Program, turns: Turns, steps: tuple[Step, ...], *, phase: Phase, client: int = 0) -> None:
        for step in steps:
            if step.name == "advance":
                program.note(client, "advance", str(step))
                turns.advance(float(str(step.invocation.get("seconds"))))
            elif step.name == "set_clock":
                program.set_clock(step, client=client)
            else:
                drive(program.perform(step, client=client, phase=phase))


def _store(program: Program, turns: Turns) -> AbstractContextManager[None]:
    """Control the connections of clients that overlap, unless something else is done to all connections."""
    taken = program.interludes.faults is not None or program.scales.counts_statements
    return nullcontext() if taken or len(program.workload.clients) < 2 else controlled(SharedStore(turns).current)  # noqa: PLR2004


def _observer(program: Program) -> Callable[[Controlled], None]:
    def observe(thread: Controlled) -> None:
        where, line = place(sys._getframe(1))  # noqa: SLF001 - the frames of who gives its turn away
        if where and thread.number != MAIN:
            number = int(thread.name.removeprefix("client-")) if thread.name.startswith("client-") else -1
            program.note(number, "suspend", line, where)

    return observe


def blocked_in(program: Program, turns: Turns) -> tuple[Blocked, ...]:
    """Answer which clients never finished: what they had called, what each waits for, and where; while they stand."""
    if turns.standstill is None or program.recorder is None:
        return ()
    calls = {op.client: str(op.invocation) for op in program.recorder.operations if op.pending}
    frames = sys._current_frames()  # noqa: SLF001 - the only way to see where the others stand
    found = []
    for thread in turns.standstill.threads:
        client = int(thread.name.removeprefix("client-")) if thread.name.startswith("client-") else 0
        if client in calls:
            frame = frames.get(thread.ident)
            where = "" if frame is None else place(frame)[0]
            found.append(Blocked(client, calls[client], turns.standstill.told[thread.number], where))
    return tuple(found)


def place(frame: FrameType | None) -> tuple[str, str]:
    """Answer the ``file:line`` of the innermost frame of the backend, and its source line; empty: there is none."""
    while frame is not None and not is_backend(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return "", ""
    name, line = frame.f_code.co_filename, frame.f_lineno
    with suppress(ValueError):  # elsewhere than below the working directory
        return f"{Path(name).relative_to(Path.cwd())}:{line}", linecache.getline(name, line).strip()
    return f"{name}:{line}", linecache.getline(name, line).strip()
