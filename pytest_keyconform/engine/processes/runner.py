"""The engine of real processes: each client a process with an instance of its own, over one storage."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, TypeAlias

from pytest_keyconform.engine.clock import real_monotonic, real_perf_counter
from pytest_keyconform.engine.processes.pool import ANSWERING, Process, Zygote
from pytest_keyconform.engine.processes.worker import Begin, Do
from pytest_keyconform.engine.storage import lent
from pytest_keyconform.execution import Execution
from pytest_keyconform.history import Ending, History
from pytest_keyconform.operation import Answered, Invocation, Operation, Phase
from pytest_keyconform.workload import Step

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.workload import Workload

    Client: TypeAlias = Generator[tuple[Process, Do], bool, None]

TOGETHER = 0.003  # seconds from the last opening to the first calls, in which every process is told of them
OPENING = ("open", "crash", "restart")
OPEN, CLOSE, CRASH = (Step(invocation=Invocation(name)) for name in ("open", "close", "crash"))


class ProcessRunner:
    """Runs workloads whose clients are ``apart``, as the operating system schedules them; a history is evidence."""

    name = "processes"
    repeatable = False
    complete = False
    cost = 20

    def __init__(self, target: Target, *, seed: int) -> None:
        """Judge a target; no process is started before the first execution."""
        self._zygote = Zygote(target)
        self._target = target
        self._seed = seed

    def run(self, workload: Workload, scheduler: Scheduler, *, observed: bool = False) -> Execution:  # noqa: ARG002 - the history tells it all
        """Run one execution; raises `Unforked` where no process can be started."""
        started = real_perf_counter()
        with lent(self._target) as storage:
            if storage is None:
                message = f"{self._target.text} declares no durability: processes have nothing to share"
                raise ValueError(message)
            begin = Begin(workload.given, storage, real_monotonic(), self._seed)
            script = _Script(self._zygote, begin)
            script.run([script.client(workload.setup, client=0, phase=Phase.SETUP)])
            script.run(
                [
                    script.client(steps, client=number, phase=Phase.PARALLEL)
                    for number, steps in enumerate(workload.clients, start=1)
                ]
            )
            script.run([script.client(workload.finale, client=0, phase=Phase.FINALE)])
        return Execution(
            workload=workload,
            schedule=scheduler.schedule(),
            history=History(
                given=workload.given,
                operations=ranked(script.operations),
                ending=Ending.FINISHED,
                clockless=not script.readings,
            ),
            seconds=real_perf_counter() - started,
        )


def _batches(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """Yield the steps, those together that need nobody between them: so they follow each other without a pause."""
    batch: list[Step] = []
    for step in steps:
        if step.name in ("crash", "restart", "advance") or step.invocation.get("kill") is not None:
            if batch:
                yield tuple(batch)
            batch = []
            yield (CRASH,) if step.name == "crash" else (step,)
        else:
            batch.append(step)
    if batch:
        yield tuple(batch)


class _Script:
    """What the processes of one execution do, and the operations so far."""

    def __init__(self, zygote: Zygote, begin: Begin) -> None:
        self._zygote = zygote
        self._begin = begin
        self.operations: list[Operation] = []
        self.readings = 0

    def run(self, clients: list[Client]) -> None:
        """Run clients at once, until all have ended; what comes after the opening begins once all are open."""
        waiting = {client: next(client) for client in clients}
        sent: dict[Process, tuple[Client, Do, float]] = {}
        opening, start = True, 0.0
        try:
            while waiting or sent:
                if not (opening and sent):
                    for client, (process, asked) in waiting.items():
                        sent[process] = (client, asked, real_monotonic())
                        with suppress(OSError):  # it is gone: the reading says so
                            process.connection.send(replace(asked, start=start))
                    waiting = {}
                pauses = max(paused(asked.steps) for _, asked, _ in sent.values()) if sent else 0.0
                for process in self._answered(list(sent), ANSWERING + pauses):
                    client, asked, at = sent.pop(process)
                    with suppress(StopIteration):
                        waiting[client] = client.send(self._received(process, asked, at))
                if opening and not sent:
                    opening, start = False, real_monotonic() + TOGETHER if len(clients) > 1 else 0.0
        finally:
            for client in clients:
                client.close()

    def _answered(self, processes: list[Process], seconds: float) -> list[Process]:
        by_connection = {process.connection: process for process in processes}
        ready = wait(list(by_connection), timeout=seconds)
        return [by_connection[one] for one in ready if isinstance(one, Connection)] if ready else processes

    def _received(self, process: Process, asked: Do, at: float) -> bool:
        """Keep the operations, pending where the process ended or did not answer in time; tell whether all is well."""
        with suppress(OSError, EOFError):
            if process.connection.poll(0):
                answered: list[Operation]
                answered, readings = process.connection.recv()
                self.readings += readings
                self.operations += [one for one in answered if one.name not in ("advance", "close")]
                return all(isinstance(one.response, Answered) for one in answered if one.name in OPENING)
        self.operations += [self._pending(step, asked, at) for step in asked.steps if step.name not in OPENING]
        return False

    def _pending(self, step: Step, asked: Do, at: float) -> Operation:
        return Operation(
            invocation=step.invocation,
            response=None,
            called=round(at * 1e9),
            returned=None,
            at=at - self._begin.began,
            until=None,
            client=asked.client,
            phase=asked.phase,
        )

    def client(self, steps: tuple[Step, ...], *, client: int, phase: Phase) -> Client:
        """Yield what is asked of which process; one that was killed is followed by another."""
        process = self._started()
        try:
            alive = yield process, Do((OPEN,), client, phase)
            for batch in _batches(steps) if alive else ():
                if batch != (CRASH,):
                    self._jump(batch)
                    alive = yield process, Do(batch, client, phase)
                    if alive:
                        continue
                    if batch[0].invocation.get("kill") is None:
                        return  # it ended, or could not be opened again: nobody told it to
                process.kill()
                process = self._started()
                alive = yield process, Do((CRASH,), client, phase)
                if not alive:
                    return
            if alive and (yield process, Do((CLOSE,), client, phase)):
                process.leave()
        finally:
            process.kill()

    def _jump(self, steps: tuple[Step, ...]) -> None:
        """Let the clocks of processes that begin later have jumped, too, where one jumps."""
        jumps = sum(float(str(step.invocation.get("seconds"))) for step in steps if step.invocation.get("jump"))
        self._begin = replace(self._begin, began=self._begin.began - jumps)

    def _started(self) -> Process:
        process = self._zygote.fork()
        process.begin(self._begin)
        return process


def paused(steps: Iterable[Step]) -> float:
    """Answer how many seconds of pauses are among steps; where a clock jumps nobody waits."""
    waits = (step for step in steps if step.name == "advance" and not step.invocation.get("jump"))
    return sum(float(str(step.invocation.get("seconds"))) for step in waits)


def ranked(operations: list[Operation]) -> tuple[Operation, ...]:
    """Answer the operations in the order of their calls, their stamps as places in the one order of all of them."""
    stamps = sorted(
        [(one.called, 0, place) for place, one in enumerate(operations)]
        + [(one.returned, 1, place) for place, one in enumerate(operations) if one.returned is not None]
    )
    places = {(kind, place): rank for rank, (_, kind, place) in enumerate(stamps, start=1)}
    told = [
        replace(one, called=places[0, place], returned=None if one.returned is None else places[1, place])
        for place, one in enumerate(operations)
    ]
    return tuple(sorted(told, key=lambda one: one.called))
