"""The flow of one execution, whatever drives it: open, setup, clients, finale, close; and what was noticed beside."""

from __future__ import annotations

import contextlib
import random
import re
import threading
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.raised import raised
from pytest_keyconform.adapters.recording import Recorder
from pytest_keyconform.adapters.resolve import OpeningFailed
from pytest_keyconform.adapters.spelling import Spelling
from pytest_keyconform.engine.interludes import Interludes
from pytest_keyconform.engine.order import Order
from pytest_keyconform.engine.overhearing import Overhearing
from pytest_keyconform.engine.scales import Scales
from pytest_keyconform.engine.storage import new_storage, remove
from pytest_keyconform.execution import Moment, Spelled
from pytest_keyconform.history import Ending, History, Noise, NoiseKind
from pytest_keyconform.operation import Answered, Invocation, Operation, Phase, Raised, Ref
from pytest_keyconform.workload import Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from pytest_keyconform.adapters.recording import Call
    from pytest_keyconform.adapters.resolve import Opened, Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.workload import Given, Workload

NEVER_AWAITED = re.compile(r"coroutine '([^']*)' was never awaited")


class Program:
    """One execution of a workload on a fresh manager of the target.

    ``recorder`` is there once the manager is open; ``opening`` is the operation that opened it, or failed to.
    ``storage`` is a folder of this execution alone, for a backend whose state lasts; `listening` removes it.
    ``pass_time`` lets seconds pass while no instance is open, as the engine does it.
    ``outside`` tells that the backend has a store or an upstream, whose clock nobody here can move.
    ``census`` counts the tasks and the timers of the backend, once those that were told to end have ended.
    ``moments`` and ``spelled`` fill only where ``observed``. ``leased`` tells that reports need a lease of the key that
    was acquired.
    """

    def __init__(
        self,
        workload: Workload,
        target: Target,
        clock: VirtualClock,
        *,
        seed: int,
        leased: bool,
        observed: bool,
    ) -> None:
        self.workload = workload
        self.target = target
        self.clock = clock
        self.observed = observed
        self.given = workload.given
        self.keyring = Keyring(weighed=workload.weighed)
        self.opening: Operation | None = None
        self.opened: Opened | None = None
        self.recorder: Recorder | None = None
        self.moments: list[Moment] = []
        self.spelled: list[Spelled] = []
        self.noise: list[Noise] = []
        self.storage: Path | None = None
        self.census: Callable[[], Awaitable[tuple[int, int]]] = self._at_rest
        self.scales = Scales(workload)
        self.interludes = Interludes(self)
        self._warned: list[warnings.WarningMessage] = []
        self.outside = target.policies.durability != "none"
        self.pass_time: Callable[[float], None] = clock.advance
        self.leased = leased
        self.overhearing = Overhearing(self.keyring, target.modules()) if workload.overheard else None
        self._leases: dict[tuple[str, str], Ref] = {}
        self._taken = 0
        self._order = Order(clock)
        random.seed(seed)
        clock.reset()
        clock.step_wall(workload.given.starts)

    @property
    def patience(self) -> float:
        """How many virtual seconds its calls may wait in all, as the policies say."""
        policies = self.target.policies
        return policies.deadline * sum(1 for _ in self.workload.steps()) if policies.exhaustion == "blocks" else 0.0

    async def open(self) -> bool:
        """Open a manager on the workload's pool; tell whether that went well."""
        if self.storage is None:
            self.storage = self.scales.storage = new_storage(self.target)
        called = self._order.tick()
        try:
            self.opened = await self.instance(opened=not self.workload.unopened)
        except OpeningFailed as failure:
            self.opening = self._opening(
                called, raised(failure.cause, self.target.agreement, self.keyring.redact, bad_input=True)
            )
            return False
        self.opening = self._opening(called, Answered(False if self.opened.answer is False else None))
        self.recorder = Recorder(
            self.opened.connection, self.keyring, self.workload.given, self.target.policies, self._order
        )
        if self.overhearing is not None:
            self.recorder.overheard = self.overhearing.told
            self.recorder.warnings = self._warnings
        return True

    async def instance(self, *, opened: bool = True, given: Given | None = None) -> Opened:
        """Make one more manager on the workload's pool and storage, and open it; raises `OpeningFailed`.

        ``given`` is another pool than the last one, on the same storage.
        """
        pool = self.keyring.pool_of(given or self.given, storage=self.storage)
        return await (self.target.opened(pool) if opened else self.target.made(pool))

    def _warnings(self) -> int:
        return len(self._warned) + (0 if self.overhearing is None else self.overhearing.warnings)

    async def perform(self, step: Step, *, client: int, phase: Phase, call: Call | None = None) -> Operation:
        """Call one operation and record it. A lease that is needed and was not taken yet is taken first.

        ``call`` stands in for the manager that was opened last, as in `Recorder.perform`.
        """
        if self.recorder is None:
            message = "perform needs an open manager"
            raise RuntimeError(message)
        if phase is not Phase.PARALLEL:
            step = await self.with_lease(step, phase=phase)
        self.note(client, "call", str(step))
        call = self.interludes.calls.get(step.name) if call is None else call
        own = call is None and "through" not in dict(step.invocation.arguments)
        spelling = self._spelling(self.recorder) if self.observed and own else None
        with self.scales.under(measured=bool(step.invocation.get("measured"))) as weighing:
            operation = await self.recorder.perform(step, client=client, phase=phase, call=spelling or call)
        if spelling is not None:
            self.spelled.append(Spelled(operation.called, spelling.code, spelling.awaited, step.bind))
        self.scales.put(operation, weighing)
        self.note(client, "return", str(operation.response))
        return operation

    def _spelling(self, recorder: Recorder) -> Spelling:
        return Spelling(recorder.connection, self.keyring, recorder.answers)

    async def _at_rest(self) -> tuple[int, int]:
        return self.interludes.at_rest()

    def set_clock(self, step: Step, *, client: int) -> None:
        """Set the wall clock, as NTP or an operator would."""
        self.note(client, "set clock", str(step))
        self.clock.step_wall(float(str(step.invocation.get("seconds"))))

    async def with_leases(self, workload: Workload) -> tuple[tuple[Step, ...], ...]:
        """Answer the steps of the parallel clients, with the leases that they report on taken beforehand."""
        return tuple(
            [tuple([await self.with_lease(step, phase=Phase.SETUP) for step in client]) for client in workload.clients]
        )

    async def with_lease(self, step: Step, *, phase: Phase) -> Step:
        """Answer the step with a lease in the place of a key's label, where the backend wants one.

        Acquires until that key is served, at most once for each key and once more, and gives the others back. A key
        that is not served is reported on by the last lease of it, or by its bare name. A lease is given back
        once: where there is none, the step is left out.
        """
        arguments = dict(step.invocation.arguments)
        label = arguments.get("lease")
        if not self.leased or not isinstance(label, str) or step.name not in ("record", "fail", "release"):
            return step
        pool = str(arguments.get("pool", "regular"))
        returning = step.name == "release"
        held = returning and (pool, label) in self._leases
        if label in self.given.keys(pool) and not held:
            await self._take(label, pool, arguments.get("model"), phase)
        arguments["lease"] = self._leases.get((pool, label), Ref("never taken") if returning else label)
        if returning:
            self._leases.pop((pool, label), None)
        return replace(step, invocation=Invocation(step.name, tuple(arguments.items())))

    async def _take(self, label: str, pool: str, model: object, phase: Phase) -> None:
        others: list[tuple[str, Ref]] = []
        for _ in range(len(self.given.keys(pool)) + 1):
            self._taken += 1
            ref = Ref(f"lease-{self._taken}")
            asked = (("model", model), ("pool", pool)) if model is not None else (("pool", pool),)
            step = Step(invocation=Invocation("acquire", asked), bind=ref.name)
            operation = await self.perform(step, client=0, phase=phase)
            if operation.value == label:
                self._hold(pool, label, ref)
                break
            if not isinstance(operation.value, str) or not operation.value:
                break
            others.append((operation.value, ref))
        if self.target.policies.tenure == "lease" and self._claims("release"):
            for _, ref in others:
                await self.perform(Step(invocation=Invocation("release", (("lease", ref),))), client=0, phase=phase)
        else:  # they are held on, for the reports on them
            for key, ref in others:
                self._hold(pool, key, ref)

    def _hold(self, pool: str, key: str, ref: Ref) -> None:
        """Remember the lease to report by; the one before it is forgotten, or what it holds would look like a leak."""
        before = self._leases.get((pool, key))
        self._leases[pool, key] = ref
        if before is not None and self.recorder is not None and not self.workload.clients:
            self.recorder.answers.pop(before.name, None)

    def _claims(self, name: str) -> bool:
        return self.opened is not None and bool(self.opened.connection.claims.forms(name))

    def _opening(self, called: int, response: Answered | Raised) -> Operation:
        """Record the opening as the first operation, at second 0; a manager may be made without it."""
        alone = (("opened", False),) if self.workload.unopened else ()
        return Operation(
            invocation=Invocation("open", (*self.workload.given.told(), *alone)),
            response=response,
            called=called,
            returned=self._order.tick(),
            at=0.0,
            until=self.clock.now,
        )

    async def close(self) -> None:
        """Close the manager, unless the workload did; what closing raises is not judged here."""
        if self.overhearing is not None and self.opened is not None:
            self.overhearing.look(self.opened.manager, self.opened.connection.packages)
        if self.opened is not None and not any(step.name == "close" for _, _, step in self.workload.steps()):
            with contextlib.suppress(Exception):
                await self.opened.close()

    def stop(self) -> None:
        """Keep the record as it is: what never came back stays pending, whatever ends it."""
        if self.recorder is not None:
            self.recorder.stopped = True

    def note(self, client: int, kind: str, text: str, where: str = "") -> None:
        """Add a line to the timeline, where one is wanted."""
        if self.observed:
            self.moments.append(Moment(client, kind, self.keyring.redact(text), where))

    def history(self, ending: Ending, **more: Any) -> History:  # noqa: ANN401 - the other fields of a history
        """Answer what there is to judge."""
        operations = () if self.recorder is None else tuple(self.recorder.operations)
        opening = () if self.opening is None else (self.opening,)
        if self.opening is not None and isinstance(self.opening.response, Raised):
            ending = Ending.UNOPENED
        return History(
            given=self.workload.given,
            operations=(*opening, *operations),
            ending=ending,
            noise=tuple(dict.fromkeys(self.noise)),
            weights=tuple(self.scales.weights),
            clockless=self.outside and not self.clock.readings,
            **more,
        )

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Notice coroutines that are never awaited and threads that die, while an execution runs; then tidy up."""
        before = threading.excepthook
        threading.excepthook = self._thread_died
        try:
            with warnings.catch_warnings(record=True) as caught:
                self._warned = caught
                warnings.simplefilter("ignore" if self.overhearing is None else "always")
                warnings.filterwarnings("always", message=r"coroutine '.*' was never awaited", category=RuntimeWarning)
                listening = contextlib.nullcontext() if self.overhearing is None else self.overhearing.listening()
                with listening, self.interludes.at_work():
                    yield
        finally:
            threading.excepthook = before
            remove(self.storage)
        if self.overhearing is not None:
            for warning in caught:
                self.overhearing.warned(warning)
            self.noise += self.overhearing.heard
        for warning in caught:
            found = NEVER_AWAITED.search(str(warning.message))
            if found is not None and not found.group(1).startswith(("Program.", "Recorder.", "TaskRunner.")):
                self.noise.append(Noise(NoiseKind.UNAWAITED, found.group(1)))

    def _thread_died(self, dying: threading.ExceptHookArgs) -> None:
        if dying.exc_type is not SystemExit:
            self.noise.append(Noise(NoiseKind.THREAD_DIED, dying.exc_type.__name__))
