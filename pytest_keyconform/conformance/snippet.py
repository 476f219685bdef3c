"""A counterexample as a script that shows it without the harness, where a script can."""

from __future__ import annotations

import inspect
import random
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from pytest_keyconform.adapters.base import Adapter
from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.spelling import variable
from pytest_keyconform.engine.clock import START
from pytest_keyconform.engine.handles import NeedsRealLoop
from pytest_keyconform.engine.shrink import again
from pytest_keyconform.history import Ending
from pytest_keyconform.judging import judge_of
from pytest_keyconform.operation import Answered, Cancelled, Phase, Raised, Skipped
from pytest_keyconform.schedule import Base, Schedule
from pytest_keyconform.spec.pool import Limits, Pool
from pytest_keyconform.verdict import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.engine.explore import Found, Judge, Runner
    from pytest_keyconform.execution import Execution, Spelled
    from pytest_keyconform.operation import Claims, Form, Operation

PATIENCE: Final = 10  # seconds that a script waits for an answer
_MOMENT: Final = 0.001  # seconds: the virtual clock goes on by a little at each call, so that no two are at once
_MOST: Final = 60  # calls of a script that is still read
_OWN: Final = frozenset({"jump", "mutate", "spoil"})  # arguments of a step that are the harness' own doing
_STORING: Final = ("migrate",)  # operations on what is stored, which a script would have to make
_ENDED: Final = (Ending.FINISHED, Ending.DEADLOCK)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call: what was recorded of it, and how it is spelled."""

    operation: Operation
    spelled: Spelled


class _Impossible(Exception):
    """No script shows this counterexample."""


def snippet(target: Target, runner: Runner, found: Found, rule: Invariant, *, seed: int) -> str | None:
    """Answer a script that makes the calls of a counterexample, and prints what they answer; None where none can.

    It can where every call is one that a caller makes, on one instance in memory, one after the other or begun
    together in the order in which asyncio itself runs them. A breach that was found in another order is tried in
    that one, once. ``seed`` is what chance was seeded with.
    """
    head = f"{rule.id}: {rule.title()}"
    for execution in _executions(runner, found, judge_of(rule)):
        try:
            return _Script(target, rule.claims, execution, seed).text(found.violation, head)
        except _Impossible:
            continue
    return None


def _executions(runner: Runner, found: Found, judge: Judge) -> Iterator[Execution]:
    """Yield the execution that was found, and the one in the order of asyncio where that shows the same breach."""
    yield found.execution
    plain = Schedule(base=Base.FIFO)
    if found.execution.workload.clients and runner.name == "tasks" and found.execution.schedule != plain:
        try:
            execution = again(runner, found.execution.workload, plain)
        except NeedsRealLoop:  # in this order alone: the breach stands as it was found
            return
        judgement = judge(execution.history)
        if isinstance(judgement, Violation) and judgement.signature == found.violation.signature:
            yield execution


class _Script:
    """Writes the script of one execution."""

    def __init__(self, target: Target, claims: Claims, execution: Execution, seed: int) -> None:
        self._target = target
        self._seed = seed if _by_chance(target) else None
        self._claims = claims
        self._workload = execution.workload
        self._calls = tuple(_calls(execution))
        _check(target, execution, self._calls)
        self._apart = [call for call in self._calls if call.operation.phase is Phase.PARALLEL]
        if not any(_overlap(self._calls)):
            self._apart = []
        elif not _as_asyncio_runs(execution, self._apart):
            raise _Impossible
        self._timed = bool(self._workload.given.starts) or any(call.operation.at > _MOMENT for call in self._calls)
        self._is_async = any(call.spelled.awaited for call in self._calls) or any(one.is_async for one in self._opens())
        self._leases = isinstance(target.factory, type) and issubclass(target.factory, Adapter)
        self._factory = target.text.partition(":")[2]

    def text(self, violation: Violation, head: str) -> str:
        """Answer the whole of it."""
        body = tuple(self._body())
        used = "\n".join(body)
        return "\n".join(
            (
                f'"""{_quoted(head)}',
                "",
                _quoted(f"expected: {violation.expected}"),
                _quoted(f"observed: {violation.observed}"),
                '"""',
                "",
                *self._imports(used),
                "",
                "",
                *body,
                "",
                "",
                f"asyncio.run(asyncio.wait_for(main(), {PATIENCE}))" if self._is_async else "main()",
                "",
            )
        )

    def _imports(self, used: str) -> Iterator[str]:
        if self._is_async:
            yield "import asyncio"
        if self._timed:
            yield "import freezegun"
        if self._seed is not None:
            yield "import random"
        if self._is_async or self._timed or self._seed is not None:
            yield ""
        module = self._target.text.partition(":")[0]
        first = self._factory.partition(".")[0]
        yield f"from {module} import {first}"
        names = [name for name in ("Lease", "Limits", "Pool") if f"{name}(" in used]
        if names:
            yield f"from pytest_keyconform import {', '.join(names)}"

    def _body(self) -> Iterator[str]:
        begins = (START + timedelta(seconds=self._workload.given.starts)).replace(tzinfo=None)
        yield f"{'async ' if self._is_async else ''}def main():"
        depth = 1
        if self._timed:
            real = ", real_asyncio=True" if self._is_async else ""
            yield f'    with freezegun.freeze_time("{begins.isoformat(sep=" ")}"{real}) as clock:'
            depth = 2
        yield from (f"{'    ' * depth}{line}" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        if self._seed is not None:
            yield f"random.seed({self._seed})"
        awaiting = "await " if inspect.iscoroutinefunction(self._target.factory) else ""
        yield f"manager = {awaiting}{self._factory}({', '.join(self._handed())})"
        yield from (f"{'await ' if one.is_async else ''}manager.{one.name}()" for one in self._opens())
        now = 0.0
        parallel = {id(call) for call in self._apart}
        for call in self._calls:
            if id(call) in parallel:
                if call is self._apart[0]:
                    yield from self._pause(call.operation.at - now)
                    yield from self._together()
            else:
                yield from self._pause(call.operation.at - now)
                yield from self._call(call)
            now = call.operation.at

    def _pause(self, seconds: float) -> Iterator[str]:
        if seconds > _MOMENT:
            yield f"clock.tick({round(seconds, 3):g})"

    def _call(self, call: _Call) -> Iterator[str]:
        operation, spelled = call.operation, call.spelled
        name = variable(spelled.bind) if spelled.bind else "answer"
        line = f"{name} = {'await ' if spelled.awaited else ''}{spelled.code}"
        said = spelled.code.partition("(")[0].removeprefix("manager.")
        shown = f"getattr({name}, 'key', {name})" if self._leases and operation.name == "acquire" else name
        seen = "no answer" if operation.response is None else str(operation.response)
        if isinstance(operation.response, Raised):
            yield "try:"
            yield f"    {line}"
            yield f'    print(f"{said}: {{{shown}!r}}")'
            yield "except Exception as error:"
            yield f'    print(f"{said} raised {{error!r}}")  # was: {_commented(seen)}'
        else:
            yield line
            yield f'print(f"{said}: {{{shown}!r}}")  # was: {_commented(seen)}'

    def _together(self) -> Iterator[str]:
        clients = sorted({call.operation.client for call in self._apart})
        for client in clients:
            yield ""
            yield f"async def client_{client}():"
            for number, call in enumerate(one for one in self._apart if one.operation.client == client):
                if number:
                    yield "    await asyncio.sleep(0)"
                yield from (f"    {line}" for line in self._call(call))
        yield ""
        yield f"await asyncio.gather({', '.join(f'client_{client}()' for client in clients)})"

    def _opens(self) -> tuple[Form, ...]:
        return self._claims.forms("open")[:1]

    # -- what the factory is handed

    def _handed(self) -> Iterator[str]:
        keyring = Keyring()
        pool = keyring.pool_of(self._workload.given)
        hands = self._target.handing
        if hands.fields is None:
            text = f"Pool({', '.join(self._fields(pool, keyring))})"
            yield from (text for _ in hands.placed)
            yield from (f"{name}={text}" for name in hands.named)
        else:
            yield from (self._field(getattr(pool, name), keyring) for name in hands.placed)
            yield from (f"{name}={self._field(getattr(pool, name), keyring)}" for name in hands.named)

    def _fields(self, pool: Pool, keyring: Keyring) -> Iterator[str]:
        plain = Pool()
        for name in Pool.model_fields:
            value = getattr(pool, name)
            if value != getattr(plain, name):
                yield f"{name}={self._field(value, keyring)}"

    def _field(self, value: object, keyring: Keyring) -> str:
        if isinstance(value, Limits):
            set_ = ((name, getattr(value, name)) for name in Limits.model_fields)
            return f"Limits({', '.join(f'{name}={limit}' for name, limit in set_ if limit is not None)})"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{name!r}: {self._field(item, keyring)}' for name, item in value.items())}}}"
        shown = keyring.conceal(value)
        return repr(list(shown) if isinstance(shown, tuple) else shown)


def _calls(execution: Execution) -> Iterator[_Call]:
    spelled = {one.called: one for one in execution.spelled}
    for operation in execution.history.operations[1:]:
        if isinstance(operation.response, Skipped):
            continue
        how = spelled.get(operation.called)
        if how is None or not how.code or operation.name in _STORING or isinstance(operation.response, Cancelled):
            raise _Impossible
        yield _Call(operation, how)


def _check(target: Target, execution: Execution, calls: Sequence[_Call]) -> None:
    """Raise `_Impossible` where the execution is about more than calls on one manager in memory."""
    workload, history = execution.workload, execution.history
    opening = history.operations[0] if history.operations else None
    usual = not (workload.apart or workload.overheard or workload.unopened or workload.weighed or workload.given.source)
    opened = opening is not None and isinstance(opening.response, Answered)
    plain = target.dialogue is None and target.policies.durability == "none" and not target.policies.secret_keys
    timely = all((call.operation.until or 0.0) - call.operation.at < _MOMENT for call in calls)
    if not (usual and opened and plain and timely and history.ending in _ENDED and 0 < len(calls) <= _MOST):
        raise _Impossible
    if any(one.operation.response is None and not one.spelled.awaited for one in calls):
        raise _Impossible
    if execution.history.noise or (target.fields and "storage" in target.fields):
        raise _Impossible
    own = [
        step.name
        for _, _, step in workload.steps()
        if step.name == "set_clock" or _OWN.intersection(dict(step.invocation.arguments))
    ]
    if own:
        raise _Impossible


def _by_chance(target: Target) -> bool:
    """Tell whether a module of the backend has `random`, or something of it."""
    held = (value for module in target.modules() for value in vars(module).values())
    return any(value is random or getattr(value, "__module__", None) == "random" for value in held)


def _overlap(calls: Sequence[_Call]) -> Iterator[bool]:
    for first, second in pairwise(calls):
        ended = first.operation.returned
        yield ended is None or ended > second.operation.called


def _as_asyncio_runs(execution: Execution, apart: Sequence[_Call]) -> bool:
    """Tell whether asyncio itself runs the clients so: those that are ready go on in their order, in no time."""
    fifo = replace(execution.schedule, fair_from=None)
    plain = fifo.base is Base.FIFO and not fifo.deviations
    at_once = apart[-1].operation.at - apart[0].operation.at < _MOMENT
    return plain and at_once and all(call.spelled.awaited for call in apart)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''")


def _commented(text: str) -> str:
    return " ".join(text.split())
