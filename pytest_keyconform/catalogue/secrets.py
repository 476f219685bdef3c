"""SEC01 to SEC04: what is ever shown of a key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import limited, reported
from pytest_keyconform.catalogue.steps import (
    acquire,
    advance,
    all_keys,
    fail,
    is_valid,
    next_key,
    random_key,
    record,
    state,
    status,
    step,
    tick,
    usage,
)
from pytest_keyconform.history import NoiseKind
from pytest_keyconform.operation import Answered
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.workload import Step

SHORTER = (12, 20)  # characters of a key: a third of it is less than 8
LABELS = ("key-", "vertex-", "stranger-", "paid-")
READS = ("state", "health", "usage", "failures", "is_valid")


class _Overheard(Invariant, shared=True):
    """What the rules share: every operation is called, well and badly, while somebody listens."""

    requires = ("acquire|record|fail|status",)
    unhindered = True
    kinds: ClassVar[tuple[NoiseKind, ...]] = ()
    expected: ClassVar[str] = "no key in it"

    def workloads(self) -> Iterator[Workload]:
        """Every operation on sound keys, with every failure, on strangers, with bad input, and with nothing left."""
        for name, given, steps in (
            ("calls", Given(paid_key="paid-1"), self._calls()),
            ("failures", Given(), self._failures()),
            ("trouble", Given(), self._trouble()),
            (
                "spent",
                limited(Limits(rpm=1), keys=1),
                (*self.taking("a"), record("key-1"), *self.taking("b"), status()),
            ),
            *self._empty(),
        ):
            optional = tuple(replace(one, optional=True) for one in steps)
            yield Workload(name=name, given=given, setup=optional, overheard=True)

    def _empty(self) -> Iterator[tuple[str, Given, tuple[Step, ...]]]:
        if self.policies.empty_pools != "refuse":
            yield "empty", Given(regular=(), vertex=()), (acquire(), status(), state())

    def _calls(self) -> tuple[Step, ...]:
        told = reported(self, [("key-1", lambda lease: record(lease, tokens=5))])
        reads = (usage("key-1"), status(), status(pool="vertex"), all_keys(), state(), is_valid("key-1"))
        more = (next_key(), random_key(), acquire(pool="vertex"), step("paid_key"), step("health"), step("open"))
        reloaded = step("reload", api_keys=("key-1", "key-4"), vertex_api_keys=("vertex-1",))
        return *told, *reads, *more, advance(61), tick(), reloaded, *self.taking("z"), step("close"), step("close")

    def _failures(self) -> tuple[Step, ...]:
        failed = [
            fail(f"key-{1 + number % 3}", status=code) for number, code in enumerate((429, 401, 403, 400, 500, None))
        ]
        back = [step(name, key=f"key-{number}") for number in (1, 2, 3) for name in ("reset", "reactivate")]
        vertex = [fail("vertex-1", status=429, pool="vertex"), fail("vertex-2", status=401, pool="vertex")]
        outcomes = [record("key-1", outcome=outcome) for outcome in ("quota", "auth", "transient", "request")]
        return *failed, status(), *back, *vertex, *outcomes, step("reset_all"), step("reset_usage"), *self.taking("z")

    def _trouble(self) -> tuple[Step, ...]:
        stranger = "stranger-1"
        strange = [record(stranger), fail(stranger), step("reset", key=stranger), is_valid(stranger), usage(stranger)]
        bad = [record("key-1", tokens=-1, bad=True), record("key-1", model=7, bad=True), acquire(model=7, bad=True)]
        return *strange, *bad, step("reload", api_keys=("key-1", 7), vertex_api_keys=(), bad=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Tell the first that was heard."""
        for noise in history.noise:
            if noise.kind in self.kinds:
                yield Violation(observed=str(noise), expected=self.expected, signature=noise.kind.value, operation=None)
                return


@final
class NothingLogged(_Overheard):
    """No whole key is in any log record, at any level.

    Why: logs are read by many and kept for long; a key in them is a key given away (001-9).
    How it breaks: a debug line names the key; an error is logged with the arguments of the call.
    Fix: log a key by its last characters or a number, and never as it is.
    """

    id = "SEC01"
    audits = ("001-9",)
    kinds = (NoiseKind.LOGGED,)
    expected = "no key in any log record, warning or line that is printed"
    CONFORMING = ("acquire() -> key-1", "acquire() -> key-1\nnoise shown: the repr of a Card: key-1")
    VIOLATING = ("acquire() -> key-1\nnoise logged: DEBUG record of app.keys: serving key-1",)


@final
class NothingShown(_Overheard):
    """No whole key is in `repr` or `str` of objects of the backend's classes, nor in exceptions, causes and notes.

    Why: tracebacks, debuggers and error trackers show both, and send them elsewhere (001-9, 003-I2).
    How it breaks: a dataclass holds the key as a plain field; an error names the key that it is about.
    Fix: ``field(repr=False)``, a ``__repr__`` of one's own, and errors that name a key by its last characters.
    """

    id = "SEC02"
    audits = ("001-9", "003-I2")
    kinds = (NoiseKind.SHOWN,)
    expected = "a repr, and a message, without the key"
    CONFORMING = ("acquire() -> key-1", "acquire() -> key-1\nnoise logged: DEBUG record of app.keys: serving key-1")
    VIOLATING = ("acquire() -> key-1\nnoise shown: the repr of a Card: Card(key='key-1')",)


@final
class LittleShown(_Overheard):
    """Of a key at most a third of its characters and at most 8 are ever shown.

    Why: what is left to guess has to be more than what is told (001-9).
    How it breaks: the first and the last eight are logged; all but the middle is masked.
    Fix: show the last four characters.
    """

    id = "SEC03"
    audits = ("001-9",)
    kinds = (NoiseKind.HINTED,)
    expected = "at most a third of a key's characters, and at most 8"
    CONFORMING = ("acquire() -> key-1",)
    VIOLATING = ("acquire() -> key-1\nnoise hinted: DEBUG record of app.keys",)

    def workloads(self) -> Iterator[Workload]:
        """The same, and every operation on keys that are shorter, of which less may be shown."""
        yield from super().workloads()
        for length in SHORTER:
            given = Given(regular=tuple(f"key-{number}~{length}" for number in (1, 2)))
            one = given.regular[0]
            told = reported(self, [(one, lambda lease: record(lease, tokens=5))])
            calls = (*told, fail(one, status=500), state(), step("health"), usage(one), status(), *self.taking("a"))
            optional = tuple(replace(call, optional=True) for call in calls)
            yield Workload(name=f"short-{length}", given=given, setup=optional, overheard=True)


@final
class NothingAnswered(Invariant):
    """Outside the v1 formats and the answers that hand out a key, no answer (state, health) carries a whole key.

    Why: an overview is shown to people who need no key (001-9).
    How it breaks: the state lists the keys that it is about.
    Fix: list a key by its last characters or a number.
    """

    id = "SEC04"
    level = "should"
    audits = ("001-9",)
    requires = ("state|health|usage",)
    CONFORMING = (
        'state() -> {"models": {"m1": {"regular_keys": {"available": [{"api_key": "kc-9…"}]}}}}',
        "health() -> True",
    )
    VIOLATING = ('state() -> {"models": {"m1": {"regular_keys": {"available": [{"api_key": "key-1"}]}}}}',)

    def workloads(self) -> Iterator[Workload]:
        """Every answer that hands no key out, of a fresh manager and of a used one."""
        told = reported(self, [("key-1", lambda lease: record(lease, tokens=5))])
        reads = (state(), step("health", optional=True), usage("key-1", optional=True), is_valid("key-1"))
        yield Workload(name="fresh", given=Given(), setup=reads)
        if self.claims.operations.get("record"):
            yield Workload(name="used", given=Given(), setup=(*told, *reads))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for a key in them."""
        for operation in history.named(*READS):
            if isinstance(operation.response, Answered) and _names_a_key(operation.value):
                yield broken(operation, "no whole key", f"{operation.name} answers a whole key")
                return


def _names_a_key(value: object) -> bool:
    if isinstance(value, str):
        return value.startswith(LABELS)
    if isinstance(value, dict):
        return any(_names_a_key(name) or _names_a_key(item) for name, item in value.items())
    return isinstance(value, list | tuple) and any(map(_names_a_key, value))
