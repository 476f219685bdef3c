"""What an invariant is: prose, id, requirements, own cases and a check, in one class."""

from __future__ import annotations

import re
from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_keyconform.catalogue import steps
from pytest_keyconform.model.explain import Case, explain
from pytest_keyconform.model.key_manager import Oracle
from pytest_keyconform.model.linearize import Refuted, linearize
from pytest_keyconform.model.state import State, Tri
from pytest_keyconform.operation import Answered, Operation, Raised, Ref, shown
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Claims, Form
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Step, Workload

ASKING = ("acquire", "random_key", "next_key", "fail", "call", "open", "instance")
IN_PROCESS = ("sequential", "tasks", "threads", "delayed-tasks", "wire")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an answer cannot be: what was observed, what was to be expected, and a signature without numbers.

    ``gives`` is the answer that was to be expected, as it would be shown, where only one was.
    """

    observed: str
    expected: str
    signature: str
    gives: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One operation at one place of an order, with the oracle's state before it."""

    oracle: Oracle
    state: State
    operation: Operation

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.operation.name

    @property
    def pool(self) -> str:
        """The pool that is asked about."""
        return str(self.operation.get("pool", "regular"))

    @property
    def key(self) -> str:
        """The key that the operation is about: its lease or its key."""
        return str(self.operation.get("lease", self.operation.get("key")))

    @property
    def model(self) -> object:
        """The model that was named; None where none was."""
        return self.operation.get("model")

    @property
    def cell(self) -> tuple[str, str, str]:
        """The pool, the key and the entry that the operation is about."""
        return self.pool, self.key, self.oracle.entry(self.model)

    @property
    def answered(self) -> bool:
        """Whether an answer came that may be judged."""
        form = self.form
        promised = form.answers if form else self.name not in self.oracle.claims.operations
        return isinstance(self.operation.response, Answered) and promised

    @property
    def form(self) -> Form | None:
        """The form that was called; None where the claims do not tell."""
        wanted = self.operation.get("form")
        forms = self.oracle.claims.forms(self.name, self.pool)
        return next((form for form in forms if wanted in (None, form.name)), None)

    @property
    def value(self) -> Any:  # noqa: ANN401 - an answer can be anything; rules check its type
        """What was answered."""
        return self.operation.value

    @property
    def served(self) -> str | None:
        """The key of the manager that was answered, or None for a sentinel and anything else."""
        value = self.operation.value
        everywhere = {key for keys in self.state.members.values() for key in keys}
        return value if isinstance(value, str) and value in everywhere else None

    @property
    def nothing(self) -> bool:
        """Whether the answer was a sentinel: "" or None."""
        return isinstance(self.operation.response, Answered) and self.operation.value in ("", None)

    def servable(self) -> dict[str, Tri]:
        """Answer for each key of the pool whether it was free for the model, at the call and at the return."""
        operation, oracle = self.operation, self.oracle
        first = oracle.servable(self.state, self.pool, self.model, operation.at)
        if operation.until in (None, operation.at):
            return first
        last = oracle.servable(self.state, self.pool, self.model, operation.until or operation.at)
        return {key: truth if truth is last[key] else Tri.MAYBE for key, truth in first.items()}

    def refusal(self, expected: str, signature: str, *, gives: str = "") -> Refusal:
        """Say that this answer cannot be; ``gives`` is the one that can, where there is one."""
        return Refusal(f"{self.operation.invocation} {answer(self.operation)}", expected, signature, gives)


class Invariant(ABC):
    """One promise of a key manager. Subclasses are final, one for each row of the catalogue.

    The docstring holds the promise in its first line, then paragraphs *Why*, *How it breaks* and *Fix*.

    ``requires`` names the operations it is about: ``"fail"``, or ``"status|failures"`` where any of them serves.
    ``applies`` maps a policy to the values under which the promise means something; not listed means all.
    ``subject`` are the operations whose undeclared errors break this promise (others only hinder the judging).
    ``overlap`` tells that the promise is about calls that overlap: a synchronous backend needs threads for it.
    ``engines`` are the engines that may judge it, as far as the backend runs on them.
    ``stored`` tells that it is about what a storage keeps, ``shared`` that it is about several instances over one.
    ``sourced`` tells that it is about a source of limits: it is judged where a first opening asks the source.
    ``awaited`` tells that the promise is about awaits: a synchronous backend has none.
    ``ends`` tells that a call that never ends breaks this promise.
    ``general`` tells that the rule may judge any history, generated ones too, not only those of its own workloads.
    ``timed`` tells that it is about time: a backend that asks no clock which can be moved is not judged by it.
    ``unhindered`` tells that the promise can be judged whatever calls raise.
    """

    id: ClassVar[str]
    level: ClassVar[str] = "must"
    since: ClassVar[str] = "1.0"
    audits: ClassVar[tuple[str, ...]]
    requires: ClassVar[tuple[str, ...]] = ("acquire",)
    applies: ClassVar[Mapping[str, tuple[object, ...]]] = {}
    subject: ClassVar[tuple[str, ...]] = ()
    overlap: ClassVar[bool] = False
    engines: ClassVar[tuple[str, ...]] = IN_PROCESS
    stored: ClassVar[bool] = False
    shared: ClassVar[bool] = False
    sourced: ClassVar[bool] = False
    awaited: ClassVar[bool] = False
    ends: ClassVar[bool] = False
    general: ClassVar[bool] = False
    timed: ClassVar[bool] = False
    unhindered: ClassVar[bool] = False
    CONFORMING: ClassVar[tuple[str, ...]]
    VIOLATING: ClassVar[tuple[str, ...]]

    def __init__(self, policies: Policies, claims: Claims) -> None:
        """Bind the rule to what a backend declares and claims."""
        self.policies = policies
        self.claims = claims

    def __init_subclass__(cls, *, shared: bool = False) -> None:
        """Refuse an incomplete invariant when its class is made; a ``shared`` class is only a base of some."""
        super().__init_subclass__()
        if shared:
            return
        lacking = [name for name in ("id", "audits", "CONFORMING", "VIOLATING") if not getattr(cls, name, None)]
        prose = cls.__doc__ or ""
        lacking += [part for part in ("Why:", "How it breaks:", "Fix:") if part not in prose]
        if cls.workloads is Invariant.workloads:
            lacking.append("workloads")
        if lacking:
            message = f"{cls.__name__} lacks {', '.join(lacking)}"
            raise TypeError(message)

    @classmethod
    def family(cls) -> str:
        """Answer the letters of the id."""
        return re.sub(r"\d+$", "", cls.id)

    @classmethod
    def title(cls) -> str:
        """Answer the promise in one line."""
        return (cls.__doc__ or "").strip().splitlines()[0].rstrip(".")

    def workloads(self) -> Iterator[Workload]:
        """Yield the programs that provoke a breach, the smallest first."""
        raise NotImplementedError

    def refuses(self, moment: Moment) -> Refusal | None:
        """Tell why this answer breaks the promise at this place of an order; None: it does not."""
        del moment
        return None

    def violations(self, history: History) -> Iterator[Violation]:
        """Yield the breaches of this promise in a history, of whatever workload."""
        yield from self.accidents(history)
        yield from self.disorder(history)

    def taking(self, bind: str, *, model: object = DEFAULT_MODEL, pool: str = "regular") -> tuple[Step, ...]:
        """Answer the steps that take a key and, under leases, give it back at once."""
        asked = steps.acquire(bind, model=model, pool=pool)
        if self.policies.tenure != "lease":
            return (asked,)
        if self.policies.release == "explicit":
            return asked, steps.release(Ref(bind))
        return asked, steps.record(Ref(bind), model=model, pool=pool, tokens=0)

    # -- what the rules share --------------------------------------------------------------------------------

    def oracle(self, history: History) -> Oracle:
        """Answer the specification for the pool of a history."""
        return Oracle(self.policies, self.claims, history.given)

    def moments(self, history: History) -> Iterator[Moment]:
        """Yield the operations in the order of their calls, each with the state before it.

        Only for histories without overlap, or for rules whose operations commute.
        """
        oracle = self.oracle(history)
        state = oracle.initial()
        for operation in history.operations:
            yield Moment(oracle, state, operation)
            state = oracle.step(state, operation)[0]

    def disorder(self, history: History) -> Iterator[Violation]:
        """Yield one violation if no order of the operations, within real time, passes `refuses`."""
        oracle = self.oracle(history)

        def refused(state: State, operation: Operation) -> Refusal | None:
            return self.refuses(Moment(oracle, state, operation))

        def step(state: State, operation: Operation) -> tuple[State, ...] | Refusal:
            refusal = refused(state, operation)
            return oracle.step(state, operation) if refusal is None else refusal

        found = linearize(history.operations, oracle.initial(), step)
        if isinstance(found, Refuted):
            position, refusal = found.refusals[0]
            told = explain(Case(history.operations, oracle.initial(), oracle.step, refused), position)
            yield Violation(
                observed=refusal.observed if told is None else told.observed,
                expected=refusal.expected if told is None else told.expected,
                signature=refusal.signature,
                operation=history.operations[position],
            )

    def accidents(self, history: History) -> Iterator[Violation]:
        """Yield the operations of the promise's subject that raised what nobody agreed to."""
        for operation in history.named(*self.subject):
            if accident(operation, self.policies):
                yield broken(
                    operation,
                    "an answer, or an error the backend declares",
                    f"{operation.name} raises {_kind(operation)}",
                )


def accident(operation: Operation, policies: Policies) -> bool:
    """Tell whether a call raised what its caller had no reason to expect."""
    response = operation.response
    if not isinstance(response, Raised):
        return False
    if not response.typed:
        return True
    lawful = operation.get("bad") or policies.unknown_model == "reject" or policies.unknown_key == "typed-error"
    return operation.name not in ASKING and not lawful


def broken(operation: Operation, expected: str, signature: str) -> Violation:
    """Say that an operation's answer breaks the promise."""
    return Violation(
        observed=f"{operation.invocation} {answer(operation)}",
        expected=expected,
        signature=signature,
        operation=operation,
    )


def answer(operation: Operation) -> str:
    """Say what came of a call, as the end of a sentence."""
    match operation.response:
        case Answered(value):
            return f"answered {shown(value)}"
        case None:
            return "never answered"
        case other:
            return str(other)


def _kind(operation: Operation) -> str:
    return operation.response.kind if isinstance(operation.response, Raised) else "nothing"
