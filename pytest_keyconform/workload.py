"""A workload: who calls what, on which pool. Written by rules, scenarios and generators; run by engines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from pytest_keyconform.operation import Invocation, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_keyconform.limits_page import Published

DEFAULT_MODEL = "m1"
SLOW = 3.0  # seconds that a slow answer of the caller's code takes, behind `call`


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one model: requests a minute, tokens a minute, requests a day; None is unlimited, 0 is closed."""

    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None

    def __str__(self) -> str:
        """Show the limits that are set."""
        named = (("rpm", self.rpm), ("tpm", self.tpm), ("rpd", self.rpd))
        return " ".join(f"{name}={value}" for name, value in named if value is not None) or "unlimited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The pool that a workload runs on. Keys are labels; the engine makes the canary keys they stand for.

    ``needs`` names the fields whose value matters to the workload, beyond the two lists of keys: a factory that
    cannot be given them cannot be judged by it. ``starts`` is how many seconds later than usual the wall clock begins,
    a whole number of quarters of an hour: for the days that are not like the others. ``source`` is what the source of
    limits answers to the first opening; None: the pool names none.
    """

    regular: tuple[str, ...] = ("key-1", "key-2", "key-3")
    vertex: tuple[str, ...] = ("vertex-1", "vertex-2")
    limits: tuple[tuple[str, Limits], ...] = ((DEFAULT_MODEL, Limits()), ("m2", Limits()))
    default_model: str = DEFAULT_MODEL
    max_failures: int = 3
    max_retries: int = 3
    paid_key: str = ""
    starts: float = 0.0
    source: Published | None = None
    needs: frozenset[str] = frozenset()

    def limits_of(self, model: str) -> Limits | None:
        """Answer the limits configured under exactly this name, or None."""
        return dict(self.limits).get(model)

    def told(self) -> tuple[tuple[str, object], ...]:
        """Answer what a reader needs to know of the pool, as the arguments of its opening; defaults go unsaid."""
        plain = Given()
        limits = {model: str(row) for model, row in self.limits if row != Limits()}
        parts: dict[str, object] = {"regular": self.regular, "vertex": self.vertex}
        parts |= {"limits": limits} if limits else {}
        for name in ("default_model", "max_failures", "max_retries"):
            value = getattr(self, name)
            parts |= {name: value} if value != getattr(plain, name) or name in self.needs else {}
        parts |= {"source": str(self.source)} if self.source else {}
        parts |= {"begins": f"+{self.starts / 86_400:g} days"} if self.starts else {}
        return tuple(parts.items())

    def sized(self, keys: int, models: int | None = None) -> Given:
        """Answer the same with so many regular keys, and so many models, each limited as the first one is."""
        regular = tuple(f"key-{number}" for number in range(1, keys + 1))
        if models is None:
            return replace(self, regular=regular)
        limits = tuple((f"m{number}", self.limits[0][1]) for number in range(1, models + 1))
        return replace(self, regular=regular, limits=limits)

    def keys(self, pool: str) -> tuple[str, ...]:
        """Answer the keys of one pool, each once, in their order."""
        return tuple(dict.fromkeys(self.regular if pool == "regular" else self.vertex))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a program: an operation to call, or one of the harness' own.

    Those are ``advance``, seconds to let pass (``jump``: where that would take its time clocks are set forth),
    ``restart``: the manager is closed and another one opened on the same storage, ``down`` seconds later and its files
    damaged (``tear``) or gone (``wiped``), with a file in the storage's place (``blocked``), without any key
    (``empty``), or on a pool of so many ``keys`` and ``models``, where that is given, ``leave``: it is closed and there
    is none, ``crash``: as restart, but killed, ``fault``: after some touches of the store the next ones fail, until
    ``mend``, and ``set_clock``: the wall clock is set forth, or back if ``seconds`` is negative, while monotonic time
    goes on. ``census`` counts the tasks, timers and threads that the backend has started and not ended, ``memory`` what
    it holds, ``statements`` what it has asked of SQLite so far, ``rows`` and ``files`` what its storage holds.
    ``spoil_lists`` changes the lists that the factory was given. ``source`` changes the state of the source of limits,
    and its page, ``asked`` tells what it saw. An operation with the argument ``kill`` is killed as it touches the store
    for the time of that number, from 0.

    ``bind`` names the answer for later steps (`Ref`). An ``optional`` step is left out where the backend does
    not have its operation or does not claim its arguments; otherwise the whole workload is not applicable. ``exact``
    tells that tokens and delays matter, which else are left out where they are not taken.
    """

    invocation: Invocation
    bind: str | None = None
    optional: bool = False
    exact: bool = False

    @property
    def name(self) -> str:
        """The operation's name, or ``advance``."""
        return self.invocation.name

    def __str__(self) -> str:
        """Show the step as a reader would write it."""
        return f"{self.bind} = {self.invocation}" if self.bind else str(self.invocation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Setup steps, then clients in parallel, then a finale that reads; all on one fresh manager.

    ``name`` is unique within its invariant and part of replay tokens, so it never changes its meaning.
    ``apart``: each client has an instance of its own over one storage, opened at its begin and closed at its end; the
    setup has one that is closed before them, the finale one that is opened after them.
    ``overheard``: what the backend logs, prints, raises and shows of itself is searched for keys, and each call that
    warns is marked.
    ``unopened``: the manager is made and not opened before the first step.
    ``whole``: its steps belong together, so that none is left out of a counterexample.
    ``weighed``: keys tell how often they are compared and hashed, which counts as work of the calls that are measured.
    ``paced``: few schedules of it tell as much as many: pauses bring its calls into an order, or turns are enough.
    """

    name: str
    given: Given
    setup: tuple[Step, ...] = ()
    clients: tuple[tuple[Step, ...], ...] = ()
    finale: tuple[Step, ...] = ()
    apart: bool = False
    overheard: bool = False
    unopened: bool = False
    whole: bool = False
    weighed: bool = False
    paced: bool = False

    @property
    def widest(self) -> int:
        """How many regular keys its largest pool has."""
        pools = (step.invocation.get("keys") for _, _, step in self.steps() if step.name == "restart")
        return max([len(self.given.regular), *(keys for keys in pools if isinstance(keys, int))])

    @property
    def extent(self) -> int:
        """How many steps it has, each counted again for every ten keys of its largest pool."""
        return sum(1 for _ in self.steps()) * (1 + self.widest // 10)

    def steps(self) -> Iterator[tuple[Phase, int, Step]]:
        """Yield each step with its phase and its client."""
        yield from ((Phase.SETUP, 0, step) for step in self.setup)
        for number, client in enumerate(self.clients, start=1):
            yield from ((Phase.PARALLEL, number, step) for step in client)
        yield from ((Phase.FINALE, 0, step) for step in self.finale)

    def without(self, dropped: frozenset[int]) -> Workload:
        """Answer the workload without the steps of these positions (in the order of `steps`)."""
        counter = iter(range(10**9))

        def kept(steps: tuple[Step, ...]) -> tuple[Step, ...]:
            return tuple(step for step in steps if next(counter) not in dropped)

        setup = kept(self.setup)
        clients = tuple(kept(client) for client in self.clients)
        finale = kept(self.finale)
        return replace(self, setup=setup, clients=tuple(c for c in clients if c), finale=finale)


def arguments_of(step: Step) -> Mapping[str, object]:
    """Answer a step's arguments as a read-only mapping."""
    return MappingProxyType(dict(step.invocation.arguments))
