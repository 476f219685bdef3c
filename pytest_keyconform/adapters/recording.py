"""Performing steps on a connection, and recording each as an operation of a history."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from pytest_keyconform.adapters.answering import counted, key_in, marked, mutate, spoil
from pytest_keyconform.adapters.connection import SPECIAL, Connection, reached
from pytest_keyconform.adapters.raised import Agreement, cancelled_from_outside, is_harness, raised
from pytest_keyconform.adapters.sending import sending_of
from pytest_keyconform.adapters.streaming import Consumer, Streams
from pytest_keyconform.errors import Unsupported
from pytest_keyconform.history import Blocked, Ending, History, Noise
from pytest_keyconform.operation import (
    Answered,
    Cancelled,
    Invocation,
    Opaque,
    Operation,
    Phase,
    Raised,
    Ref,
    Response,
    Skipped,
)
from pytest_keyconform.workload import Step

if TYPE_CHECKING:
    from pytest_keyconform.adapters.keys import Keyring
    from pytest_keyconform.adapters.sending import Beside
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Given

_ANSWERING_A_KEY: Final = frozenset({"acquire", "fail", "next_key", "paid_key", "random_key"})
_UNANSWERED: Final = Skipped("its key was never answered")
_AS_IT_STANDS: Final = (str, int, float, type(None))
Call: TypeAlias = Callable[[str, dict[str, object]], object]  # an operation's name and arguments -> what it answers


class Clock(Protocol):
    """What an engine counts by: virtual seconds, and the one order of calls and returns."""

    @property
    def now(self) -> float:
        """The virtual seconds since the execution began."""

    def tick(self) -> int:
        """Answer the next position in the one order of all calls and returns."""

    def sleep(self, seconds: float) -> None:
        """Let time pass for the thread that calls."""


class Recorder:
    """Performs the steps of all clients of one execution, and keeps the operations.

    ``stopped``: what comes back from now on is not recorded. ``overheard`` is told what each call answered or raised,
    ``warnings`` answers how many there were. ``_cells`` holds one operation each, which its client alone changes.
    ``answers`` holds what the backend answered, as it answered it, by the name that a step binds it to;
    ``_instances`` what the provider answered, each once.
    """

    def __init__(
        self, connection: Connection, keyring: Keyring, given: Given, policies: Policies, clock: Clock
    ) -> None:
        self.connection = connection
        self.keyring = keyring
        self.given = given
        self.policies = policies
        self.clock = clock
        self.agreement = Agreement(policies, connection.packages)
        self.stopped = False
        self.overheard: Callable[[object, str], None] | None = None
        self.warnings: Callable[[], int] = lambda: 0
        self._cells: list[list[Operation]] = []
        self.answers: dict[str, object] = {}
        self._instances: list[object] = []
        self._connections: dict[int, Connection] = {}
        self._streams = Streams(keyring, self.raised)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The operations so far, in the order of their calls; those that have not come back are pending."""
        return tuple(sorted((cell[0] for cell in self._cells), key=lambda operation: operation.called))

    def history(
        self,
        *,
        ending: Ending = Ending.FINISHED,
        blocked: Sequence[Blocked] = (),
        noise: Sequence[Noise] = (),
    ) -> History:
        """Answer the history so far."""
        return History(
            given=self.given,
            operations=self.operations,
            ending=ending,
            blocked=tuple(blocked),
            noise=tuple(noise),
        )

    async def perform(
        self, step: Step, *, client: int = 0, phase: Phase = Phase.SETUP, call: Call | None = None
    ) -> Operation:
        """Call the operation of a step, await what it answers if need be, record it, and answer the record.

        ``call`` stands in for the connection: for a step that is the harness' own, or on another instance.
        Suspends only where the backend does. Lets out what is the harness' own, and its cancellation.
        """
        self.answers.pop(step.bind or "", None)
        given = self._arguments(step)
        if given is None:
            return self._skip(step, client, phase)
        invocation, arguments = given
        cell = self._called(invocation, step, client, phase)
        warned, awaiting = self.warnings(), False
        try:
            answer = self._played(step, client, phase, arguments, call)()
            if inspect.isawaitable(answer):
                awaiting = True
                answer = await answer
        except BaseException as error:
            response = self._caught(error, invocation, awaiting=awaiting)
            if response is None:
                raise
            operation = self._returned(cell, response)
            if isinstance(response, Cancelled):
                raise
            return operation
        cell[0] = marked(cell[0], warned=self.warnings() > warned)
        return self._answered(cell, step, arguments, answer)

    def abandon(self, error: BaseException) -> None:
        """Record that what is pending raised this: it left the call without being caught as an answer."""
        for cell in self._cells:
            if cell[0].pending:
                self._returned(cell, self.raised(error))

    # -- before the call -------------------------------------------------------------------------------------

    def _arguments(self, step: Step) -> tuple[Invocation, dict[str, object]] | None:
        """Answer the invocation as recorded and the arguments for the backend; None if a key never came."""
        given = step.invocation.arguments
        through = step.invocation.get("through")
        if isinstance(through, Ref) and through.name not in self.answers:
            return None
        try:
            real = {
                name: value if name in SPECIAL else self._real(value, as_lease=name == "lease") for name, value in given
            }
        except LookupError:
            return None
        if all(isinstance(value, _AS_IT_STANDS) for _, value in given):
            return step.invocation, real
        shown = ((name, str(value) if name == "through" else self._shown(value)) for name, value in given)
        return Invocation(step.name, tuple(shown)), real

    def _reached(self, step: Step) -> Connection:
        """Answer the way to call the instance that a step names, an earlier answer of the provider; else the usual."""
        through = step.invocation.get("through")
        if not isinstance(through, Ref):
            return self.connection
        instance = self.answers[through.name]
        if id(instance) not in self._connections:
            self._connections[id(instance)] = reached(instance, self.keyring.pool_of(self.given))
        return self._connections[id(instance)]

    def _real(self, value: object, *, as_lease: bool = False) -> object:
        if isinstance(value, Ref):
            return self._referred(value) if as_lease else key_in(self._referred(value))
        if isinstance(value, list | tuple):
            return [self._real(item) for item in value]
        return self.keyring.reveal(value)

    def _shown(self, value: object) -> object:
        if isinstance(value, Ref):
            return self.keyring.conceal(key_in(self._referred(value)), key=True)
        if isinstance(value, list | tuple):
            return tuple(map(self._shown, value))
        return self.keyring.conceal(value)

    def _referred(self, ref: Ref) -> object:
        """Answer the key or the lease that was answered under a name; raises LookupError where none was."""
        answer = self.answers[ref.name]
        key = key_in(answer)
        if not isinstance(key, str) or key in ("", self.policies.sentinel):
            raise LookupError(ref.name)
        return answer

    # -- after the call --------------------------------------------------------------------------------------

    def _called(self, invocation: Invocation, step: Step, client: int, phase: Phase) -> list[Operation]:
        cell = [
            Operation(
                invocation=invocation,
                response=None,
                called=self.clock.tick(),
                returned=None,
                at=self.clock.now,
                until=None,
                client=client,
                phase=phase,
                bind=step.bind,
            )
        ]
        self._cells.append(cell)
        return cell

    def _returned(self, cell: list[Operation], response: Response) -> Operation:
        if self.stopped:
            return cell[0]
        now = self.clock.now
        cell[0] = cell[0].back(response, returned=self.clock.tick(), until=now)
        return cell[0]

    def _skip(self, step: Step, client: int, phase: Phase) -> Operation:
        return self._returned(self._called(step.invocation, step, client, phase), _UNANSWERED)

    def _answered(self, cell: list[Operation], step: Step, given: dict[str, object], answer: object) -> Operation:
        if step.bind is not None:
            self.answers[step.bind] = answer
        operation = self._returned(cell, Answered(self._plain(step.name, answer)))
        if self.overheard is not None:
            self.overheard(answer, step.name)
        if self._spoilt(step, given):
            cell[0] = operation = marked(operation, spoilt=True)
        if step.invocation.get("spoil"):
            spoil([value for value in given.values() if isinstance(value, list)], self.keyring)
        if step.invocation.get("mutate"):
            mutate(answer)
        return operation

    def _played(
        self, step: Step, client: int, phase: Phase, arguments: dict[str, object], call: Call | None
    ) -> Callable[[], object]:
        """Answer the call with whom the harness plays in it: the caller's code, or a consumer and its provider.

        What these meet is recorded beside it.
        """
        beside = self._beside(client, phase)
        if "send" in arguments:
            sending = sending_of(step.invocation, beside, self.keyring.conceal, self.raised, self.clock.sleep)
            forms = self.connection.claims.forms(step.name)
            arguments["send"] = sending.asynchronous if forms and forms[0].is_async else sending.synchronous
        invoke = functools.partial(call or self._reached(step).invoke, step.name, arguments)
        if step.name != "stream":
            return invoke
        consumer = Consumer(step.invocation, invoke, beside, self.keyring.conceal)
        return functools.partial(self._streams.consume, consumer, is_async=self.connection.claims.is_async)

    def _beside(self, client: int, phase: Phase) -> Beside:
        """Answer what records something that a call of this client is about."""

        def begun(invocation: Invocation) -> Callable[[Response], object]:
            cell = self._called(invocation, Step(invocation=invocation), client, phase)
            return lambda response: self._returned(cell, response)

        return begun

    def _spoilt(self, step: Step, given: dict[str, object]) -> bool:
        """Tell whether the backend changed a list or a dict that it was given."""
        own = {"send", *SPECIAL}
        shared = [pair for pair in step.invocation.arguments if isinstance(pair[1], list | tuple | dict)]
        return any(self._real(value) != given[name] for name, value in shared if name not in own)

    def _plain(self, name: str, answer: object) -> object:
        if name == "instance":
            return self._numbered(answer)
        if name == "usage":
            answer = counted(answer)
        return self.keyring.conceal(key_in(answer), key=name in _ANSWERING_A_KEY)

    def _numbered(self, instance: object) -> Opaque:
        """Answer which instance it is, so that a rule can tell one from another."""
        known = next((i for i, one in enumerate(self._instances) if one is instance), None)
        if known is None:
            self._instances.append(instance)
            known = len(self._instances) - 1
        return Opaque(type(instance).__name__, f"instance-{known + 1}")

    def _caught(self, error: BaseException, invocation: Invocation, *, awaiting: bool) -> Response | None:
        """Answer what came of a call that raised; None where that is no answer, and it stays pending."""
        if isinstance(error, Unsupported):
            return Skipped(self.keyring.redact(str(error)) or "the adapter does not claim it")
        # A coroutine that is closed and one that raises GeneratorExit look the same: the first is usual.
        if is_harness(error) or (awaiting and isinstance(error, GeneratorExit)):
            return None
        if cancelled_from_outside(error):
            return Cancelled()
        if self.overheard is not None:
            self.overheard(error, invocation.name)
        # A pool without keys may be refused as bad input.
        return self.raised(error, bad_input=bool(invocation.get("bad") or invocation.get("empty")))

    def raised(self, error: BaseException, *, bad_input: bool = False) -> Raised:
        """Answer the record of an error of the backend."""
        return raised(error, self.agreement, self.keyring.redact, bad_input=bad_input)
