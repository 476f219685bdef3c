"""One machine for each family of the catalogue that generated programs suit, and one that mixes all."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import rule

from pytest_keyconform.catalogue import steps
from pytest_keyconform.machines.judged import JudgedMachine
from pytest_keyconform.machines.program import (
    LIMITS,
    VERTEX,
    Acquiring,
    Choosing,
    Everyday,
    Failing,
    Reading,
    Recording,
    Restoring,
    Waiting,
    one_of,
    pool_of,
)
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import Given, Limits

if TYPE_CHECKING:
    from pytest_keyconform.workload import Step


class AcquireMachine(Acquiring, Choosing, Failing, Recording, Restoring, JudgedMachine):
    """ACQ: keys are asked for in every way, while others fail, fill up and come back."""

    families = ("ACQ",)


class QuotaMachine(Acquiring, Reading, Recording, Waiting, JudgedMachine):
    """QUO: usage is recorded up to the limits and beyond, read, and zeroed."""

    families = ("QUO",)
    outcomes = ("success", "success", "success", "transient", "request")
    tokens = (0, 1, 9, 10, 29, 30)
    pauses = (1, 30, 61)

    @rule()
    def zero(self) -> None:
        """Zero the counters."""
        self.do("reset_usage")


class ExhaustionMachine(Acquiring, Choosing, Failing, Recording, Restoring, Waiting, JudgedMachine):
    """EXH: one key in each pool, so that nothing is usable most of the time."""

    families = ("EXH",)
    given: ClassVar[Given | None] = Given(regular=("key-1",), vertex=("vertex-1",), limits=LIMITS, max_failures=2)
    keys = ("key-1", "vertex-1")
    statuses = (429, 429, 401, 403, 500, None)
    tokens = (10, 30)


class UnknownMachine(Acquiring, Failing, Reading, Recording, Restoring, JudgedMachine):
    """UNK: names that nobody configured, names close to configured ones, and keys of nobody."""

    families = ("UNK",)
    given: ClassVar[Given | None] = Given(
        limits=(("m1", Limits(rpm=3)), ("m1-lite", Limits(rpm=2)), ("m2", Limits(rpm=3))), max_failures=2
    )
    models = ("m1", "m1-lite", "m1-lite-001", "m1x", "m9", None)
    keys = ("key-1", "key-2", "key-3", "vertex-1", "stranger-1")
    outcomes = ("success", "success", "quota", "auth")

    def add(self, step: Step, *, client: int = 0) -> None:
        """Add a step, unless the backend declares that it rejects the name."""
        asked = step.invocation
        strange = "stranger-1" in (asked.get("key"), asked.get("lease"))
        unheard = asked.get("model") in ("m1-lite-001", "m1x", "m9")
        declared = self.policies.unknown_key != "ignore", self.policies.unknown_model == "reject"
        if not (strange and declared[0]) and not (unheard and declared[1]):
            super().add(step, client=client)


class FailureMachine(Acquiring, Failing, Reading, Recording, Restoring, Waiting, JudgedMachine):
    """FAIL: failures of every status, and every way back from them."""

    families = ("FAIL",)


class VertexMachine(Acquiring, Choosing, Failing, Reading, Recording, Restoring, JudgedMachine):
    """VTX: the vertex pool, beside a regular one that is seldom asked."""

    families = ("VTX",)
    pools = ("vertex", "vertex", "regular")
    keys = (*VERTEX, *VERTEX, "key-1")
    models = ("m1", "m2", None)


class FormatsMachine(Everyday, JudgedMachine):
    """FMT: every view after whatever happened."""

    families = ("FMT",)

    @rule(pool=one_of("pools"))
    def view(self, pool: str) -> None:
        """Read the status of a pool and the whole state."""
        self.add(steps.status(pool=pool))
        self.add(steps.state())


class LifecycleMachine(Acquiring, Failing, JudgedMachine):
    """LIFE: other pools come while keys are asked for."""

    families = ("LIFE",)

    @rule(
        regular=st.sets(st.sampled_from(("key-1", "key-2", "key-3", "new-1")), min_size=1),
        vertex=st.sets(st.sampled_from(VERTEX), min_size=1),
    )
    def reload(self, regular: set[str], vertex: set[str]) -> None:
        """Exchange the pools."""
        self.do("reload", api_keys=tuple(sorted(regular)), vertex_api_keys=tuple(sorted(vertex)))


class TimeMachine(Acquiring, Failing, Reading, Recording, Waiting, JudgedMachine):
    """TIME: minutes and days pass, and the clock is set back."""

    families = ("TIME",)
    outcomes = ("success", "success", "quota")
    statuses = (429, 429, 500)
    pauses = (1, 20, 59, 61, 130, 3600, 43_200, 86_400)


class LivenessMachine(JudgedMachine):
    """LIVE: two or three clients call at once, in an order that is drawn too."""

    families = ("LIVE",)
    clients = 3
    client = st.integers(1, 3)

    @rule(client=client, model=one_of("models"), pool=one_of("pools"))
    def acquire(self, client: int, model: object, pool: str) -> None:
        """Ask for a key; under leases report on it and give it back."""
        bind = self.name()
        self.add(steps.acquire(bind, model=model, pool=pool), client=client)
        if self.policies.tenure == "lease":
            self.add(steps.record(Ref(bind), model=model, pool=pool), client=client)
            if self.policies.release == "explicit":
                self.add(steps.release(Ref(bind)), client=client)

    @rule(client=client, key=one_of("keys"), model=one_of("models"), status=one_of("statuses"))
    def fail(self, client: int, key: str, model: object, status: int | None) -> None:
        """Report a failure."""
        if self.policies.tenure != "lease":
            self.add(steps.fail(key, model=model, pool=pool_of(key), status=status), client=client)

    @rule(client=client, key=one_of("keys"), model=one_of("models"), tokens=one_of("tokens"))
    def record(self, client: int, key: str, model: object, tokens: int) -> None:
        """Report a call."""
        if self.policies.tenure != "lease":
            self.add(steps.record(key, model=model, pool=pool_of(key), tokens=tokens), client=client)

    @rule(client=client, key=one_of("keys"))
    def look_on(self, client: int, key: str) -> None:
        """Read, restore and zero, as an operator does."""
        for step in (steps.status(pool=pool_of(key)), steps.reset(key, pool=pool_of(key)), steps.reset_usage()):
            self.add(step, client=client)


class DurabilityMachine(Acquiring, Reading, Recording, Waiting, JudgedMachine):
    """DUR: the manager is closed and killed, and another one is opened on the same storage."""

    families = ("DUR",)
    outcomes = ("success",)
    pauses = (1, 61)

    @rule(crashes=st.booleans())
    def restart(self, crashes: bool) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        """Open another manager on the same storage, after closing or killing the one before."""
        self.add(steps.crash() if crashes else steps.restart())


class KeyManagerMachine(Everyday, JudgedMachine):
    """Everything mixed, judged by the whole catalogue.

    ::

        class MyManager(KeyManagerMachine):
            target = "app.keys:make"

        TestMyManager = MyManager.TestCase

    Hypothesis shrinks the program and prints it with the violation.
    """
