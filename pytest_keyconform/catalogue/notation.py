"""A small text notation for histories, so that each rule carries its own.

::

    given regular=key-1,key-2 m1.rpm=2 max_failures=1
    policy exhaustion=fallback
    acquire(model=m1) -> key-1
    | record(lease=key-1, tokens=5) -> True
    | record(lease=key-1, tokens=7) -> True
    usage(key=key-1, model=m1) -> {"rpm": 2, "tpm": 12}
    advance(seconds=61)
    acquire(model=m1) -> raises KeyError

Lines that begin with ``|`` and stand together overlap, one client each. An answer is a Python literal or a bare word;
``a = acquire()`` names the answer. ``raises Name`` is an undeclared error, ``raises typed Name`` a declared one,
``pending`` a call that never came back, ``spinning`` one that never came back and never stopped running,
``cancelled`` one that the harness cancelled,
``skipped`` one the backend does not claim; ``... -> answer after 5`` is a call that took 5 seconds,
``... -> answer weighing 40`` one that ran 40 lines;
``<coroutine>`` an answer that is not plain. A line ``noise unawaited: text`` is something that went wrong beside.
``given source={"m1":{"RPM":2}}`` names a source of limits, ``given source.state=down`` one that is out of order; a line
``asked requests=1`` is what it saw in the end.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from typing import get_args

from pytest_keyconform.history import Ending, History, Noise, NoiseKind
from pytest_keyconform.limits_page import Asked, Published, State
from pytest_keyconform.operation import (
    Answered,
    Cancelled,
    Claims,
    Form,
    Invocation,
    Opaque,
    Operation,
    Phase,
    Raised,
    Response,
    Skipped,
)
from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.workload import Given, Limits

_OPERATIONS = {
    "open": (),
    "close": (),
    "crash": (),
    "restart": (),
    "acquire": ("model", "pool"),
    "release": ("lease",),
    "next_key": ("pool",),
    "random_key": ("model",),
    "record": ("lease", "model", "pool", "tokens", "outcome"),
    "fail": ("lease", "model", "pool", "retries", "status", "retry_after"),
    "usage": ("key", "model", "pool"),
    "reset_usage": (),
    "failures": ("key", "pool"),
    "is_valid": ("key", "pool"),
    "reset": ("key", "pool"),
    "reset_all": (),
    "reactivate": ("key", "model"),
    "status": ("pool",),
    "all_keys": (),
    "state": (),
    "instance": ("api_keys", "vertex_api_keys"),
    "reset_instance": (),
    "reload": ("api_keys", "vertex_api_keys"),
    "tick": (),
    "health": (),
    "stream": ("model", "pool"),
    "call": ("model", "pool", "send"),
    "bulk": ("keys",),
    "configure": ("settings",),
    "is_secret": ("name",),
    "migrate": ("rows",),
    "advance_layer": (),
}

EVERYTHING = Claims(
    operations={name: (Form(name=name, parameters=frozenset(taken)),) for name, taken in _OPERATIONS.items()}
)


def read(text: str) -> tuple[History, Policies]:
    """Read a history in the notation above, and the policies it is to be judged by.

    Raises ValueError for a line that cannot be read.
    """
    reader = _Reader()
    for number, line in enumerate(text.strip().splitlines(), start=1):
        try:
            reader.take(line.strip())
        except (ValueError, SyntaxError) as error:
            message = f"line {number} of the history cannot be read: {line.strip()!r} ({error})"
            raise ValueError(message) from error
    return reader.history(), Policies.of(reader.policies)


class _Reader:
    def __init__(self) -> None:
        self.given = Given()
        self.policies: dict[str, object] = {}
        self.operations: list[Operation] = []
        self.noise: list[Noise] = []
        self.asked: Asked | None = None
        self.spinning = False
        self.weights: list[tuple[int, int]] = []
        self.now = 0.0
        self.clock = 0
        self.group: list[int] = []  # positions of the parallel lines that stand together

    def take(self, line: str) -> None:
        head, _, rest = line.partition(" ")
        match head:
            case "":
                return
            case "given":
                self.given = _given(rest)
            case "policy":
                self.policies |= {name: _value(text) for name, text in _pairs(rest)}
            case "asked":
                self.asked = Asked(**{name: _value(text) for name, text in _pairs(rest)})  # type: ignore[arg-type] # by name
            case "noise":
                kind, _, about = rest.partition(": ")
                self.noise.append(Noise(NoiseKind[kind.upper()], about))
            case "|":
                self.add(rest, parallel=True)
            case _:
                self.add(line, parallel=False)

    def add(self, line: str, *, parallel: bool) -> None:
        match = re.fullmatch(r"(?:(\w+) = )?(\w+)\((.*?)\)(?: -> (.*?))?(?: after ([\d.]+))?(?: weighing (\d+))?", line)
        if match is None:
            message = "expected 'operation(name=value, ...) -> answer'"
            raise ValueError(message)
        bind, name, arguments, answer, took, weight = match.groups()
        invocation = Invocation(name, tuple((key, _value(text)) for key, text in _pairs(arguments, ",")))
        if name == "advance":
            self.now += float(str(invocation.get("seconds")))
            self.group = []
            return
        self.group = [*self.group, len(self.operations)] if parallel else []
        response = _response(answer)
        self.spinning |= answer == "spinning"
        self.operations.append(
            Operation(
                invocation=invocation,
                response=response,
                called=self._next(),
                returned=None if response is None else self._next(),
                at=self.now,
                until=None if response is None else self.now + float(took or 0),
                client=len(self.group),
                phase=Phase.PARALLEL if parallel else Phase.FINALE,
                bind=bind,
            )
        )
        if weight is not None:
            self.weights.append((self.operations[-1].called, int(weight)))
        self._overlap()
        self.now += 0 if parallel else float(took or 0)

    def history(self) -> History:
        if not self.operations or self.operations[0].name != "open":
            opened = Operation(
                invocation=Invocation("open"), response=Answered(None), called=-1, returned=0, at=0.0, until=0.0
            )
            self.operations.insert(0, opened)
        first = next((i for i, op in enumerate(self.operations) if op.phase is Phase.PARALLEL), 10**9)
        operations = tuple(
            replace(op, phase=Phase.SETUP) if op.phase is Phase.FINALE and index < first else op
            for index, op in enumerate(self.operations)
        )
        endless = Ending.LIVELOCK if self.spinning else Ending.DEADLOCK
        ending = endless if any(op.pending for op in operations) else Ending.FINISHED
        return History(
            given=self.given,
            operations=operations,
            ending=ending,
            noise=tuple(self.noise),
            weights=tuple(self.weights),
            asked=self.asked,
        )

    def _next(self) -> int:
        self.clock += 1
        return self.clock

    def _overlap(self) -> None:
        last = self._next()
        for position in self.group:
            operation = self.operations[position]
            if operation.returned is not None:
                self.operations[position] = replace(operation, returned=last)


def _pairs(text: str, separator: str = " ") -> list[tuple[str, str]]:
    """Split into names and values, at separators that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == separator and not depth:
            parts.append("")
        else:
            parts[-1] += character
    named = (part.strip().partition("=") for part in parts if part.strip())
    return [(name, value) for name, _, value in named]


def _value(text: str) -> object:
    if ";" in text:  # a list, such as key-1;key-2 or key-1;
        return tuple(filter(None, text.split(";")))
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        opaque = re.fullmatch(r"<(\w+)>", text)
        return Opaque(opaque.group(1)) if opaque else text


def _response(text: str | None) -> Response | None:
    if text is None:
        return Answered(None)
    head, _, rest = text.partition(" ")
    match head:
        case "pending" | "spinning":
            return None
        case "cancelled":
            return Cancelled()
        case "skipped":
            return Skipped("not claimed")
        case "raises":
            typed, _, kind = rest.rpartition(" ")
            return Raised(kind, "", typed=typed == "typed")
        case _:
            return Answered(_value(text))


def _given(text: str) -> Given:
    given = Given()
    limits: dict[str, Limits] = dict(given.limits)
    for name, value in _pairs(text):
        if name.startswith("source"):
            given = replace(given, source=_source(name, value))
        elif name in ("regular", "vertex"):
            given = replace(given, **{name: tuple(filter(None, value.split(",")))})  # type: ignore[arg-type] # by name
        elif "." in name:
            model, _, field = name.rpartition(".")
            limits[model] = replace(limits.get(model, Limits()), **{field: int(value)})
        else:
            given = replace(given, **{name: _value(value)})  # type: ignore[arg-type] # by name
    return replace(given, limits=tuple(limits.items()))


def _source(name: str, value: str) -> Published:
    """Read ``source={"m1":{"RPM":2}}``, or ``source.state=down``."""
    if name == "source":
        return Published(page=json.dumps(_value(value)))
    return Published(state=next(state for state in get_args(State) if state == value))
