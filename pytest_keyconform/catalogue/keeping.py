"""FAIL05 and FAIL09: what keeps a key out, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from pytest_keyconform.catalogue.calls import optional
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.standing import (
    ENTRY_POINTS,
    FIRST,
    SECOND,
    asks,
    given_back,
    hurt,
    kept_out,
    said,
    served_though,
)
from pytest_keyconform.catalogue.steps import (
    POOLS,
    acquire,
    advance,
    fail,
    random_key,
    reactivate,
    record,
    reset,
    step,
    tick,
    usage,
    views,
)
from pytest_keyconform.model.windows import ALIGNED
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.workload import Step

TRIO = Given()
MINUTE, HOUR, DAY = 61, 3600, 86_400
SPOILING = ("own-strike", "other-strike", "other-quota", "other-auth")
"""What, told again and again, would leave no key to be served in the place of the marked one."""


@final
class AuthTakesOut(Invariant):
    """401/403 takes the key out for every model until it is reset or reactivated, whatever successes arrive late.

    Why: a revoked key answers nothing but 401 any more; each call with it is lost, and some providers ban for it
    (000-1, 004-2).
    How it breaks: only the model of the call is marked; a late success writes an old copy of the key back; the mark
    of a later 429, or its end, takes the place of the 401.
    Fix: keep "taken out" apart from strikes and marks, and let nothing but a reset or a reactivation end it.
    """

    id = "FAIL05"
    audits = ("000-1", "004-2")
    requires = ("fail|record",)
    general = True
    CONFORMING = (
        (
            "fail(lease=key-1, status=401) -> key-2\nrecord(lease=key-1) -> True\nacquire(model=m2) -> key-2\n"
            "is_valid(key=key-1) -> False"
        ),
        "fail(lease=key-1, status=403) -> key-2\nreset(key=key-1) -> True\nis_valid(key=key-1) -> True",
        (
            "policy auth_recovery=60.0\nfail(lease=key-1, status=401) -> key-2\nadvance(seconds=62)\n"
            "is_valid(key=key-1) -> True"
        ),
        "given regular=key-1\npolicy exhaustion=fallback\nfail(lease=key-1, status=401) -> key-1\nacquire() -> key-1",
    )
    VIOLATING = (
        "fail(lease=key-1, model=m1, status=401) -> key-2\nacquire(model=m2) -> key-1",
        "fail(lease=key-1, status=403) -> key-2\nis_valid(key=key-1) -> True",
        "fail(lease=key-1, status=401) -> key-2\nrecord(lease=key-1) -> True\nacquire() -> key-1",
        "| fail(lease=key-1, status=401) -> key-2\n| record(lease=key-1) -> True\nis_valid(key=key-1) -> True",
        "policy auth_recovery=60.0\nfail(lease=key-1, status=401) -> key-2\nadvance(seconds=30)\nacquire() -> key-1",
        "record(lease=key-1, outcome=auth) -> True\nacquire() -> key-1",
        "fail(lease=key-1, status=401) -> key-2\nadvance(seconds=90000)\nrandom_key() -> key-1",
        (
            "fail(lease=key-1, status=401) -> key-2\n"
            'status() -> {"valid_keys": {"key-1": 0, "key-2": 0, "key-3": 0}, "invalid_keys": {}}'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Taken out by either report; then other reports, early and late, maintenance and time; and beside them."""
        for pool in POOLS:
            key, after = FIRST[pool], self._after(pool)
            told = (record(key, pool=pool, tokens=0, outcome="auth"), *given_back(self, key, pool=pool))
            for name, out in (
                ("401", hurt(self, key, status=401, pool=pool)),
                ("403", hurt(self, key, status=403, pool=pool)),
                ("m2", hurt(self, key, status=401, model="m2", pool=pool)),
                ("record", told),
            ):
                yield Workload(name=f"{pool}-{name}", given=TRIO, setup=(*out, *after))
            late = (fail(key, status=401, pool=pool), record(key, pool=pool, tokens=5))
            back = given_back(self, key, pool=pool)
            yield Workload(name=f"{pool}-late", given=TRIO, setup=(*late, *back, *after))
        yield from self._then()
        yield from self._together()

    def _after(self, pool: str = "regular") -> tuple[Step, ...]:
        keys = len(TRIO.keys(pool))
        chance = (random_key(optional=True),) * 6 if pool == "regular" and self.policies.tenure == "rotation" else ()
        served = asks(self, keys=keys, pool=pool)
        if self.claims.takes("acquire", "model", pool=pool):
            served = (*served, *asks(self, keys=keys, model="m2", pool=pool))
        return *views(TRIO, pool=pool), *served, *chance

    def _then(self) -> Iterator[Workload]:
        held, after = hurt(self, "key-1", status=401)[:1], self._after()  # late reports are of the same holder
        back = given_back(self, "key-1")
        out = (*held, *back)
        for name, late in (
            ("other-model", record("key-1", model="m2", tokens=5)),
            ("strike", hurt(self, "key-1", status=500)[0]),
            ("quota", hurt(self, "key-1", status=429)[0]),
            ("record-quota", record("key-1", tokens=0, outcome="quota")),
        ):
            setup = (*held, late, *back)
            yield Workload(name=f"late-{name}", given=TRIO, setup=(*setup, *after))
            over = (*setup, advance(MINUTE), tick())
            yield Workload(name=f"late-{name}-over", given=TRIO, setup=(*over, *after))
        for name, then in (
            ("minute", (advance(MINUTE), tick())),
            ("days", (advance(DAY), tick(), advance(DAY), tick())),
            ("other-success", (record("key-2", tokens=5), *given_back(self, "key-2"))),
            ("other-reset", (*hurt(self, "key-2", status=401), reset("key-2"))),
            ("usage-reset", (step("reset_usage"),)),
        ):
            yield Workload(name=name, given=TRIO, setup=(*out, *then, *after))
        before = (*hurt(self, "key-1", status=429), *out)
        yield Workload(name="early-quota", given=TRIO, setup=(*before, advance(MINUTE), tick(), *after))
        struck = (*hurt(self, "key-1", status=500), *out)
        yield Workload(name="early-strike", given=TRIO, setup=(*struck, *after))

    def _together(self) -> Iterator[Workload]:
        out, after = fail("key-1", status=401), self._after()
        for name, other in (
            ("success", record("key-1", tokens=5)),
            ("success-m2", record("key-1", model="m2", tokens=5)),
            ("strike", fail("key-1", status=500)),
            ("quota", fail("key-1", status=429)),
            ("other-success", record("key-2", tokens=5)),
            ("other-auth", fail("key-2", status=401)),
            ("acquire", acquire()),
            ("tick", tick()),
            ("status", step("status")),
        ):
            if self.policies.tenure == "lease" and other.invocation.get("lease") == "key-1":
                continue  # a lease has one holder, who reports once
            given_up = given_back(self, "key-1")
            yield Workload(name=f"with-{name}", given=TRIO, clients=((out,), (other,)), finale=(*given_up, *after))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse that a key which was taken out is served, or told valid."""
        if moment.name in ENTRY_POINTS:
            return served_though(moment, "barred")
        barred = [one.key for one in said(moment) if one.valid and kept_out(moment, one.key, "barred")]
        if not barred:
            return None
        return moment.refusal(f"{barred[0]} is told invalid", f"{moment.name} tells a key valid that got a 401")


@final
class MarkStays(Invariant):
    """A 429 mark stays until `quota_recovery` ends it, whatever else happens.

    Why: the mark spares the key; lifted early, the next caller runs into the same 429 (004-2).
    How it breaks: a report on another key or model writes an old copy of the row back; a success, a read or a
    maintenance tick clears the flag.
    Fix: store when the mark ends, change that field alone, and let the clock be all that ends it.
    """

    id = "FAIL09"
    audits = ("004-2",)
    requires = ("fail|record", "acquire|random_key")
    general = True
    CONFORMING = (
        "fail(lease=key-1, status=429) -> key-2\nrecord(lease=key-1) -> True\nadvance(seconds=40)\nacquire() -> key-2",
        "fail(lease=key-1, status=429) -> key-2\nadvance(seconds=61)\nacquire() -> key-1",
        "policy quota_recovery=10.0\nfail(lease=key-1, status=429) -> key-2\nadvance(seconds=12)\nacquire() -> key-1",
        (
            "policy minute_window=rolling\nadvance(seconds=30)\nfail(lease=key-1, status=429) -> key-2\n"
            "advance(seconds=25)\nacquire() -> key-1"
        ),
        "fail(lease=key-1, status=429) -> key-2\nreset(key=key-1) -> True\nacquire() -> key-1",
        "fail(lease=key-1, status=429) -> key-2\nreset_usage()\nacquire() -> key-1",
    )
    VIOLATING = (
        "fail(lease=key-1, status=429) -> key-2\nrecord(lease=key-1) -> True\nacquire() -> key-1",
        "fail(lease=key-1, status=429) -> key-2\ntick()\nacquire() -> key-1",
        "policy quota_recovery=300.0\nfail(lease=key-1, status=429) -> key-2\nadvance(seconds=200)\nacquire() -> key-1",
        "| fail(lease=key-1, status=429) -> key-2\n| fail(lease=key-2, status=429) -> key-3\nacquire() -> key-1",
        (
            "policy quota_recovery=None\nfail(lease=key-1, status=429) -> key-2\nadvance(seconds=90000)\n"
            "acquire() -> key-1"
        ),
        "record(lease=key-1, outcome=quota) -> True\nreset(key=key-2) -> True\nrandom_key() -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """A mark, then each of the other calls, ticks and time; and other calls at the same time."""
        for pool in POOLS:
            mark = hurt(self, FIRST[pool], status=429, pool=pool)
            after = asks(self, keys=len(TRIO.keys(pool)), pool=pool)
            for name, then in self._calls(pool):
                yield Workload(name=f"{pool}-{name}", given=TRIO, setup=(*mark, *then, *after))
            harmless = (then for name, then in self._calls(pool) if name not in SPOILING)
            every = optional(*(part for then in harmless for part in then))
            early = (*mark, *every, advance(self._lasting() * 0.4), *every, advance(self._lasting() * 0.4))
            yield Workload(name=f"{pool}-traffic", given=TRIO, setup=(*early, *every, *after))
            idle = (*mark, advance(self._lasting() * 0.8), tick())
            yield Workload(name=f"{pool}-idle", given=TRIO, setup=(*idle, *after))
        yield from self._together()

    def _lasting(self) -> float:
        """Answer for how many seconds, from the start of a minute, the first mark certainly lasts."""
        recovery = self.policies.quota_recovery
        if recovery is None:
            return DAY
        if isinstance(recovery, str):
            return ALIGNED if recovery == "minute" else 4 * HOUR
        return recovery[0] if isinstance(recovery, tuple) else recovery

    def _calls(self, pool: str) -> Iterator[tuple[str, tuple[Step, ...]]]:
        key, other = FIRST[pool], SECOND[pool]

        def told(about: str, model: str) -> tuple[Step, ...]:
            return record(about, model=model, pool=pool, tokens=1), *given_back(self, about, pool=pool)

        yield "own-success", told(key, DEFAULT_MODEL)
        yield "own-success-m2", told(key, "m2")
        yield "other-success", told(other, DEFAULT_MODEL)
        yield "own-strike", hurt(self, key, status=500, pool=pool)
        yield "own-request", hurt(self, key, status=400, pool=pool)
        yield "other-strike", hurt(self, other, status=500, pool=pool)
        yield "other-quota-m2", hurt(self, other, status=429, model="m2", pool=pool)
        yield "other-quota", hurt(self, other, status=429, pool=pool)
        yield "other-auth", hurt(self, other, status=401, pool=pool)
        yield "own-quota-m2", hurt(self, key, status=429, model="m2", pool=pool)
        yield "other-reset", (reset(other, pool=pool),)
        yield "other-reactivate", (reactivate(other),)
        yield "tick", (tick(), tick())
        yield "reads", (usage(key, pool=pool, optional=True), *views(TRIO, pool=pool), step("state", optional=True))

    def _together(self) -> Iterator[Workload]:
        one, after = fail("key-1", status=429), asks(self, keys=3)
        for name, other in (
            ("success", record("key-1", tokens=5)),
            ("success-m2", record("key-1", model="m2", tokens=5)),
            ("strike", fail("key-1", status=500)),
            ("quota-m2", fail("key-1", model="m2", status=429)),
            ("other-success", record("key-2", tokens=5)),
            ("other-quota", fail("key-2", status=429)),
            ("other-auth", fail("key-2", status=401)),
            ("acquire", acquire()),
            ("tick", step("tick")),
            ("usage", usage("key-1")),
        ):
            if self.policies.tenure == "lease" and other.invocation.get("lease") == "key-1":
                continue  # a lease has one holder, who reports once
            given_up = given_back(self, "key-1")
            yield Workload(name=f"with-{name}", given=TRIO, clients=((one,), (other,)), finale=(*given_up, *after))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse that a marked key is served for its model."""
        return served_though(moment, "marked")
