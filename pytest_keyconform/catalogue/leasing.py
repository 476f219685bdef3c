"""ACQ09, ACQ12 and ACQ13: who holds a lease, for how long, and what gives it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, broken
from pytest_keyconform.catalogue.provoking import limited
from pytest_keyconform.catalogue.standing import ONE, PAIR
from pytest_keyconform.catalogue.steps import acquire, advance, record, step
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
    """What the rules share: programs of one client on one key, followed from lease to lease."""

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
        if not history.sequential or len(history.given.regular) != 1:
            return
        holders: list[tuple[str, float]] = []  # the names of the leases in hand, and when they were taken
        for operation in history.operations:
            ttl = self.policies.lease_ttl
            holders = [(name, at) for name, at in holders if ttl is None or operation.at - at <= ttl]
            if operation.name == "acquire":
                yield from self._acquired(operation, holders)
                if isinstance(operation.value, str) and operation.value:
                    holders.append((operation.bind or "", _answered(operation)))
            elif operation.name in ("release", "record"):
                name = str(operation.get("of", ""))
                holders = [held for held in holders if held[0] != name]

    def _acquired(self, operation: Operation, holders: list[tuple[str, float]]) -> Iterator[Violation]:
        served = isinstance(operation.value, str) and bool(operation.value)
        ttl = self.policies.lease_ttl
        sure = [at for _, at in holders if ttl is None or _answered(operation) - at < ttl - SLACK]
        if served and sure and self.policies.exhaustion != "fallback":
            yield broken(operation, "no key: the only one is held", "a key that is held is served")
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
    )
    VIOLATING = (
        "policy tenure=lease\ngiven regular=key-1\na = acquire() -> key-1\nb = acquire() -> key-1",
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
