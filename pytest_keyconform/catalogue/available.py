"""ACQ11: as long as a key is usable one is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import PAIR, failing
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import hurt
from pytest_keyconform.catalogue.steps import POOLS, acquire, advance, fail, reset, status
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIO = Given()


@final
class AnswersWhileUsable(Invariant):
    """While a key is usable (and, under leases, free) acquire answers one: no sentinel, no error.

    Why: a caller turned away while keys are idle is an outage of the pool's own making (000-3, 000-7).
    How it breaks: a rotation that tries too few keys; a key lost by a removal, a recovery or a cancelled call.
    Fix: look at every key before giving up; undo in ``finally`` what a cancelled call had begun.
    """

    id = "ACQ11"
    audits = ("000-3", "000-7")
    general = True
    CONFORMING = (
        "fail(lease=key-1, model=m1, status=401) -> key-2\nacquire(model=m1) -> key-3",
        'given regular=key-1\nfail(lease=key-1, model=m1, status=401) -> ""\nacquire(model=m1) -> ""',
    )
    VIOLATING = (
        'fail(lease=key-1, model=m1, status=401) -> key-2\nacquire(model=m1) -> ""',
        "acquire(model=m1) -> raises typed Exhausted",
        "acquire(model=m1) -> raises RuntimeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Crowds on few keys; acquires after a removal, a recovery and a cancelled call."""
        yield Workload(name="fresh", given=TRIO, setup=self.taking("a"))
        two, crowd = (2, 2) if self.policies.tenure == "lease" else (3, 6)
        yield Workload(name="pair", given=PAIR, clients=((acquire(),),) * two)
        yield Workload(name="crowd", given=PAIR, clients=((acquire(),),) * crowd)
        asks = [s for n in range(4) for s in self.taking(f"t{n}")]
        last = (fail("key-1", status=401), fail("key-2", status=429))
        yield Workload(name="removed", given=TRIO, setup=(*last, *asks))
        four = Given(regular=("key-1", "key-2", "key-3", "key-4"))
        for left in ("key-1", "key-4"):
            others = [fail(key, status=401) for key in four.regular if key != left]
            yield Workload(name=f"only-{left}", given=four, setup=(*others, *asks))
        yield Workload(
            name="removing",
            given=PAIR,
            clients=((fail("key-1", status=401),), self.taking("a")),
            finale=tuple(asks),
        )
        yield Workload(name="back", given=PAIR, setup=(fail("key-1", status=401), reset("key-1"), *asks))
        gone = (fail("key-1", status=401), fail("key-2", status=401))
        yield Workload(name="all-back", given=PAIR, setup=(*gone, *self.taking("x"), reset("key-2"), *asks))
        over = (fail("key-1", status=429), fail("key-2", status=429), *self.taking("x"), advance(61))
        yield Workload(name="marks-over", given=PAIR, setup=(*over, *asks))
        for at in range(4):
            cancelled = (acquire(cancel=at), acquire(cancel=at))
            yield Workload(name=f"cancelled-{at}", given=PAIR, setup=cancelled, finale=self.taking("z"))
        yield Workload(name="status", given=TRIO, setup=(status(), *self.taking("a")))
        for pool in POOLS:
            yield from self._left_over(pool)

    def _left_over(self, pool: str) -> Iterator[Workload]:
        """Wherever the rotation stands, and whichever key is the only one left: it is served."""
        keys = tuple(f"{'key' if pool == 'regular' else 'vertex'}-{number}" for number in range(1, 4))
        given = Given(regular=keys) if pool == "regular" else Given(vertex=keys)
        out = failing(self, status=401, pool=pool, last=self.claims.takes("fail", "retries", pool=pool))
        for turns in range(len(keys)):
            before = [s for n in range(turns) for s in self.taking(f"b{n}", pool=pool)]
            for left in keys:
                others = [key for key in keys if key != left]
                gone = [s for key in others for s in hurt(self, key, status=401, pool=pool)]
                if self.policies.tenure == "rotation":  # as the last retry, so that no replacement turns it on
                    gone = [out(key) for key in others]
                steps = (*before, *gone, *self.taking("a", pool=pool), *self.taking("c", pool=pool))
                yield Workload(name=f"{pool}-{turns}-{left}", given=given, setup=steps)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a sentinel or an error while a key was usable."""
        return nothing_served(moment) if moment.name == "acquire" else None
