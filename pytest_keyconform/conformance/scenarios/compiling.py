"""From a scenario to the workload that an engine runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_keyconform.catalogue import steps
from pytest_keyconform.operation import Invocation, Ref
from pytest_keyconform.spec.scenario.checks import BEGINNING
from pytest_keyconform.workload import Given, Limits, Step, Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_keyconform.spec import scenario as written
    from pytest_keyconform.spec.scenario.steps import Step as Written

NAME = "scenario"
FIRST = 4  # awaits at which a call is cancelled where the scenario names none
MODELLED = (
    "acquire",
    "call",
    "stream",
    "random_key",
    "record",
    "fail",
    "usage",
)  # about the default model where none is named
ALWAYS_SAID = ("status", "tokens", "outcome", "retries")
EXACT = frozenset({"tokens", "retry_after"})  # what changes the meaning of a story where it is not heard
SAYING = ("bad", "mutate", "form", "positional")
RENAMED = {("record", "key"): "lease", ("fail", "key"): "lease", ("release", "key"): "lease"}


@dataclass(frozen=True, slots=True)
class Compiled:
    """A workload, and under which names its answers are recorded: several for a call that is repeated.

    ``reads`` are the answers that an expectation has read at the end, by its place.
    """

    workload: Workload
    names: Mapping[str, tuple[str, ...]]
    reads: Mapping[int, tuple[str, ...]]


@dataclass
class _Compiling:
    """``latest`` is what a name means at the step that is reached, ``seconds`` how late it is."""

    scenario: written.Scenario
    at: int
    latest: dict[str, str] = field(default_factory=dict)
    pools: dict[str, str] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    count: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    streams: int = 0


def variants(scenario: written.Scenario) -> int:
    """Answer how many workloads a scenario stands for: one for each await that a call is cancelled at."""

    def open_ended(step: Written) -> bool:
        match step.kind:
            case "cancel":
                return step.body.at is None
            case "repeat":
                return any(map(open_ended, step.body.do))
            case "parallel":
                return any(open_ended(inner) for caller in step.body for inner in _listed(caller))
            case _:
                return False

    return FIRST if any(map(open_ended, scenario.when)) else 1


def compiled(scenario: written.Scenario, *, at: int = 0) -> Compiled:
    """Compile a scenario; ``at`` is the await to cancel at where it names none."""
    making = _Compiling(scenario, at)
    setup: list[Step] = []
    clients: list[tuple[Step, ...]] = []
    finale: list[Step] = []
    for step in scenario.when:
        if step.kind == "parallel":
            clients = list(_clients(making, step.body))
        else:
            (finale if clients else setup).extend(_steps(making, step))
    if any(step.name == "crash" or step.invocation.get("kill") is not None for step in setup):
        setup, clients = [], [tuple(setup)]
    reads = {number: _reads(making, one, number) for number, one in enumerate(scenario.then)}
    finale += [step for found in reads.values() for step in found]
    workload = Workload(
        name=NAME if variants(scenario) == 1 else f"{NAME}-{at}",
        given=given_of(scenario.given),
        setup=tuple(setup),
        clients=tuple(clients),
        finale=tuple(finale),
        apart=scenario.given.apart or (len(clients) == 1 and not setup),
        unopened=not scenario.given.opened,
        overheard=any(one.kind == "log_free_of_keys" for one in scenario.then),
        whole=any(one.kind != "keeps" for one in scenario.then),  # what is expected is so after all of the steps
    )
    return Compiled(
        workload,
        {name: tuple(binds) for name, binds in making.names.items()},
        {number: tuple(str(step.bind) for step in found) for number, found in reads.items()},
    )


def given_of(given: written.Given) -> Given:
    """Answer the pool of a workload."""
    limits = tuple((model, Limits(rpm=row.rpm, tpm=row.tpm, rpd=row.rpd)) for model, row in given.limits.items())
    plain = Given()
    needs = {name for name in ("max_failures", "max_retries") if getattr(given, name) != getattr(plain, name)}
    needs |= {"default_model"} if given.model != plain.default_model else set()
    needs |= {"paid_key"} if given.paid_key else set()
    needs |= {"limits"} if any(row != Limits() for _, row in limits) else set()
    return Given(
        regular=given.regular,
        vertex=given.vertex,
        limits=limits,
        default_model=given.model,
        max_failures=given.max_failures,
        max_retries=given.max_retries,
        paid_key=given.paid_key,
        starts=0.0 if given.begins is None else (given.begins - BEGINNING).total_seconds(),
        needs=frozenset(needs),
    )


def _listed(caller: Written | tuple[Written, ...]) -> tuple[Written, ...]:
    return caller if isinstance(caller, tuple) else (caller,)


def _clients(making: _Compiling, callers: Iterable[Written | tuple[Written, ...]]) -> Iterator[tuple[Step, ...]]:
    for caller in callers:
        if not isinstance(caller, tuple) and caller.kind == "repeat":
            for _ in range(caller.body.times):
                yield from _clients(making, caller.body.do)
        else:
            yield tuple(step for one in _listed(caller) for step in _steps(making, one))


def _steps(making: _Compiling, step: Written) -> Iterator[Step]:
    body: Any = step.body
    match step.kind:
        case "repeat":
            yield from (found for inner in body.do * body.times for found in _steps(making, inner))
        case "cancel":
            yield _operation(making, body.call, cancel=making.at if body.at is None else body.at)
        case "crash":
            yield from [] if body.during is None else [_operation(making, body.during, kill=body.at)]
            yield steps.crash()
        case "fault":
            yield steps.fault(after=body.after, times=body.times)
        case "advance":
            yield steps.advance(_until(making, body))
        case "set_clock":
            making.seconds += body
            yield steps.set_clock(body)
        case _:
            yield _operation(making, step)


def _until(making: _Compiling, wanted: float | datetime) -> float:
    """Answer the seconds to let pass; calls take next to none, so that an instant is met from behind."""
    seconds = float(wanted) if not isinstance(wanted, datetime) else _since(making, wanted)
    making.seconds += seconds
    return seconds


def _since(making: _Compiling, wanted: datetime) -> float:
    now = (making.scenario.given.begins or BEGINNING) + timedelta(seconds=making.seconds)
    return max(0.0, (wanted - now).total_seconds())


def _operation(making: _Compiling, step: Written, **special: object) -> Step:
    body: Any = step.body
    arguments: dict[str, object] = {}
    for name in type(body).model_fields:
        if name in ("as_", "optional", *SAYING):
            continue
        arguments |= _argument(making, step.kind, body, name)
    arguments |= {name: value for name in SAYING if (value := getattr(body, name, None))}
    bind = _bound(making, body.as_, arguments.get("pool"))
    return Step(
        invocation=Invocation(step.kind, (*arguments.items(), *special.items())),
        bind=bind,
        optional=getattr(body, "optional", False),
        exact=not EXACT.isdisjoint(body.model_fields_set),
    )


def _argument(making: _Compiling, kind: str, body: Any, name: str) -> dict[str, object]:  # noqa: ANN401 - any model
    """Answer one argument as the harness calls it; nothing where it is left out."""
    value = getattr(body, name)
    said = name in body.model_fields_set
    match name:
        case "key":
            ref = making.latest.get(value) if isinstance(value, str) else None
            found: dict[str, object] = {RENAMED.get((kind, name), name): value if ref is None else Ref(ref)}
            return found | ({"of": ref} if ref is not None and kind == "release" else {})  # whose lease, for the rules
        case "pool":
            return {name: value or _pool(making, getattr(body, "key", None))}
        case "model" if kind in MODELLED and not said:
            return {name: making.scenario.given.model}
        case "send" | "upstream":
            return {name: tuple(map(str, value))} if value or name == "send" else {}
        case "of":
            making.streams += 1
            return {name: value or f"stream-{making.streams}"}
        case _:
            return {name: value} if said or name in ALWAYS_SAID else {}


def _pool(making: _Compiling, key: object) -> str:
    if not isinstance(key, str):
        return "regular"
    if key in making.pools:
        return making.pools[key]
    given = making.scenario.given
    return "vertex" if key in given.vertex and key not in given.regular else "regular"


def _bound(making: _Compiling, name: str | None, pool: object) -> str | None:
    """Answer what an answer is recorded under: its name, and a number behind it where it comes again."""
    if name is None:
        return None
    making.count[name] += 1
    bind = name if making.count[name] == 1 else f"{name}#{making.count[name]}"
    making.latest[name] = bind
    making.pools[name] = str(pool or "regular")
    making.names.setdefault(name, []).append(bind)
    return bind


def _reads(making: _Compiling, expectation: written.Expectation, number: int) -> tuple[Step, ...]:
    """Answer what an expectation reads at the end, each under a name of its own."""
    match expectation.kind:
        case "usage" if expectation.usage is not None:
            asked = expectation.usage
            model = asked.model if "model" in asked.model_fields_set else making.scenario.given.model
            found = [steps.usage(asked.key, model=model, pool=asked.pool or _pool(making, asked.key))]
        case "state_of" if expectation.state_of is not None:
            state = expectation.state_of
            pool = state.pool or _pool(making, state.key)
            found = [steps.status(pool=pool)]
            found += [steps.is_valid(state.key, pool=pool)] if state.valid is not None else []
            found += [steps.failures(state.key, pool=pool)] if state.failures is not None else []
        case _:
            return ()
    return tuple(
        Step(invocation=step.invocation, bind=f"then_{number}_{step.name}", optional=step.optional) for step in found
    )
