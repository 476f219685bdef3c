"""The Hypothesis state machines: generated programs on a key manager, for the harness and for users to subclass."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import hypothesis
from hypothesis import HealthCheck, Phase, configuration, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue import CATALOGUE, steps
from pytest_keyconform.catalogue.fitting import Misfit, fit
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.survey import survey
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.survey import Backend
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Step

MODELS = st.sampled_from(("m1", "m2"))
POOLS = st.sampled_from(("regular", "regular", "vertex"))
REGULAR, VERTEX = ("key-1", "key-2", "key-3"), ("vertex-1", "vertex-2")
KEYS = st.sampled_from((*REGULAR, *VERTEX))
STATUSES = st.sampled_from((429, 429, 401, 403, 400, 500, 503, None))
OUTCOMES = st.sampled_from(("success", "success", "success", "quota", "auth", "transient"))
PAUSES = st.sampled_from((1, 20, 61, 61, 130))


def pool_given(claims: Claims) -> Given:
    """Answer a small pool with small limits, as far as the factory can be given them."""
    limited = claims.given is None or "limits" in claims.given
    limits = (("m1", Limits(rpm=3, tpm=30)), ("m2", Limits(rpd=4))) if limited else Given().limits
    return Given(regular=REGULAR, vertex=VERTEX, limits=limits, max_failures=2 if claims.given is None else 3)


class ProgramMachine(RuleBasedStateMachine):
    """Draws one program, a step at a time; what to do with it is said by `finished`.

    ``policies`` and ``claims`` say what a step may ask; steps that the backend does not claim are left out.
    """

    policies: ClassVar[Policies]
    claims: ClassVar[Claims]

    def __init__(self) -> None:
        """Begin with an empty program."""
        super().__init__()
        self.program: list[Step] = []
        self._asked = 0

    def finished(self, program: Workload) -> None:
        """Take the program; subclasses run it, or keep it."""

    def teardown(self) -> None:
        """Hand over the program."""
        program = fit(Workload(name="generated", given=pool_given(self.claims), setup=tuple(self.program)), self.claims)
        if isinstance(program, Workload):
            self.finished(program)

    def _add(self, step: Step) -> None:
        alone = Workload(name="step", given=pool_given(self.claims), setup=(step,))
        if not isinstance(fit(alone, self.claims), Misfit):
            self.program.append(step)

    @rule(model=MODELS, pool=POOLS, outcome=OUTCOMES)
    def acquire(self, model: str, pool: str, outcome: str) -> None:
        """Ask for a key; under leases report on it and give it back."""
        self._asked += 1
        bind = f"a{self._asked}"
        self._add(steps.acquire(bind, model=model, pool=pool))
        if self.policies.tenure == "lease":
            self._add(steps.record(Ref(bind), model=model, pool=pool, outcome=outcome))
            if self.policies.release == "explicit":
                self._add(steps.release(Ref(bind)))

    @rule(key=KEYS, model=MODELS, tokens=st.sampled_from((0, 1, 10, 30)), outcome=OUTCOMES)
    def record(self, key: str, model: str, tokens: int, outcome: str) -> None:
        """Report a call."""
        if self.policies.tenure != "lease":
            pool = key.partition("-")[0].replace("key", "regular")
            self._add(steps.record(key, model=model, pool=pool, tokens=tokens, outcome=outcome))

    @rule(key=KEYS, model=MODELS, status=STATUSES, retries=st.sampled_from((0, 0, 1, 3)))
    def fail(self, key: str, model: str, status: int | None, retries: int) -> None:
        """Report a failure."""
        if self.policies.tenure != "lease":
            pool = key.partition("-")[0].replace("key", "regular")
            self._add(steps.fail(key, model=model, pool=pool, status=status, retries=retries))

    @rule(key=KEYS, which=st.sampled_from(("reset", "reactivate", "m1", "m2")))
    def restore(self, key: str, which: str) -> None:
        """Restore a key."""
        if which == "reset":
            self._add(steps.reset(key, pool=key.partition("-")[0].replace("key", "regular")))
        else:
            self._add(steps.reactivate(key, model=... if which == "reactivate" else which))

    @rule(which=st.sampled_from((steps.reset_all(), steps.reset_usage(), steps.tick())))
    def restore_all(self, which: Step) -> None:
        """Restore every key, zero the counters, or let maintenance run."""
        self._add(which)

    @rule(seconds=PAUSES)
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.program.append(steps.advance(seconds))

    @rule(key=KEYS, model=MODELS)
    def read(self, key: str, model: str) -> None:
        """Read every view of a key."""
        pool = key.partition("-")[0].replace("key", "regular")
        for step in (
            steps.usage(key, model=model, pool=pool),
            steps.failures(key, pool=pool),
            steps.is_valid(key, pool=pool),
            steps.status(pool=pool),
            steps.all_keys(),
        ):
            self._add(step)

    @rule(model=MODELS, pool=POOLS)
    def choose(self, model: str, pool: str) -> None:
        """Ask for the next key and for a random one."""
        if self.policies.tenure != "lease":
            self._add(steps.next_key(pool=pool))
            self._add(steps.random_key(model=model))


class KeyManagerMachine(ProgramMachine):
    """Generated programs against a target, judged by the whole catalogue; subclass it and set ``target``.

    ::

        class MyManager(KeyManagerMachine):
            target = "app.keys:make"

        TestMyManager = MyManager.TestCase

    ``target`` is a target as ``--keyconform`` takes it, ``families`` the families that judge (all of them by default),
    ``seed`` what `random` is seeded with. Hypothesis shrinks the program and prints it with the violation.
    Raises `AssertionError` for a violation and `TargetError` where the target cannot be opened.
    """

    target: ClassVar[str]
    families: ClassVar[tuple[str, ...]] = ()
    seed: ClassVar[int] = 0
    resolved: ClassVar[Resolved | None] = None

    def __init__(self) -> None:
        """Open the target once for all programs."""
        kind = type(self)
        if "resolved" not in vars(kind) or kind.resolved is None:
            kind.resolved = opened(kind.target, seed=kind.seed)
            kind.policies, kind.claims = kind.resolved.target.policies, kind.resolved.backend.claims
        super().__init__()

    def finished(self, program: Workload) -> None:
        """Run the program and judge what came of it."""
        found = type(self).resolved
        if found is None or not program.setup:
            return
        scheduler = Bounded(last=0)
        scheduler.begin()
        with found.clock:
            history = found.backend.usual.run(program, scheduler).history
        for kind in CATALOGUE:
            if kind.general and (not self.families or kind.family() in self.families):
                for violation in kind(self.policies, self.claims).violations(history):
                    message = (
                        f"{kind.id} violated: {kind.title()}\n  {violation.observed}\n  expected {violation.expected}"
                    )
                    raise AssertionError(message)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A target that was opened once, and the clock it lives on."""

    target: Target
    backend: Backend
    clock: VirtualClock


def opened(text: str, *, seed: int) -> Resolved:
    """Open a target, looking for its module in the current directory first."""
    clock = VirtualClock()
    with clock:
        target = resolve(text, roots=(Path.cwd(),))
        return Resolved(target, survey(target, clock, seed=seed), clock)


def programs(claims: Claims, policies: Policies, *, seed: int, count: int, length: int) -> tuple[Workload, ...]:
    """Generate programs for a backend: the same ones for the same arguments and the same Hypothesis."""
    drawn: list[Workload] = []

    class Collecting(ProgramMachine):
        def finished(self, program: Workload) -> None:
            if program.setup:
                drawn.append(program)

    Collecting.policies, Collecting.claims = policies, claims
    profile = settings(
        max_examples=count,
        stateful_step_count=length,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    with _home_elsewhere():
        run_state_machine_as_test(hypothesis.seed(seed)(Collecting), settings=profile)
    return tuple(drawn)


@contextlib.contextmanager
def _home_elsewhere() -> Iterator[None]:
    """Let Hypothesis keep what it writes in a folder that goes away: judging leaves no file behind."""
    before = vars(configuration).get("__hypothesis_home_directory")
    with tempfile.TemporaryDirectory(prefix="keyconform-") as home:
        configuration.set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)
