"""A machine that draws one program, and the words that it is drawn from: rules to be mixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from pytest_keyconform.catalogue import steps
from pytest_keyconform.catalogue.fitting import Misfit, fit
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Step

REGULAR, VERTEX = ("key-1", "key-2", "key-3"), ("vertex-1", "vertex-2")
LIMITS = (("m1", Limits(rpm=3, tpm=30)), ("m2", Limits(rpd=4)))


def one_of(name: str) -> st.SearchStrategy[Any]:
    """Draw from what the machine has under a name, so that a subclass says what that is."""
    return st.runner().flatmap(lambda machine: st.sampled_from(getattr(machine, name)))


def pool_given(claims: Claims, given: Given | None = None) -> Given:
    """Answer a small pool with small limits, as far as the factory can be given them."""
    if given is None:
        given = Given(regular=REGULAR, vertex=VERTEX, limits=LIMITS, max_failures=2)
    limited = claims.given is None or "limits" in claims.given
    return Given(
        regular=given.regular,
        vertex=given.vertex,
        limits=given.limits if limited else Given().limits,
        max_failures=given.max_failures if claims.given is None else Given().max_failures,
    )


class ProgramMachine(RuleBasedStateMachine):
    """Draws one program, a step at a time; what to do with it is said by `finished`. It has no rules of its own.

    ``policies`` and ``claims`` say what a step may ask; steps that the backend does not claim are left out. The other
    attributes are what the rules draw from; a subclass may say it otherwise. Keys are named by their numbers.
    """

    policies: ClassVar[Policies]
    claims: ClassVar[Claims]

    given: ClassVar[Given | None] = None
    models: ClassVar[tuple[object, ...]] = ("m1", "m2")
    pools: ClassVar[tuple[str, ...]] = ("regular", "regular", "vertex")
    keys: ClassVar[tuple[str, ...]] = (*REGULAR, *VERTEX)
    statuses: ClassVar[tuple[int | None, ...]] = (429, 429, 401, 403, 400, 500, 503, None)
    outcomes: ClassVar[tuple[str, ...]] = ("success", "success", "success", "quota", "auth", "transient")
    tokens: ClassVar[tuple[int, ...]] = (0, 1, 10, 30)
    pauses: ClassVar[tuple[float, ...]] = (1, 20, 61, 61, 130)
    clients: ClassVar[int] = 0
    """How many clients call in parallel; 0: none, the program is one of a single caller."""

    def __init__(self) -> None:
        """Begin with an empty program."""
        super().__init__()
        self.program: list[Step] = []
        self.parallel: list[list[Step]] = [[] for _ in range(self.clients)]
        self._asked = 0

    def finished(self, program: Workload) -> None:
        """Take the program; subclasses run it, or keep it."""

    def ending(self) -> tuple[Step, ...]:
        """Answer the steps that every program ends with."""
        return ()

    def teardown(self) -> None:
        """Hand over the program."""
        program = Workload(
            name="generated",
            given=pool_given(self.claims, self.given),
            setup=tuple(self.program),
            clients=tuple(tuple(client) for client in self.parallel if client),
            finale=self.ending(),
        )
        fitted = fit(program, self.claims)
        if isinstance(fitted, Workload):
            self.finished(fitted)

    def do(self, name: str, bind: str | None = None, /, *, client: int = 0, **arguments: object) -> None:
        """Add a step by its operation's name, such as ``do("record", lease="key-1", model="m1", tokens=5)``.

        ``bind`` names its answer for later steps (`Ref`). A step that the backend does not claim is left out.
        """
        self.add(steps.step(name, bind, **arguments), client=client)

    def add(self, step: Step, *, client: int = 0) -> None:
        """Add a step: of the first caller, or of a client from 1 on."""
        alone = Workload(name="step", given=pool_given(self.claims, self.given), setup=(step,))
        if not isinstance(fit(alone, self.claims), Misfit):
            (self.parallel[client - 1] if client else self.program).append(step)

    def name(self) -> str:
        """Answer a name for an answer, another one each time."""
        self._asked += 1
        return f"a{self._asked}"


def pool_of(key: str) -> str:
    """Answer the pool that a key's number names; a stranger is asked about in the regular one."""
    return "vertex" if key.startswith("vertex") else "regular"


class Acquiring(ProgramMachine):
    """Asks for keys."""

    @rule(model=one_of("models"), pool=one_of("pools"), outcome=one_of("outcomes"))
    def acquire(self, model: object, pool: str, outcome: str) -> None:
        """Ask for a key; under leases report on it and give it back."""
        bind = self.name()
        self.add(steps.acquire(bind, model=model, pool=pool))
        if self.policies.tenure == "lease":
            self.add(steps.record(Ref(bind), model=model, pool=pool, outcome=outcome))
            if self.policies.release == "explicit":
                self.add(steps.release(Ref(bind)))


class Choosing(ProgramMachine):
    """Asks for keys without looking at their use."""

    @rule(model=one_of("models"), pool=one_of("pools"))
    def choose(self, model: object, pool: str) -> None:
        """Ask for the next key and for a random one."""
        if self.policies.tenure != "lease":
            self.add(steps.next_key(pool=pool))
            self.add(steps.random_key(model=model))


class Recording(ProgramMachine):
    """Reports calls."""

    @rule(key=one_of("keys"), model=one_of("models"), tokens=one_of("tokens"), outcome=one_of("outcomes"))
    def record(self, key: str, model: object, tokens: int, outcome: str) -> None:
        """Report a call."""
        if self.policies.tenure != "lease":
            self.add(steps.record(key, model=model, pool=pool_of(key), tokens=tokens, outcome=outcome))


class Failing(ProgramMachine):
    """Reports failures."""

    @rule(key=one_of("keys"), model=one_of("models"), status=one_of("statuses"), retries=st.sampled_from((0, 0, 1, 3)))
    def fail(self, key: str, model: object, status: int | None, retries: int) -> None:
        """Report a failure."""
        if self.policies.tenure != "lease":
            self.add(steps.fail(key, model=model, pool=pool_of(key), status=status, retries=retries))


class Restoring(ProgramMachine):
    """Brings keys back."""

    @rule(key=one_of("keys"), which=st.sampled_from(("reset", "reactivate", "m1", "m2")))
    def restore(self, key: str, which: str) -> None:
        """Restore a key."""
        if which == "reset":
            self.add(steps.reset(key, pool=pool_of(key)))
        else:
            self.add(steps.reactivate(key, model=... if which == "reactivate" else which))

    @rule(which=st.sampled_from((steps.reset_all(), steps.reset_usage(), steps.tick())))
    def restore_all(self, which: Step) -> None:
        """Restore every key, zero the counters, or let maintenance run."""
        self.add(which)


class Waiting(ProgramMachine):
    """Lets time pass."""

    @rule(seconds=one_of("pauses"))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.program.append(steps.advance(seconds))


class Reading(ProgramMachine):
    """Reads the views."""

    @rule(key=one_of("keys"), model=one_of("models"))
    def read(self, key: str, model: object) -> None:
        """Read every view of a key."""
        pool = pool_of(key)
        for step in (
            steps.usage(key, model=model, pool=pool),
            steps.failures(key, pool=pool),
            steps.is_valid(key, pool=pool),
            steps.status(pool=pool),
            steps.all_keys(),
        ):
            self.add(step)


class Everyday(Acquiring, Choosing, Failing, Reading, Recording, Restoring, Waiting):
    """Everything that a caller and an operator do every day."""
