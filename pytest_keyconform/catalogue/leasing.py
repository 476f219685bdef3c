"""ACQ09, ACQ12 and ACQ13: who holds a lease, for how long, and what gives it back."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import limited
from pytest_keyconform.catalogue.standing import FIRST, ONE, PAIR
from pytest_keyconform.catalogue.steps import (
    POOLS,
    acquire,
    advance,
    reactivate,
    record,
    reset,
    reset_all,
    reset_usage,
    status,
    step,
    tick,
    usage,
)
from pytest_keyconform.model.windows import SLACK
from pytest_keyconform.operation import Ref
from pytest_keyconform.workload import Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

CLOSE = 2.0  # seconds before and after the end of a lease at which it is asked for


class Held(Invariant, shared=True):
    """What the rules share: leases of a key are followed, and no two of them are in hand together."""

    applies: ClassVar = {"tenure": ("lease",)}
    requires = ("acquire", "release|record")
    subject = ("release",)

    def back(self, name: str) -> tuple[Step, ...]:
        """Answer the step that gives a lease back."""
        lease = Ref(name)
        if self.policies.release == "explicit":
            return (step("release", lease=lease, of=name, optional=True),)
        return (record(lease, tokens=0, of=name),)

    def violations(self, history: History) -> Iterator[Violation]:
        """Follow the one key: who was served it, whose lease ended, and whether it was served while it was held."""
        yield from self.accidents(history)
        yield from self._together(history)
        if history.sequential and len(history.given.regular) == 1:
            yield from self._followed(history)

    def _together(self, history: History) -> Iterator[Violation]:
        """Look for two leases of one key that are both in hand once the second is answered."""
        if self.policies.exhaustion == "fallback":
            return
        ended: dict[str, int] = {}
        for operation in history.operations:
            if operation.name in ("release", "record") and operation.get("of") is not None:
                ended.setdefault(str(operation.get("of")), operation.called)
        taken = [one for one in history.named("acquire") if isinstance(one.value, str) and one.value]
        for first, second in combinations(sorted(taken, key=lambda one: one.returned or 0), 2):
            back = ended.get(first.bind or "")
            over = back is not None and back < (second.returned or 0)
            if first.value == second.value and not over and not self._may_end(first, second):
                yield broken(second, "a key that nobody holds", "a key that is held is served")

    def _may_end(self, first: Operation, second: Operation) -> bool:
        ttl = self.policies.lease_ttl
        return ttl is not None and _answered(second) - first.at >= ttl - SLACK

    def _followed(self, history: History) -> Iterator[Violation]:
        """Follow the one regular key from lease to lease."""
        holders: list[tuple[str, float]] = []  # the names of the leases in hand, and when they were taken
        for operation in history.operations:
            ttl = self.policies.lease_ttl
            holders = [(name, at) for name, at in holders if ttl is None or operation.at - at <= ttl]
            if operation.name == "acquire" and operation.get("pool", "regular") == "regular":
                yield from self._acquired(operation, holders)
                if isinstance(operation.value, str) and operation.value:
                    holders.append((operation.bind or "", _answered(operation)))
            elif operation.name in ("release", "record"):
                name = str(operation.get("of", ""))
                holders = [held for held in holders if held[0] != name]

    def _acquired(self, operation: Operation, holders: list[tuple[str, float]]) -> Iterator[Violation]:
        served = isinstance(operation.value, str) and bool(operation.value)
        if not served and not holders:
            yield broken(operation, "the key: nobody holds it", "a key that nobody holds is not served")


def _answered(operation: Operation) -> float:
    """Answer when a call came back: who waits for a key may get one whose lease ends meanwhile."""
    return operation.at if operation.until is None else operation.until


@final
class OneHolder(Held):
    """A lease is held by one holder until it is released; a release by another holder, or twice, frees nothing.

    Why: two callers on one key spend its quota twice as fast, and neither knows of the other (004-1).
    How it breaks: a release names the key and not the lease; a counter of free places is raised once more.
    Fix: give each lease a token of its own, and let a release that names another token do nothing.
    """

    id = "ACQ09"
    audits = ("004-1",)
    CONFORMING = (
        (
            "policy tenure=lease\ngiven regular=key-1\na = acquire() -> key-1\nrelease(lease=key-1, of=a)\n"
            'b = acquire() -> key-1\nacquire() -> ""'
        ),
        (
            "policy tenure=lease\ngiven regular=key-1,key-2\n| a = acquire() -> key-2\n| b = acquire() -> key-1\n"
            "release(lease=key-2, of=a)\nc = acquire() -> key-2"
        ),
    )
    VIOLATING = (
        "policy tenure=lease\ngiven regular=key-1\na = acquire() -> key-1\nb = acquire() -> key-1",
        "policy tenure=lease\ngiven regular=key-1,key-2\n| a = acquire() -> key-2\n| b = acquire() -> key-2",
        (
            "policy tenure=lease\na = acquire(pool=vertex) -> vertex-1\nreset(key=vertex-1, pool=vertex) -> True\n"
            "b = acquire(pool=vertex) -> vertex-1"
        ),
        (
            "policy tenure=lease\ngiven regular=key-1\na = acquire() -> key-1\nrelease(lease=key-1, of=a)\n"
            "b = acquire() -> key-1\nrelease(lease=key-1, of=a)\nacquire() -> key-1"
        ),
        'policy tenure=lease\ngiven regular=key-1\na = acquire() -> key-1\nrelease(lease=key-1, of=a)\nacquire() -> ""',
        "policy tenure=lease\ngiven regular=key-1\nrelease(lease=key-1) -> raises KeyError",
    )

    def workloads(self) -> Iterator[Workload]:
        """One key taken, given back once and twice, by its holder and by the one before; with quota around it."""
        back = self.back("a")
        a, b, again = acquire("a"), acquire("b"), acquire("c")
        for name, steps in (
            ("held", (a, b)),
            ("free", (a, *back, b)),
            ("twice", (a, *back, *back, b, again)),
            ("by-another", (a, *back, b, *back, again)),
            ("by-another-twice", (a, *back, b, *back, *back, again, *self.back("b"), acquire("d"))),
        ):
            for given_name, given in (("", ONE), ("-limited", limited(Limits(rpm=50), keys=1))):
                yield Workload(name=f"{name}{given_name}", given=given, setup=steps)
        yield from self._in_parallel()
        for pool in POOLS:
            yield from self._between(pool)

    def _in_parallel(self) -> Iterator[Workload]:
        """One caller more than there are keys; a release, of the holder and of the one before, beside an acquire."""
        back, b = self.back("a"), (acquire("b"),)
        for given, pool in product((ONE, PAIR), POOLS):
            size = len(given.keys(pool))
            asks = tuple((acquire(f"p{number}", pool=pool),) for number in range(size + 1))
            yield Workload(name=f"{pool}-crowd-{len(given.regular)}", given=given, clients=asks)
        yield Workload(name="releasing", given=ONE, setup=(acquire("a"),), clients=(back, b), finale=(acquire("c"),))
        clients = (back, (acquire("c"),))
        yield Workload(name="late", given=ONE, setup=(acquire("a"), *back, *b), clients=clients)

    def _between(self, pool: str) -> Iterator[Workload]:
        """Whatever is done between two acquires: the key stays held."""
        key = FIRST[pool]
        a, b, c = (acquire(name, pool=pool) for name in "abc")
        yield Workload(name=f"{pool}-late", given=ONE, setup=(a, *self.back("a"), b, *self.back("a"), c))
        steps = [
            reset(key, pool=pool),
            reset_all(),
            reactivate(key),
            reset_usage(),
            tick(),
            status(pool=pool),
            usage(key, pool=pool),
            *([record(Ref("a"), pool=pool, tokens=1)] if self.policies.release == "explicit" else []),
        ]
        if self.policies.reload == "preserve":
            steps.append(step("reload", api_keys=ONE.regular, vertex_api_keys=ONE.vertex))
        for between in optional(*steps):
            yield Workload(name=f"{pool}-{between.name}", given=ONE, setup=(a, between, b))


@final
class LeaseEnds(Held):
    """A lease is free again once `lease_ttl` has passed, not before, and the late release of who lost it frees nothing.

    Why: a worker that died keeps its key for ever; a late release takes it from the one who has it now (004-1).
    How it breaks: nobody looks for old leases; the time runs from the release; a release does not look whose it is.
    Fix: store when a lease ends beside its token, treat an ended one as free, and compare tokens on release.
    """

    id = "ACQ12"
    audits = ("004-1",)
    applies: ClassVar = {"tenure": ("lease",), "lease_ttl": (float,)}
    CONFORMING = (
        (
            "policy tenure=lease lease_ttl=60.0\ngiven regular=key-1\na = acquire() -> key-1\nadvance(seconds=58)\n"
            'acquire() -> ""\nadvance(seconds=4)\nb = acquire() -> key-1'
        ),
        (
            "policy tenure=lease lease_ttl=60.0 exhaustion=blocks\ngiven regular=key-1\na = acquire() -> key-1\n"
            "advance(seconds=58)\nb = acquire() -> key-1 after 2"
        ),
    )
    VIOLATING = (
        (
            "policy tenure=lease lease_ttl=60.0\ngiven regular=key-1\na = acquire() -> key-1\nadvance(seconds=62)\n"
            'acquire() -> ""'
        ),
        (
            "policy tenure=lease lease_ttl=60.0\ngiven regular=key-1\na = acquire() -> key-1\nadvance(seconds=30)\n"
            "acquire() -> key-1"
        ),
        (
            "policy tenure=lease lease_ttl=60.0\ngiven regular=key-1\na = acquire() -> key-1\nadvance(seconds=62)\n"
            "b = acquire() -> key-1\nrelease(lease=key-1, of=a)\nacquire() -> key-1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """One key never given back: asked for shortly before and after its end, and given back late."""
        ttl = self.policies.lease_ttl
        if ttl is None:
            return
        late, a, b = (advance(ttl + CLOSE),), acquire("a"), acquire("b")
        early = (a, advance(ttl - CLOSE), acquire("c")) if ttl > 2 * CLOSE else (a, acquire("c"))
        back = self.back("a")
        for name, steps in (
            ("early", early),
            ("late", (a, *late, b)),
            ("late-twice", (a, *late, b, *late, acquire("c"))),
            ("late-release", (a, *late, b, *back, acquire("c"))),
            ("released-first", (a, *back, b, advance(ttl - CLOSE), acquire("c"))),
            ("renewed", (a, advance(ttl / 2), *back, b, advance(ttl / 2 + CLOSE), acquire("c"))),
        ):
            yield Workload(name=name, given=ONE, setup=steps)
        clients = ((b,), (acquire("c"),))
        yield Workload(name="late-crowd", given=ONE, setup=(a, *late), clients=clients)
        half = ttl / 2
        if half <= CLOSE:
            return
        moving = [usage("key-1"), status(), tick(), reset("key-1"), reset_usage()]
        moving += [record(Ref("a"), tokens=1)] if self.policies.release == "explicit" else []
        for between in optional(*moving):  # none of them begins the time anew, or ends it
            for name, rest in (("early", half - CLOSE), ("late", half + CLOSE)):
                steps = (a, advance(half), between, advance(rest), b)
                yield Workload(name=f"{between.name}-{name}", given=ONE, setup=steps)


@final
class LeasesComeBack(Invariant):
    """An abandoned lease comes back: `lease_ttl` is declared.

    Why: a worker that is killed gives nothing back; without an end its key is lost until the next restart (004-1).
    How it breaks: leases are kept in a set until they are released.
    Fix: let leases end by themselves, and declare after how many seconds: ``Policies(lease_ttl=...)``.
    """

    id = "ACQ13"
    level = "should"
    audits = ("004-1",)
    applies: ClassVar = {"tenure": ("lease",)}
    CONFORMING = ("policy tenure=lease lease_ttl=60.0\nacquire() -> key-1", "acquire() -> key-1")
    VIOLATING = ("policy tenure=lease\nacquire() -> key-1",)

    def workloads(self) -> Iterator[Workload]:
        """One lease that nobody gives back."""
        yield Workload(name="abandoned", given=PAIR, setup=(acquire("a"),))

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what is declared."""
        taken = next(history.named("acquire"), None)
        if taken is not None and self.policies.tenure == "lease" and self.policies.lease_ttl is None:
            yield broken(taken, "a declared lease_ttl", "leases have no declared end")
