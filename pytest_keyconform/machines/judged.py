"""A machine whose programs are run against a target and judged by invariants."""

from __future__ import annotations

import itertools
import unittest
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NoReturn, TypeVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue import CATALOGUE, steps
from pytest_keyconform.catalogue.fitting import Misfit, fit, inapplicable
from pytest_keyconform.engine.abandoning import Abandoning
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.explore import Unjudged, explore
from pytest_keyconform.engine.loop import NeedsRealLoop
from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.engine.survey import survey
from pytest_keyconform.engine.watchdog import TimedOut, Watchdog
from pytest_keyconform.judging import judge_of
from pytest_keyconform.machines.program import ProgramMachine, pool_given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.engine.explore import Runner
    from pytest_keyconform.engine.survey import Backend
    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step, Workload


T = TypeVar("T")

ORDERS: Final = 20  # in which an invariant's own program is run each time it is drawn

ANYWHERE: Final = frozenset(
    (
        *("ACQ06", "ACQ08", "QUO06", "QUO08", "QUO09", "QUO11", "EXH03", "EXH06", "EXH07", "UNK01", "UNK02", "UNK03"),
        *("UNK04", "UNK05", "UNK06", "UNK08", "FAIL03", "FAIL04", "FAIL06", "FAIL10", "FAIL11", "FAIL12", "FAIL13"),
        *("VTX03", "FMT05", "LIFE08", "TIME01", "TIME02", "TIME03", "TIME04", "TIME05", "TIME06", "TIME08"),
        *("DUR01", "DUR02", "DUR03"),
    )
)
"""Invariants that judge the programs of their machine too, though a run of the catalogue shows them their own alone.

Each says only why one answer cannot be, and has accused no sound manager of the tests by a generated program. EXH04,
QUO10 and VTX04 have: they rely on what their own programs do not do.
"""


class JudgedMachine(ProgramMachine):
    """Runs programs against a target; the base of every machine that users subclass.

    ``target`` is a target as ``--keyconform`` takes it. ``families`` are those of the invariants that judge, ``ids``
    a choice among them: by default all that must hold, advisory ones where they are named. ``seed`` is what `random`
    is seeded with, ``timeout`` the seconds of real time that one program may take.

    A subclass may add rules that call `do`, say otherwise what the rules draw from, and look at each history itself
    (`look`). Raises `AssertionError` for a violation, `TargetError` where the target cannot be opened, and skips the
    test where none of its invariants applies to the target.
    """

    target: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = ()
    ids: ClassVar[tuple[str, ...]] = ()
    seed: ClassVar[int] = 0
    timeout: ClassVar[float] = 60.0
    opened: ClassVar[Opened | None] = None

    def __init__(self) -> None:
        """Open the target once for all programs."""
        kind = type(self)
        if vars(kind).get("opened") is None:
            kind.opened = Opened.of(kind.target, kind.wanted(), seed=kind.seed)
            kind.policies, kind.claims = kind.opened.target.policies, kind.opened.backend.claims
        super().__init__()
        self._order = 0

    @classmethod
    def wanted(cls) -> tuple[type[Invariant], ...]:
        """Answer the invariants that judge, as far as they apply to the target."""
        return tuple(
            kind
            for kind in CATALOGUE
            if (kind.level == "must" or kind.id in cls.ids)
            and (not cls.families or kind.family() in cls.families)
            and (not cls.ids or kind.id in cls.ids)
        )

    def look(self, history: History) -> None:
        """Look at what came of a program, beside the invariants: an AssertionError fails the test."""

    def ending(self) -> tuple[Step, ...]:
        """End with every view, and with acquires for each model: what went wrong before is seen there."""
        given = pool_given(self.claims, self.given)
        models = [model for model in dict.fromkeys(self.models) if given.limits_of(str(model)) is not None]
        asked: list[Step] = []
        for pool in dict.fromkeys(self.pools):
            asked += steps.views(given, pool=pool)
            for model in models:
                asked += [steps.usage(key, model=model, pool=pool, optional=True) for key in given.keys(pool)]
        if self.policies.tenure != "lease":
            for pool, model in itertools.product(dict.fromkeys(self.pools), models):
                asked += [steps.acquire(model=model, pool=pool, optional=True) for _ in given.keys(pool)]
        return tuple(asked)

    @initialize(order=st.integers(0, 9999))
    def begin(self, order: int) -> None:
        """Choose the order in which the clients of the program take turns."""
        self._order = order

    @rule(which=st.integers(0, 9999), order=st.integers(0, 9999))
    def provoke(self, which: int, order: int) -> None:
        """Run one of the invariants' own programs on managers of its own, in some orders of its clients."""
        opened = self._opened()
        if not opened.provoking:
            return
        own = opened.provoking[which % len(opened.provoking)]
        invariant, program, runner = own[which // len(opened.provoking) % len(own)]
        judge, scheduler = judge_of(invariant), RandomWalk(order)
        budget = ORDERS if program.clients and runner.cost == 1 else 1
        explored = opened.bounded(lambda: explore(runner, program, scheduler, judge, budget=budget), self.timeout)
        if explored.found is not None:
            _raise(invariant, explored.found.violation, program)

    def finished(self, program: Workload) -> None:
        """Run the program and judge what came of it."""
        opened = self._opened()
        if not program.setup and not program.clients:
            return
        runners = opened.backend.fitting(program, opened.backend.runners, overlap=bool(program.clients))
        if runners:
            self.look(self._judged(program, runners[0], opened.general, self._order))

    def _opened(self) -> Opened:
        if self.opened is None:
            raise RuntimeError("the machine was not begun")
        return self.opened

    def _judged(self, program: Workload, runner: Runner, rules: Iterable[Invariant], order: int) -> History:
        __tracebackhide__ = True
        opened = self._opened()
        history = opened.bounded(lambda: opened.run(program, runner, order), self.timeout)
        for invariant in rules:
            judgement = judge_of(invariant)(history)
            if isinstance(judgement, Unjudged):
                note(f"{invariant.id} not judged: {judgement.why}")
            elif judgement is not None:
                _raise(invariant, judgement, program)
        return history


def _raise(invariant: Invariant, violation: Violation, program: Workload) -> NoReturn:
    __tracebackhide__ = True
    own = "" if program.name == "generated" else f" (its own program {program.name})"
    called = (f"    {f'client {number}: ' if number else ''}{step}" for _, number, step in program.steps())
    lines = [f"{invariant.id} violated{own}: {invariant.title()}", f"  {violation.observed}"]
    raise AssertionError("\n".join([*lines, f"  expected {violation.expected}", "  in the program", *called]))


@dataclass
class Opened:
    """A target that was opened once, the clock it lives on, and the invariants that apply to it."""

    target: Target
    backend: Backend
    clock: VirtualClock
    rules: tuple[Invariant, ...]
    seed: int

    @classmethod
    def of(cls, text: str, wanted: Iterable[type[Invariant]], *, seed: int) -> Opened:
        """Open a target, looking for its module in the current directory first."""
        clock = VirtualClock()
        with clock, Abandoning():
            target = resolve(text, roots=(Path.cwd(),))
            clock.watch(target.modules())
            backend = survey(target, clock, seed=seed)
        policies, claims = target.policies, backend.claims
        # A source of limits is served by a whole run alone, which looks first whether the backend asks one.
        fitting = [kind for kind in wanted if not kind.sourced and inapplicable(kind, policies, claims) is None]
        rules = tuple(kind(policies, claims) for kind in fitting)
        if not rules:
            message = f"{text} does not have what these invariants are about: {', '.join(kind.id for kind in wanted)}"
            raise unittest.SkipTest(message)
        return cls(target, backend, clock, rules, seed)

    @property
    def general(self) -> tuple[Invariant, ...]:
        """The invariants that judge any program."""
        return tuple(rule for rule in self.rules if rule.general or rule.id in ANYWHERE)

    @cached_property
    def provoking(self) -> tuple[tuple[tuple[Invariant, Workload, Runner], ...], ...]:
        """For each invariant its own programs, each with the engine that runs it."""
        return tuple(filter(None, (tuple(self._own(rule)) for rule in self.rules)))

    def _own(self, rule: Invariant) -> Iterator[tuple[Invariant, Workload, Runner]]:
        for workload in rule.workloads():
            program = fit(workload, self.backend.claims)
            if isinstance(program, Misfit):
                continue
            for runner in self.backend.fitting(program, rule.engines, overlap=rule.overlap):
                yield rule, program, runner

    def run(self, program: Workload, runner: Runner, order: int) -> History:
        """Run a program; one that needs a real event loop gets one."""
        scheduler = RandomWalk(order)
        scheduler.begin()
        try:
            return runner.run(program, scheduler).history
        except NeedsRealLoop:
            self.backend = survey(self.target, self.clock, seed=self.seed, real=True)
            vars(self).pop("provoking", None)
            return self.run(program, self.backend.usual, order)

    def bounded(self, run: Callable[[], T], seconds: float) -> T:
        """Run on the clock, within so many seconds of real time."""
        try:
            with self.clock, self.backend.world, Watchdog(seconds):
                return run()
        except TimedOut:
            message = f"a call did not end within {seconds:g} s of real time"
            raise AssertionError(message) from None
