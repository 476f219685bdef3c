"""EXH03, EXH04 and EXH07: empty pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import entrances
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import by_exhaustion, late, no_replacement, nothing_served
from pytest_keyconform.catalogue.steps import (
    POOLS,
    acquire,
    fail,
    next_key,
    random_key,
    record,
    reset,
    status,
    usage,
)
from pytest_keyconform.model.state import Tri
from pytest_keyconform.model.windows import SLACK
from pytest_keyconform.operation import Raised
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

ENTRY_POINTS = ("acquire", "random_key")


@final
class EmptyPools(Invariant):
    """Empty pools follow `empty_pools`; every entry point answers by `exhaustion`, for known and unknown models.

    Why: a service must start without keys and say so, not crash in the first request (000-20).
    How it breaks: StopIteration of an empty cycle, a division by the length of the list, an index, a look-up.
    Fix: look whether the pool has keys before rotating; answer as for an exhausted pool.
    """

    id = "EXH03"
    audits = ("000-20",)
    requires = ("acquire|next_key|random_key",)
    subject = ("open", "acquire", "random_key", "next_key")
    ends = True
    CONFORMING = (
        'given regular= vertex=\nopen()\nacquire(model=m1) -> ""\nnext_key() -> ""\nrandom_key(model=m1) -> ""',
        "policy empty_pools=refuse\ngiven regular= vertex=\nopen() -> raises typed NoKeys",
        "policy exhaustion=typed-error\ngiven regular= vertex=\nopen()\nacquire(model=m9) -> raises typed NoKey",
        "policy exhaustion=fallback\ngiven regular= vertex=\nopen()\nacquire() -> raises typed NoKey",
    )
    VIOLATING = (
        "given regular= vertex=\nopen() -> raises ValueError",
        "given regular= vertex=\nopen() -> raises typed NoKeys",
        "policy empty_pools=refuse\ngiven regular= vertex=\nopen()",
        "given regular= vertex=\nopen()\nnext_key() -> raises StopIteration",
        "given regular= vertex=\nopen()\nacquire(pool=vertex) -> None",
    )

    def workloads(self) -> Iterator[Workload]:
        """Every entry point of both pools, asked twice, with a known, an unknown and no model."""
        empty = Given(regular=(), vertex=())
        asks = [acquire(), acquire(pool="vertex", optional=True)]
        yield Workload(name="opened", given=empty, setup=tuple(asks))
        for pool in POOLS:
            for name, ask in (*entrances(self, pool), ("next", next_key(pool=pool))):
                yield Workload(name=f"{pool}-{name}", given=empty, setup=(ask, ask))
            for model in ("m9", None):
                yield Workload(name=f"{pool}-{model}", given=empty, setup=(acquire(model=model, pool=pool),) * 2)
        yield Workload(name="random-m9", given=empty, setup=(random_key(model="m9"),) * 2)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an opening and an answer that the policies do not give."""
        if any(moment.state.members.values()):
            return None
        if moment.name == "open":
            return self._opened(moment)
        if moment.name not in (*ENTRY_POINTS, "next_key"):
            return None
        return late(moment, self.policies.deadline + SLACK) or by_exhaustion(moment, {})

    def _opened(self, moment: Moment) -> Refusal | None:
        refused = isinstance(moment.operation.response, Raised)
        wanted = self.policies.empty_pools == "refuse"
        if refused is wanted:
            return None
        expected = "an error that the backend declares" if wanted else "a manager that opens"
        word = "raises" if refused else "succeeds"
        return moment.refusal(
            f"{expected}: empty_pools is {self.policies.empty_pools!r}", f"opening empty pools {word}"
        )


@final
class OtherPoolWorks(Invariant):
    """One empty pool leaves the other fully working.

    Why: most installations have keys of one kind only (000-20).
    How it breaks: opening demands both lists; a call on the empty pool raises before it lets go of the lock.
    Fix: treat each pool by itself.
    """

    id = "EXH04"
    audits = ("000-20",)
    requires = ("acquire|next_key",)
    subject = ("open", "acquire", "random_key", "next_key", "fail", "record", "usage", "status", "reset")
    ends = True
    CONFORMING = (
        'given regular=\nopen()\nacquire() -> ""\nacquire(pool=vertex) -> vertex-1\nnext_key(pool=vertex) -> vertex-2',
        "policy empty_pools=refuse\ngiven vertex=\nopen() -> raises typed NoKeys",
        (
            "given vertex=\nfail(lease=key-1, status=401) -> key-2\nrecord(lease=key-2, tokens=3) -> True\n"
            'usage(key=key-2) -> {"tpm": 3}'
        ),
    )
    VIOLATING = (
        "given vertex=\nopen() -> raises typed NoKeys",
        "given vertex=\nopen()\nacquire() -> raises IndexError",
        'given regular=\nacquire() -> ""\nacquire(pool=vertex) -> ""',
        'given vertex=\nnext_key(pool=vertex) -> ""\nnext_key() -> ""',
        'given vertex=\nfail(lease=key-1, status=401) -> ""',
        "given regular=\nrecord(lease=vertex-1, pool=vertex) -> False",
    )

    def workloads(self) -> Iterator[Workload]:
        """Either pool empty: the other is asked, reported to and read, before and after a call on the empty one."""
        for full, empty, given in (("regular", "vertex", Given(vertex=())), ("vertex", "regular", Given(regular=()))):
            key = given.keys(full)[0]
            asks = (*self.taking("a", pool=full), *self.taking("b", pool=full))
            vain = (acquire(pool=empty, optional=True), next_key(pool=empty, optional=True))
            for name, steps in (
                ("acquire", asks),
                ("after", (*vain, *asks)),
                ("next", (*vain, next_key(pool=full), next_key(pool=full))),
                ("fail", (*vain, fail(key, status=None, pool=full))),
                ("record", (*vain, record(key, pool=full, tokens=3), usage(key, pool=full, optional=True))),
                ("status", (status(pool=full, optional=False),)),
                ("reset", (fail(key, status=None, pool=full), reset(key, pool=full), status(pool=full))),
            ):
                yield Workload(name=f"{full}-{name}", given=given, setup=steps)
        yield Workload(name="regular-random", given=Given(vertex=()), setup=(random_key(),))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a pool with keys that is not served, counted or opened."""
        match moment.name:
            case "open" if isinstance(moment.operation.response, Raised) and self.policies.empty_pools == "warn":
                return moment.refusal("a manager that opens: one pool has keys", "opening with one empty pool raises")
            case "acquire" | "random_key" | "next_key":
                return nothing_served(moment)
            case "fail":
                return no_replacement(moment)
            case "usage":
                return wrong_usage(moment)
            case "record" if moment.answered and moment.value is False and self._countable(moment):
                return moment.refusal("True: the key is known", "record of a known key answers False")
        return None

    def _countable(self, moment: Moment) -> bool:
        sound = moment.oracle.usable(moment.state, moment.cell, moment.operation.at) is Tri.YES
        return sound and self.policies.counted_on != "none" and self.policies.tenure == "rotation"


@final
class EmptyAtOnce(Invariant):
    """An empty pool is answered at once, under `blocks` too.

    Why: no key can come free in a pool that has none; a caller that waits for one holds a connection in vain (000-20).
    How it breaks: acquire waits for a change before it looks whether there is anything to wait for.
    Fix: answer for an empty pool before waiting.
    """

    id = "EXH07"
    level = "should"
    audits = ("000-20",)
    requires = ("acquire|next_key|random_key",)
    applies: ClassVar = {"empty_pools": ("warn",)}
    ends = True
    CONFORMING = (
        'policy exhaustion=blocks\ngiven regular= vertex=\nacquire() -> ""',
        "policy exhaustion=blocks\ngiven regular= vertex=\nacquire() -> raises typed NoKey",
        'policy exhaustion=blocks\ngiven regular=key-1 m1.rpm=0\nacquire() -> "" after 5',
    )
    VIOLATING = (
        'policy exhaustion=blocks\ngiven regular= vertex=\nacquire() -> "" after 5',
        "policy exhaustion=blocks\ngiven regular=\nopen()\nrandom_key() -> raises typed TimeoutError after 5",
    )

    def workloads(self) -> Iterator[Workload]:
        """Every entry point of both pools, both empty; and one empty beside the other."""
        for pool in POOLS:
            for name, ask in (*entrances(self, pool), ("next", next_key(pool=pool))):
                yield Workload(name=f"{pool}-{name}", given=Given(regular=(), vertex=()), setup=(ask,))
            beside = Given(regular=()) if pool == "regular" else Given(vertex=())
            yield Workload(name=f"{pool}-beside", given=beside, setup=(acquire(pool=pool),))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse an answer for an empty pool that took a while."""
        if moment.name not in (*ENTRY_POINTS, "next_key") or moment.state.members[moment.pool]:
            return None
        return late(moment, min(SLACK, self.policies.deadline / 2))
