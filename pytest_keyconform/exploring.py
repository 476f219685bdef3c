"""`explore`: run operations of your own at once, in every order that matters, with a judge of your own."""

from __future__ import annotations

import contextlib
import inspect
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.handles import NeedsRealLoop
from pytest_keyconform.engine.open.on_tasks import TaskPrograms
from pytest_keyconform.engine.open.on_threads import ThreadPrograms
from pytest_keyconform.engine.open.program import NO_STATE, Outcome, UserProgram
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.search.portfolio import Portfolio
from pytest_keyconform.engine.search.replay import Replay
from pytest_keyconform.engine.threads.world import ThreadWorld
from pytest_keyconform.errors import TokenError, UsageError
from pytest_keyconform.render.timeline import plural, table_of
from pytest_keyconform.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_keyconform.engine.search import Scheduler

    Runner: TypeAlias = TaskPrograms | ThreadPrograms

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SMALLER = 300  # executions spent on a schedule with fewer deviations
CLIENT = re.compile(r"client-(\d+)")
TOKEN = re.compile(r"x(?P<version>\d+):(?P<engine>tasks|threads)(?:@(?P<python>[\d.]+))?:(?P<schedule>.+)")


class Broken(AssertionError):
    """An order in which the program goes wrong. ``token`` runs it again: ``explore(..., replay=token)``."""

    def __init__(self, text: str, token: str) -> None:
        super().__init__(text)
        self.token = token


class NotJudged(AssertionError):
    """The program could not be judged, and why: no order of it was found wrong, and yet it does not pass."""


@dataclass(frozen=True, slots=True)
class Explored:
    """What was run without anything going wrong. ``exhausted``: every order that can make a difference."""

    engine: str
    executions: int
    exhausted: bool


def explore(  # noqa: PLR0913 - each is the user's to say
    *operations: Callable[..., Any],
    setup: Callable[[], Any] | None = None,
    check: Callable[..., object] | None = None,
    judge: Callable[[Outcome], object] | None = None,
    budget: int = 2000,
    seed: int = 0,
    replay: str | None = None,
    max_steps: int = 20_000,
) -> Explored:
    """Run operations at once under one schedule after the other, and stop at the first that goes wrong.

    Coroutine functions are tasks that take turns at their awaits; plain functions are threads that take turns at every
    visible instruction. ``setup`` makes what they share, anew for each execution, and is handed to each of them.
    ``check`` gets it afterwards (nothing without ``setup``): False, or an AssertionError, is wrong. So is an operation
    that raises, unless a ``judge`` takes the `Outcome` instead: False, a text, or an AssertionError is wrong. A
    deadlock and a livelock always are. ``budget`` bounds the executions; the same ``seed`` makes the same ones.

    Raises `Broken` with a page that tells the two apart, `NotJudged` where nothing can be said, and `UsageError` for
    arguments that cannot be used.
    """
    __tracebackhide__ = True  # a test runner shows the line that called this, and the page
    program = _program(operations, setup)
    judged = _judge(check, judge, has_state=setup is not None)
    clock = VirtualClock()
    with clock, _runner(program, clock, max_steps) as runner:
        try:
            if replay is not None:
                return _replayed(runner, program, judged, replay)
            return _explored(runner, program, judged, Portfolio(seed=seed, budget=budget))
        except NeedsRealLoop as need:
            message = f"explore: {need}; what waits for the operating system cannot be put in order"
            raise NotJudged(message) from None


def _program(operations: tuple[Callable[..., Any], ...], setup: Callable[[], Any] | None) -> UserProgram:
    if not operations or not all(map(callable, operations)):
        raise UsageError(f"explore: expected functions to run at once, found {operations!r}")
    kinds = {inspect.iscoroutinefunction(one) for one in operations}
    if len(kinds) > 1:
        raise UsageError("explore: expected either coroutine functions or plain ones, found both")
    return UserProgram(operations, setup)


@contextlib.contextmanager
def _runner(program: UserProgram, clock: VirtualClock, max_steps: int) -> Iterator[Runner]:
    if program.is_async:
        yield TaskPrograms(clock, max_steps=max_steps)
        return
    used = [*program.operations, *([program.setup] if program.setup else [])]
    names = {getattr(one, "__module__", None) for one in used}
    roots = [module for name, module in sys.modules.items() if name in names]
    with ThreadWorld(clock, lambda: roots) as world:
        yield ThreadPrograms(clock, world, max_steps=max_steps)


def _judge(
    check: Callable[..., object] | None, judge: Callable[[Outcome], object] | None, *, has_state: bool
) -> Callable[[Outcome], str | None]:
    """Answer what tells of an outcome why it is wrong; None: it is not."""
    if check is not None and judge is not None:
        raise UsageError("explore: expected check or judge, found both")

    def judged(outcome: Outcome) -> str | None:
        if outcome.stuck is not None:
            return outcome.stuck
        if judge is not None:
            return _said(lambda: judge(outcome), "the judge answered False")
        error = next((one for one in outcome.errors if one is not None), None)
        if error is not None:
            return f"an operation raised {error!r}"
        if check is None:
            return None
        arguments = (outcome.state,) if has_state and outcome.state is not NO_STATE else ()
        return _said(lambda: check(*arguments), "the check answered False")

    return judged


def _said(ask: Callable[[], object], no: str) -> str | None:
    try:
        answer = ask()
    except AssertionError as error:
        return str(error) or no
    return answer if isinstance(answer, str) else no if answer is False else None


def _explored(
    runner: Runner, program: UserProgram, judged: Callable[[Outcome], str | None], portfolio: Portfolio
) -> Explored:
    __tracebackhide__ = True
    executions, overlapped = 0, None
    while portfolio.begin():
        outcome = runner.run(program, portfolio)
        executions += 1
        why = judged(outcome)
        if why is not None:
            raise _broken(runner, program, judged, outcome.schedule, why, executions)
        overlapped = outcome.overlapped or overlapped or outcome.overlapped
    if not portfolio.steady:
        raise NotJudged("explore: the same choices led to different programs, so it depends on chance or on real time")
    if overlapped is False and len(program.operations) > 1:
        raise NotJudged(
            "explore: no two operations ever both stood where a choice could be made; is their code traced?"
        )
    return Explored(runner.name, executions, portfolio.exhausted)


def _broken(
    runner: Runner,
    program: UserProgram,
    judged: Callable[[Outcome], str | None],
    schedule: Schedule,
    why: str,
    executions: int,
) -> AssertionError:
    """Answer the page of what went wrong, for the schedule with the fewest deviations that shows it."""
    bounded = Bounded(last=2)
    for _ in range(SMALLER if len(schedule.deviations) > 1 else 0):
        if not bounded.begin():
            break
        outcome = runner.run(program, bounded)
        if judged(outcome) and len(outcome.schedule.deviations) < len(schedule.deviations):
            schedule = outcome.schedule
            break
    outcome = _again(runner, program, schedule)
    again = judged(outcome)
    if again is None:
        return NotJudged(f"explore: seen once, and not again under the same schedule: {why}")
    python = f"@{PYTHON}" if runner.name == "threads" else ""
    token = f"x1:{runner.name}{python}:{schedule}"
    word = runner.name.removesuffix("s")
    lines = [
        CLIENT.sub(lambda match: f"{word} {chr(ord('A') + int(match[1]) - 1)}", again),
        f"  {plural(len(program.operations), 'operation')}, found in {plural(executions, 'execution')}",
        f'  replay: explore(..., replay="{token}")',
        "",
        *table_of(outcome.moments, word=word),
    ]
    return Broken("\n".join(lines), token)


def _again(runner: Runner, program: UserProgram, schedule: Schedule) -> Outcome:
    replay: Scheduler = Replay(schedule)
    replay.begin()
    return runner.run(program, replay, observed=True)


def _replayed(runner: Runner, program: UserProgram, judged: Callable[[Outcome], str | None], token: str) -> Explored:
    """Run the one execution that a token names; raises `TokenError` where it cannot be one of this program."""
    __tracebackhide__ = True
    match = TOKEN.fullmatch(token.strip())
    if match is None or match["version"] != "1":
        raise TokenError(f"explore: expected a token such as x1:tasks:r1-1, as a page shows it, found {token!r}")
    if match["engine"] != runner.name or match["python"] not in (None, PYTHON):
        found = f"{match['engine']}{' of Python ' + match['python'] if match['python'] else ''}"
        raise TokenError(f"explore: the token {token!r} is of {found}, this is {runner.name} on Python {PYTHON}")
    try:
        schedule = Schedule.parse(match["schedule"])
    except ValueError as error:
        raise TokenError(f"explore: the token {token!r} cannot be read: {error}") from error
    why = judged(_again(runner, program, schedule))
    if why is not None:
        raise _broken(runner, program, judged, schedule, why, 1)
    return Explored(runner.name, 1, exhausted=False)
