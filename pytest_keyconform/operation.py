"""An operation is an invocation and the response it got.

All values here are plain: keys are the harness' own labels (``key-1``, ``vertex-2``), never the
strings that were handed to the backend, so that nothing built from a history can print one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Ref:
    """The answer of an earlier operation of the same program, by the name it was bound to."""

    name: str

    def __str__(self) -> str:
        """Show the name as it stands in a program."""
        return self.name


@dataclass(frozen=True, slots=True)
class Invocation:
    """What was asked: the operation's name and its arguments, by name, in the order they were given."""

    name: str
    arguments: tuple[tuple[str, object], ...] = ()

    def get(self, name: str, default: object = None) -> object:
        """Answer one argument, or the default where it was not given."""
        for key, value in self.arguments:  # a loop: rules ask this for every step of every order
            if key == name:
                return value
        return default

    def __str__(self) -> str:
        """Show the call as a reader would write it; the regular pool goes without saying."""
        told = (f"{key}={shown(value)}" for key, value in self.arguments if (key, value) != ("pool", "regular"))
        return f"{self.name}({', '.join(told)})"


@dataclass(frozen=True, slots=True)
class Opaque:
    """An answer that is not plain: its type's name, and what can be said of it without printing a key."""

    type_name: str
    text: str = ""

    def __str__(self) -> str:
        """Show the type, and the text where there is one."""
        return f"<{self.type_name}{': ' + self.text if self.text else ''}>"


@dataclass(frozen=True, slots=True)
class Answered:
    """The call returned a value: None, bool, int, float, str, tuples (of lists too), dicts, or `Opaque`."""

    value: object

    def __str__(self) -> str:
        """Show the value."""
        return shown(self.value)


@dataclass(frozen=True, slots=True)
class Raised:
    """The call raised.

    ``typed`` tells whether the class is one that a caller can have agreed to (catalogue.md, *Typed error*).
    ``where`` is ``file:line`` of the innermost frame of the backend.
    """

    kind: str
    message: str
    typed: bool
    where: str = ""

    def __str__(self) -> str:
        """Show the class, the message and the place."""
        place = f" at {self.where}" if self.where else ""
        return f"raised {self.kind}({self.message!r}){place}"


@dataclass(frozen=True, slots=True)
class Skipped:
    """The backend has no such operation, or not this form of it: nothing was called."""

    why: str

    def __str__(self) -> str:
        """Show why nothing was called."""
        return f"not claimed: {self.why}"


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The call was cancelled by the harness before it answered."""

    def __str__(self) -> str:
        """Show the word."""
        return "cancelled"


LONGEST = 120  # characters of a value that is shown

Response: TypeAlias = Answered | Raised | Skipped | Cancelled


class Phase(enum.Enum):
    """The part of a program that an operation belongs to."""

    SETUP = "setup"
    PARALLEL = "parallel"
    FINALE = "finale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One invocation and its response.

    ``called`` and ``returned`` are positions in the one order of all calls and returns of the execution;
    ``returned`` and ``response`` are None for a *pending* operation, one that never came back.
    ``at`` and ``until`` are virtual seconds since the execution began.
    ``client`` is 0 for the setup and the finale, 1, 2, ... for the parallel clients.
    """

    invocation: Invocation
    response: Response | None
    called: int
    returned: int | None
    at: float
    until: float | None
    client: int = 0
    phase: Phase = Phase.SETUP
    bind: str | None = None

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.invocation.name

    @property
    def pending(self) -> bool:
        """Whether it never came back."""
        return self.returned is None

    @property
    def undeclared(self) -> bool:
        """Whether it raised what nobody agreed to."""
        return isinstance(self.response, Raised) and not self.response.typed

    @property
    def value(self) -> object:
        """What was answered; None also where nothing was."""
        return self.response.value if isinstance(self.response, Answered) else None

    def get(self, name: str, default: object = None) -> object:
        """Answer one argument of the invocation, or the default where it was not given."""
        return self.invocation.get(name, default)

    def back(self, response: Response, *, returned: int, until: float) -> Operation:
        """Answer the same operation, come back; made field by field, since this happens for every call."""
        return Operation(
            invocation=self.invocation,
            response=response,
            called=self.called,
            returned=returned,
            at=self.at,
            until=until,
            client=self.client,
            phase=self.phase,
            bind=self.bind,
        )

    def precedes(self, other: Operation) -> bool:
        """Tell whether this one had returned before the other was called."""
        return self.returned is not None and self.returned < other.called

    def __str__(self) -> str:
        """Show the call and what came of it."""
        return f"{self.invocation} → {self.response if self.response is not None else 'no answer'}"


def shown(value: object) -> str:
    """Show a plain value on one line, at most `LONGEST` characters of it."""
    match value:
        case str() | Ref() | Opaque():
            text = str(value) or '""'
        case dict():
            text = "{" + ", ".join(f"{key}: {shown(item)}" for key, item in value.items()) + "}"
        case tuple() | list():
            text = "[" + ", ".join(shown(item) for item in value) + "]"
        case _:
            text = repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One way a backend offers an operation: a method, what it takes, and for which pools.

    ``parameters`` are named as in the design (``model``, ``pool``, ``lease``, ...), not as in the backend.
    ``answers`` is False where the annotation promises nothing (``-> None``): there is no answer to judge.
    ``optional`` are the parameters that may be left out. ``where`` is the ``file:line`` of its definition, "" unknown.
    """

    name: str
    parameters: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    pools: frozenset[str] = frozenset({"regular", "vertex"})
    answers: bool = True
    is_async: bool = False
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a backend claims: the forms of each operation it has, the first one being the one that is used.

    ``given`` are the fields of a pool that its factory can be given; None stands for all of them. ``hidden`` is what
    cannot be seen of a backend in another process: the ``inside`` of it, its ``log``.
    """

    operations: Mapping[str, tuple[Form, ...]]
    given: frozenset[str] | None = None
    hidden: frozenset[str] = frozenset()

    def forms(self, name: str, pool: str = "regular") -> tuple[Form, ...]:
        """Answer the forms of an operation that reach this pool."""
        return tuple(form for form in self.operations.get(name, ()) if pool in form.pools)

    def takes(self, name: str, *parameters: str, pool: str = "regular") -> bool:
        """Tell whether the operation is there for this pool and its first form takes all these parameters."""
        forms = self.forms(name, pool)
        return bool(forms) and forms[0].parameters.issuperset(parameters)

    def answers(self, name: str, pool: str = "regular") -> bool:
        """Tell whether the operation is there for this pool and its answer may be judged."""
        forms = self.forms(name, pool)
        return bool(forms) and forms[0].answers

    @property
    def is_async(self) -> bool:
        """Whether any operation is a coroutine: such a backend lives on an event loop."""
        return any(form.is_async for forms in self.operations.values() for form in forms)
