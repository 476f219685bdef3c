"""FAIL13: what changes a key's standing, all of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import (
    ENTRY_POINTS,
    ONE,
    PAIR,
    asks,
    given_back,
    hurt,
    is_rejected,
    misstated,
    unfit_replacement,
    worn,
)
from pytest_keyconform.catalogue.steps import (
    acquire,
    fail,
    failures,
    is_valid,
    reactivate,
    record,
    reset,
    reset_all,
    usage,
    views,
)
from pytest_keyconform.operation import Phase
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.workload import Step

TRIO = Given()
"""Its third key is left alone: whatever becomes of the other two, there is one to be served."""


@final
class MixedCallsHaveAnOrder(Invariant):
    """Failures, successes, resets and acquires in parallel have a linearization.

    Why: each of them may be right alone and wrong beside another: an operator resets a key while its failures still
    arrive, and what is left fits neither to before nor to after (004-2, 004-8).
    How it breaks: strikes, bans and marks are cleared one by one with awaits between; a row that was read before
    another call is written back whole after it.
    Fix: one lock, or one atomic statement, for all that a call changes of a key; change fields, not copies of rows.
    """

    id = "FAIL13"
    audits = ("004-2", "004-8")
    requires = ("fail", "acquire|is_valid|failures|status|all_keys|usage")
    overlap = True
    CONFORMING = (
        "| fail(lease=key-1, status=500) -> key-2\n| reset(key=key-1) -> True\nfailures(key=key-1) -> 1",
        "| fail(lease=key-1, status=500) -> key-2\n| reset(key=key-1) -> True\nfailures(key=key-1) -> 0",
        (
            "| fail(lease=key-1, status=401) -> key-2\n| record(lease=key-1, tokens=5) -> True\n"
            "| acquire() -> key-1\nis_valid(key=key-1) -> False\nacquire() -> key-2"
        ),
        (
            "policy success=clears\nfail(lease=key-1, status=500) -> key-2\n"
            "| fail(lease=key-1, status=500) -> key-3\n| record(lease=key-1, tokens=5) -> True\n"
            "failures(key=key-1) -> 1"
        ),
        (
            "| fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-1, status=429) -> key-3\n"
            "| reset(key=key-1) -> True\nfailures(key=key-1) -> 1\nacquire() -> key-1"
        ),
    )
    VIOLATING = (
        (
            "fail(lease=key-1, status=500) -> key-2\n| fail(lease=key-1, status=500) -> key-3\n"
            "| reset(key=key-1) -> True\nfailures(key=key-1) -> 2\nis_valid(key=key-1) -> False"
        ),
        (
            "| fail(lease=key-1, status=401) -> key-2\n| record(lease=key-1, tokens=5) -> True\n"
            "is_valid(key=key-1) -> True"
        ),
        (
            "given max_failures=1\n| fail(lease=key-1, status=500) -> key-2\n| reset(key=key-1) -> True\n"
            "failures(key=key-1) -> 1\nis_valid(key=key-1) -> True"
        ),
        (
            "given regular=key-1,key-2\nfail(lease=key-1, status=401) -> key-2\n| reset(key=key-1) -> True\n"
            '| acquire() -> ""'
        ),
        (
            "| fail(lease=key-1, status=429) -> key-2\n| record(lease=key-2, tokens=5) -> True\n"
            'usage(key=key-2) -> {"rpm": 0, "tpm": 0}'
        ),
        "| fail(lease=key-1, status=429) -> key-2\n| reset(key=key-1) -> None",
    )

    def workloads(self) -> Iterator[Workload]:
        """Two and three clients with up to three calls each, about one key and about two; then every view."""
        auth, read = fail("key-1", status=401), (failures("key-1"), is_valid("key-1"))
        yield self._mixed("auth-acquire", (auth,), self.taking("a"), (reset("key-1"),))
        yield self._mixed("strike-reset", (fail("key-1", status=500),), (reset("key-1"),))
        yield self._mixed("mark-reset", (fail("key-1", status=429),), (reset("key-1"), *self.taking("a")))
        yield self._mixed("auth-reads", (auth,), (*read, *read))
        # Where the one key comes back before the other one goes there is a key to be served at every moment.
        swapped = (reset("key-1"), *hurt(self, "key-2", status=401))
        out = hurt(self, "key-1", status=401)
        yield self._mixed("swapped", swapped, self.taking("a"), given=PAIR, setup=out)
        yield self._mixed("crossed", swapped[:1], swapped[1:], given=PAIR, setup=out)
        yield self._mixed("other-strike", (fail("key-2", status=500),), (reset("key-1"),))
        yield self._mixed("both-out", (auth,), (fail("key-2", status=401),))
        others = ((auth, *self.taking("a")), (fail("key-2", status=429), *self.taking("b")))
        yield self._mixed("two-keys", *others)
        if self.policies.tenure == "rotation":  # a lease has one holder, who reports once
            yield from self._one_key()

    def _one_key(self) -> Iterator[Workload]:
        strike, mark, auth = (hurt(self, "key-1", status=status)[0] for status in (500, 429, 401))
        success, back = record("key-1", tokens=5), reset("key-1")
        again = (strike,)
        yield self._mixed("strike-mark", (strike, mark), (back,))
        yield self._mixed("mark-strike", (mark, strike), (back,))
        if self.policies.exhaustion != "blocks":  # an only key tells by every acquire whether it is marked
            other = hurt(self, "key-1", model="m2", status=429)[0]
            yield self._mixed("marks", (mark, other), (back,), given=ONE)
            yield self._mixed("marks-turned", (other, mark), (back,), given=ONE)
            yield self._mixed("mark-auth", (mark, auth), (back,), given=ONE)
        yield self._mixed("strikes-reset", (strike,), (back,), setup=again)
        yield self._mixed("strikes-success", (strike,), (success,), setup=again)
        yield self._mixed("success-reset", (success, strike), (back,), setup=again)
        # From one strike short of the threshold: the one that takes the key out is written somewhere else, often.
        last = worn(2, keys=3)
        for name, other in (
            ("reset", back),
            ("reset-all", reset_all()),
            ("reactivate", reactivate("key-1")),
            ("success", success),
        ):
            yield self._mixed(f"out-{name}", again, (other,), setup=again, given=last)
        yield self._mixed("auth-success", (auth,), (success,), self.taking("a"))
        yield self._mixed("three", (strike,), (success,), (back,))
        yield self._mixed("reads", (strike, back), (failures("key-1"), is_valid("key-1")), given=worn(1, keys=3))
        yield self._mixed(
            "last-strike", (strike, *self.taking("a")), (strike, is_valid("key-1")), given=worn(2, keys=3)
        )

    def _mixed(
        self, name: str, *clients: tuple[Step, ...], given: Given = TRIO, setup: tuple[Step, ...] = ()
    ) -> Workload:
        """Answer a program that ends with every view, the usage, and acquires for both models."""
        read = (*views(given), usage("key-1", optional=True))
        asked = (*given_back(self, "key-1"), *asks(self, keys=2), acquire(model="m2"))
        if self.policies.tenure == "rotation":
            asked = (*asks(self, keys=len(given.regular)), *asks(self, keys=len(given.regular), model="m2"))
        return Workload(name=name, given=given, setup=setup, clients=clients, finale=(*read, *asked))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what no order explains: a service, a reading, the answer of a reset, and of a failure told alone."""
        match moment.name:
            case name if name in ENTRY_POINTS:
                return unusable_served(moment) or nothing_served(moment)
            case "fail":
                return self._alone(moment)
            case "reset":
                wrong = moment.answered and moment.value is not True and moment.state.knows(moment.pool, moment.key)
                signature = "reset of a known key does not answer True"
                return moment.refusal("True", signature, gives="True") if wrong else None
            case "usage":
                return wrong_usage(moment)
            case _:
                return misstated(moment)

    def _alone(self, moment: Moment) -> Refusal | None:
        """Judge a replacement where nothing overlaps: a failure is recorded and replaced in two steps."""
        strange = is_rejected(moment) or not moment.state.knows(moment.pool, moment.key)
        if moment.operation.phase is Phase.PARALLEL or strange:
            return None
        return unfit_replacement(moment)
