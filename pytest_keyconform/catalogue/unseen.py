"""LIVE07: what goes wrong unseen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from pytest_keyconform.catalogue.calls import every, optional, reports
from pytest_keyconform.catalogue.invariant import Invariant
from pytest_keyconform.catalogue.liveness import ANY, CLOSE, OPERATIONS, RELOAD
from pytest_keyconform.catalogue.provoking import depletions
from pytest_keyconform.catalogue.steps import POOLS, acquire, advance, fail, record, tick
from pytest_keyconform.history import Ending, NoiseKind
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History

TRIO: Final = Given()
ROUNDS: Final = {
    "regular-m1": ("regular", "key-1", "m1"),
    "vertex-m1": ("vertex", "vertex-1", "m1"),
    "regular-unheard-of": ("regular", "stranger-1", "unheard-of"),
    "key-1-unheard-of": ("regular", "key-1", "unheard-of"),
    "vertex-1-unheard-of": ("vertex", "vertex-1", "unheard-of"),
}
PAUSES: Final = {"minute": 61, "hour": 3600, "day": 86_400}


@final
class NothingUnseen(Invariant):
    """No coroutine is left un-awaited, no task exception unretrieved, no thread dies unseen.

    Why: work that was never done, or failed where nobody looks, is found when its effect is missed (004-3).
    How it breaks: an ``await`` is missing; a task is started and forgotten; a worker dies of its first exception.
    Fix: await what is started, keep each task and look at its result; let a worker outlive what it catches.
    """

    id = "LIVE07"
    audits = ("004-3",)
    requires = ANY
    general = True
    unhindered = True
    CONFORMING = (
        "acquire() -> key-1",
        "fail(lease=key-1, status=500) -> raises RuntimeError",
        "acquire() -> pending\nnoise unawaited: Manager._save",
    )
    VIOLATING = (
        "acquire() -> key-1\nnoise unawaited: Manager._save",
        "acquire() -> key-1\nnoise unretrieved: Task exception was never retrieved",
        "close()\nnoise thread_died: KeyError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Every operation, in every state, beside another one, cancelled, and after a while; closing included."""
        for name, (pool, key, model) in ROUNDS.items():
            calls = every(self, key, pool=pool, model=model)
            yield Workload(name=name, given=TRIO, setup=calls, finale=optional(CLOSE, CLOSE))
        for pool in POOLS:
            for way in depletions(self, pool):
                finale = every(self, way.given.keys(pool)[0], pool=pool)
                yield Workload(name=f"{pool}-{way.name}", given=way.given, setup=way.steps, finale=finale)
        calls = every(self, "key-1")
        left = tuple(
            step for pool, key, model in ROUNDS.values() for step in reports(self, key, pool=pool, model=model)
        )
        for name, seconds in PAUSES.items():
            after = (advance(seconds), *optional(tick()))
            yield Workload(name=name, given=TRIO, setup=(*calls, *after), finale=every(self, "key-1", tag="l"))
            yield Workload(name=f"left-{name}", given=TRIO, setup=(*left, *after))
        yield Workload(name="reload", given=TRIO, setup=(RELOAD, *every(self, "key-2")), finale=optional(RELOAD, CLOSE))
        for name in ("acquire", "record", "fail", "status", "close"):
            beside = tuple((one,) for one in (OPERATIONS[name], OPERATIONS["fail"]))
            yield Workload(name=f"beside-{name}", given=TRIO, clients=beside, finale=(advance(61),))
        yield from self._cancelled()

    def _cancelled(self) -> Iterator[Workload]:
        for at in range(3):
            steps = (acquire("a", cancel=at), record("key-1", cancel=at), fail("key-2", status=None, cancel=at))
            for one in steps:
                after = (*self.taking("z"), advance(61))
                yield Workload(name=f"{one.name}-cancelled-{at}", given=TRIO, setup=(one,), finale=after)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what was noticed beside the answers, where the execution was not cut off."""
        if history.ending not in (Ending.FINISHED, Ending.UNOPENED):
            return
        for noise in history.noise:
            named = f" ({noise.text})" if noise.kind is NoiseKind.UNAWAITED else ""
            yield Violation(
                observed=str(noise),
                expected="everything that is started is awaited, and its exceptions are seen",
                signature=f"{noise.kind.value}{named}",
            )
