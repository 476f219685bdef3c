"""Opening a target once, to learn what it claims and which engine can run it."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_keyconform.adapters.base import Lease
from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.resolve import OpeningFailed
from pytest_keyconform.engine.abandoning import Abandoning
from pytest_keyconform.engine.delayed.loop import DelayedLoop
from pytest_keyconform.engine.delayed.runner import DelayedRunner
from pytest_keyconform.engine.driving import drive
from pytest_keyconform.engine.loop import ControlledLoop, NeedsRealLoop, Stalled, Stuck
from pytest_keyconform.engine.on_trio.recognising import written_for_trio
from pytest_keyconform.engine.processes.runner import ProcessRunner, paused
from pytest_keyconform.engine.simulated.runner import SimulatedRunner
from pytest_keyconform.engine.sourcing.runners import SourcedAtOnce, SourcedOnLoop
from pytest_keyconform.engine.storage import lent
from pytest_keyconform.engine.tasks import TaskRunner
from pytest_keyconform.engine.threads.runner import ThreadRunner
from pytest_keyconform.engine.threads.world import ThreadWorld
from pytest_keyconform.engine.watchdog import TimedOut, Watchdog
from pytest_keyconform.engine.wire import WireRunner
from pytest_keyconform.errors import TargetError, WireError
from pytest_keyconform.workload import Given

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_keyconform.adapters.resolve import Opened, Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.explore import Runner
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.workload import Workload


TOGETHER = ("tasks", "sequential", "threads", "delayed-tasks", "wire")
OVERLAPPING = ("tasks", "threads", "sequential", "delayed-tasks", "wire")
APART = ("simulated-processes", "processes")

LONGEST_PAUSE = 20.0  # seconds of pauses of one client that real processes are let take
OF_THE_WIRE = frozenset({"open", "close"})

PROBE = 5.0  # seconds of real time that one acquire may take, before it is taken to answer no lease

Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]


@dataclass(frozen=True, slots=True)
class Backend:
    """What a target claims, and the engines that can execute workloads on it, by name.

    ``world`` is what they are quicker in: entered once, it serves many executions. ``leased`` tells that reports need
    the lease that an acquire answered. ``clocked``: its clock can be moved.
    """

    claims: Claims
    runners: Mapping[str, Runner]
    world: AbstractContextManager[object]
    leased: bool = False
    clocked: bool = True

    def fitting(self, workload: Workload, engines: Iterable[str], *, overlap: bool) -> tuple[Runner, ...]:
        """Answer the engines to run a workload on, of those that are allowed; none where none can run it.

        Clients on instances of their own need processes, simulated ones and real ones; clients whose calls are to
        overlap need threads, where the backend is synchronous.
        """
        allowed = {name: runner for name, runner in self.runners.items() if name in engines}
        if workload.apart:
            found = tuple(allowed[name] for name in APART if name in allowed)
            pauses = max(map(paused, (workload.setup, *workload.clients, workload.finale)))
            if not pauses:
                return found
            # In real processes a pause takes its time.
            return tuple(runner for runner in found[:1] if runner.repeatable or pauses <= LONGEST_PAUSE)
        order = OVERLAPPING if overlap and len(workload.clients) > 1 else TOGETHER
        return tuple(allowed[name] for name in order if name in allowed)[:1]

    @property
    def operations(self) -> frozenset[str]:
        """What the backend can do: over a wire it is opened and closed by the protocol."""
        return frozenset(self.claims.operations) | (OF_THE_WIRE if "wire" in self.runners else frozenset())

    @property
    def usual(self) -> Runner:
        """The engine for programs of one client."""
        return next(self.runners[name] for name in TOGETHER if name in self.runners)


def survey(target: Target, clock: VirtualClock, *, seed: int, seconds: float = 60.0, real: bool = False) -> Backend:
    """Open the target on an ordinary pool, on the loop or, where it wants none, without one.

    ``real``: on a real event loop, since the controlled one answered `NeedsRealLoop` before; where it does so here,
    that is done at once. Raises `TargetError` where it cannot be opened within ``seconds`` of real time, with what it
    raised.
    """
    failures: list[str] = []
    real = real or target.dialogue is not None
    try:
        for run in (_on_real_loop(clock),) if real else (_on_loop(clock), drive):
            clock.reset()
            claims = _claims(target, run, seconds, failures)
            clock.reset()
            if (claims is None or claims.is_async) and written_for_trio(target, failures):
                return _surveyed_on_trio(target, clock, seed=seed, seconds=seconds)
            if claims is not None:
                leased = target.policies.tenure == "lease" or _answers_leases(target, run, seconds=min(seconds, PROBE))
                return _backend(target, clock, claims, seed=seed, leased=leased, real=real)
    except WireError as error:
        message = f"{target.text} cannot be opened on an ordinary pool: {error}"
        raise TargetError(message) from None
    except NeedsRealLoop:
        return survey(target, clock, seed=seed, seconds=seconds, real=True)
    message = f"{target.text} cannot be opened on an ordinary pool: {failures[0]}"
    raise TargetError(message)


def _surveyed_on_trio(target: Target, clock: VirtualClock, *, seed: int, seconds: float) -> Backend:
    from pytest_keyconform.engine.on_trio.runner import TrioRunner
    from pytest_keyconform.engine.on_trio.turns import Turns

    def run(main: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine answers
        return Turns(clock).run(main)

    failures: list[str] = []
    claims = _claims(target, run, seconds, failures)
    if claims is None:
        message = f"{target.text} cannot be opened on an ordinary pool, on trio: {failures[0]}"
        raise TargetError(message)
    leased = target.policies.tenure == "lease" or _answers_leases(target, run, seconds=min(seconds, PROBE))
    clock.reset()
    runner = TrioRunner(target, clock, seed=seed, leased=leased)
    return Backend(claims, {runner.name: runner}, Abandoning())


def _claims(target: Target, run: Run, seconds: float, failures: list[str]) -> Claims | None:
    """Answer what an opened target claims; None where it did not open, and ``failures`` says why."""
    try:
        with Watchdog(seconds):
            claims: Claims = run(_claimed(target))
    except TimedOut:
        message = f"{target.text}: opening it did not end within {seconds:g} s"
        raise TargetError(message) from None
    except OpeningFailed as failure:
        failures.append(str(failure))
        return None
    except (Stuck, Stalled):
        failures.append("opening it never ends")
        return None
    return claims


def _backend(target: Target, clock: VirtualClock, claims: Claims, *, seed: int, leased: bool, real: bool) -> Backend:
    lasting = target.policies.durability != "none"
    if target.dialogue is not None:
        wire = WireRunner(target, target.dialogue, clock, seed=seed, leased=leased)
        return Backend(claims, {wire.name: wire}, contextlib.nullcontext(), clocked=target.dialogue.clocked)
    if real:
        outside: list[Runner] = [DelayedRunner(target, clock, seed=seed, leased=leased)]
        outside += [ProcessRunner(target, seed=seed)] if lasting and hasattr(os, "fork") else []
        return Backend(claims, {runner.name: runner for runner in outside}, Abandoning(), leased)
    world = ThreadWorld(clock, target.modules)
    runners: list[Runner] = [TaskRunner(target, clock, seed=seed, leased=leased)]
    if not claims.is_async:
        runners = [
            ThreadRunner(target, clock, seed=seed, leased=leased, world=world, preempt=preempt)
            for preempt in (False, True)
        ]
    if lasting:
        simulated = SimulatedRunner(target, clock, seed=seed, world=world, is_async=claims.is_async, leased=leased)
        runners += [simulated] if simulated.controls() else []
        runners += [ProcessRunner(target, seed=seed)] if hasattr(os, "fork") else []
    needed = not claims.is_async or lasting
    around = world if needed else contextlib.nullcontext()
    return Backend(claims, {runner.name: runner for runner in runners}, around, leased)


def sourced(backend: Backend, target: Target, clock: VirtualClock, *, seed: int) -> Backend:
    """Answer the same backend on the engines that a source of limits needs: it is asked over a real socket."""
    if backend.claims.is_async:
        on_loop = SourcedOnLoop(target, clock, seed=seed, leased=backend.leased)
        return Backend(backend.claims, {on_loop.name: on_loop}, Abandoning(), backend.leased)
    world = ThreadWorld(clock, target.modules)
    at_once = SourcedAtOnce(target, clock, seed=seed, leased=backend.leased, world=world, preempt=False)
    return Backend(backend.claims, {at_once.name: at_once}, Abandoning(), backend.leased)


def _on_loop(clock: VirtualClock) -> Run:
    def run(main: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine answers
        return ControlledLoop(clock).run(main, lambda _ready, _current: 0)

    return run


def _on_real_loop(clock: VirtualClock) -> Run:
    return lambda main: DelayedLoop(clock).run(main)


async def _claimed(target: Target) -> Claims:
    with lent(target) as storage:
        opened = await target.opened(Keyring().pool_of(Given(), storage=storage))
        with contextlib.suppress(Exception):  # what closing raises is judged by the rules
            await opened.close()
        return opened.connection.claims


def _answers_leases(target: Target, run: Run, *, seconds: float) -> bool:
    """Tell whether an acquire answers a lease that carries something a report needs."""
    try:
        with Watchdog(seconds):
            return bool(run(_leased(target)))
    except (KeyboardInterrupt, NeedsRealLoop):
        raise
    except BaseException:  # noqa: BLE001 - however an acquire ends, the rules judge it
        return False


async def _leased(target: Target) -> bool:
    with lent(target) as storage:
        opened = await target.opened(Keyring().pool_of(Given(), storage=storage))
        try:
            return await _is_lease(opened)
        finally:
            with contextlib.suppress(Exception):  # what closing raises is judged by the rules
                await opened.close()


async def _is_lease(opened: Opened) -> bool:
    if not opened.connection.claims.forms("acquire"):
        return False
    answer = opened.connection.invoke("acquire", {})
    if inspect.isawaitable(answer):
        answer = await answer
    return isinstance(answer, Lease) and answer.handle is not None
