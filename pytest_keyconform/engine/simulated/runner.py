"""The engine of simulated processes: each client an instance of its own over one storage, in one interpreter."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_keyconform.engine.clock import real_perf_counter
from pytest_keyconform.engine.program import Program
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.simulated.instances import Instance, Store
from pytest_keyconform.engine.simulated.sqlite import Crashed, controlled
from pytest_keyconform.engine.threads.runner import ENDINGS, blocked_in
from pytest_keyconform.engine.threads.turns import Ended
from pytest_keyconform.engine.threads.world import MAX_POINTS, ThreadWorld
from pytest_keyconform.engine.watchdog import Watchdog
from pytest_keyconform.execution import Execution
from pytest_keyconform.history import Ending
from pytest_keyconform.operation import Answered, Invocation, Phase
from pytest_keyconform.workload import Given, Step, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.search import Scheduler

PROBE = 5.0  # seconds of real time that opening it twice may take
OPEN = Step(invocation=Invocation("open"))


class SimulatedRunner:
    """Runs workloads whose clients are ``apart``; the scheduler chooses whose store command is next.

    For backends whose store is SQLite, reached by `sqlite3` in the calling thread: `controls` tells.
    """

    name = "simulated-processes"
    repeatable = True
    complete = True
    cost = 2

    def __init__(
        self,
        target: Target,
        clock: VirtualClock,
        *,
        seed: int,
        world: ThreadWorld,
        is_async: bool,
        leased: bool = False,
    ) -> None:
        """Judge a target on this clock, in this world; ``is_async``: its operations are coroutines."""
        self._target = target
        self._clock = clock
        self._seed = seed
        self._world = world
        self._is_async = is_async
        self._leased = leased
        self.commands = 0  # that were issued in the last execution

    def controls(self) -> bool:
        """Tell whether the backend's store is one whose commands are choice points: found out by opening it twice."""
        scheduler = Bounded(last=0)
        scheduler.begin()
        try:
            with Watchdog(PROBE):
                execution = self.run(Workload(name="probe", given=Given(), apart=True), scheduler)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException:  # noqa: BLE001 - whatever it is, such a backend is left to real processes
            return False
        return self.commands > 0 and execution.history.ending is Ending.FINISHED

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:
        """Run one execution."""
        started = real_perf_counter()
        program = Program(workload, self._target, self._clock, seed=self._seed, leased=self._leased, observed=observed)
        with (
            self._world,
            program.listening(),
            self._world.turns(scheduler.choose, preempt=False, max_points=MAX_POINTS) as turns,
        ):
            store = Store(turns)
            with controlled(store.current):
                with suppress(Ended):
                    self._all(program, store)
                program.stop()
            blocked = blocked_in(program, turns)
        self.commands = store.issued
        standstill = turns.standstill
        return Execution(
            workload=workload,
            schedule=scheduler.schedule(),
            history=program.history(ENDINGS[standstill.kind] if standstill else Ending.FINISHED, blocked=blocked),
            moments=tuple(program.moments),
            seconds=real_perf_counter() - started,
            overlapped=turns.overlapped if len(workload.clients) > 1 else None,
        )

    def _all(self, program: Program, store: Store) -> None:
        workload = program.workload
        first: Instance | None = Instance(program, store, is_async=self._is_async)
        if first is None or not first.run(program.open()) or program.opened is None:
            return
        first.adopt(program.opened)
        first = self._steps(program, store, first, workload.setup, phase=Phase.SETUP)
        if first is not None:
            first.close()
        bodies = [self._client(program, store, steps, number) for number, steps in enumerate(workload.clients, start=1)]
        if bodies:
            self._world.run(store.turns, bodies, [f"client-{number}" for number in range(1, len(bodies) + 1)])
        last = self._fresh(program, store, OPEN, client=0, phase=Phase.FINALE)
        last = self._steps(program, store, last, workload.finale, phase=Phase.FINALE)
        if last is not None:
            last.close()

    def _steps(
        self, program: Program, store: Store, instance: Instance | None, steps: tuple[Step, ...], *, phase: Phase
    ) -> Instance | None:
        for step in steps:
            if instance is not None:
                instance = self._step(program, store, instance, step, phase=phase, client=0)
        return instance

    def _client(self, program: Program, store: Store, steps: tuple[Step, ...], number: int) -> Callable[[], None]:
        def body() -> None:
            instance = self._fresh(program, store, OPEN, client=number, phase=Phase.PARALLEL)
            for step in steps:
                if instance is not None:
                    store.turns.begin()
                    instance = self._step(program, store, instance, step, phase=Phase.PARALLEL, client=number)
            if instance is not None:
                store.turns.begin()
                instance.close()

        return body

    def _step(
        self, program: Program, store: Store, instance: Instance, step: Step, *, phase: Phase, client: int
    ) -> Instance | None:
        """Do a step, and answer the instance that goes on: another one where this one ended; None if that failed."""
        if step.name == "advance":
            program.note(client, "advance", str(step))
            instance.let_pass(float(str(step.invocation.get("seconds"))))
            return instance
        if step.name in ("crash", "restart"):
            if step.name == "crash":
                instance.kill()
            else:
                instance.close()
            return self._fresh(program, store, step, client=client, phase=phase)
        kill = step.invocation.get("kill")
        instance.dies_at = None if kill is None else int(str(kill))
        try:
            instance.run(program.perform(step, client=client, phase=phase, call=instance.invoke))
        except Crashed:
            crash = Step(invocation=Invocation("crash"))
            return self._fresh(program, store, crash, client=client, phase=phase)
        instance.dies_at = None
        return instance

    def _fresh(self, program: Program, store: Store, step: Step, *, client: int, phase: Phase) -> Instance | None:
        """Open an instance in the calling thread; None where that failed, which is recorded."""
        instance = Instance(program, store, is_async=self._is_async)
        operation = instance.run(program.perform(step, client=client, phase=phase, call=instance.open))
        if not isinstance(operation.response, Answered):
            return None
        if phase is not Phase.PARALLEL and program.recorder is not None and instance.connection is not None:
            program.recorder.connection = instance.connection
        return instance
