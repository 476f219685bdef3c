"""What may be answered in a state: what is used, valid, usable, free. Pure; no clock, no backend.

Where the catalogue leaves a choice the state holds bounds and the predicates answer `Tri.MAYBE`: rules accuse only
where the answer is certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_keyconform.model import names, windows
from pytest_keyconform.model.state import ANY_NUMBER, Bounds, State, Tri, total
from pytest_keyconform.workload import Limits

if TYPE_CHECKING:
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Given

UNLIMITED = Limits()
INSTANT = 0.001  # seconds in which no bucket of usual limits drains by a whole one


@dataclass(frozen=True, slots=True)
class Standing:
    """What a caller may see in a state, under one set of policies, for one pool and what one backend claims."""

    policies: Policies
    claims: Claims
    given: Given

    def initial(self) -> State:
        """Answer the state of a manager that was just opened."""
        return State(members={pool: self.given.keys(pool) for pool in ("regular", "vertex")})

    def told(self, field: str) -> bool:
        """Tell whether the factory is given this field of the pool; else what the backend goes by is its own."""
        return self.claims.given is None or field in self.claims.given

    def entry(self, model: object) -> str:
        """Answer the entry a model is counted under.

        Where the limits cannot be given every model is unknown: under ``fallback-model`` they are all the default one.
        """
        if self.policies.unknown_model == "fallback-model" and not self.told("limits"):
            return self.given.default_model
        return names.entry(model, self.given, self.policies)

    def used(self, state: State, cell: tuple[str, str, str], now: float) -> dict[str, Bounds]:
        """Answer what is surely and what is perhaps used in the windows of now: rpm, tpm and rpd."""
        rows = state.spent.get(cell, ())
        requests, zone, shift = [row.requests for row in rows], self.policies.day_zone, self.given.starts
        minutes = [windows.in_minute(row.at, now) for row in rows]
        if self.policies.minute_window == "bucket":
            minutes = self._draining(state, cell, now, minutes)
        return {
            "rpm": total(zip(requests, minutes, strict=True)),
            "tpm": total(zip([row.tokens for row in rows], minutes, strict=True)),
            "rpd": total(
                zip(requests, [windows.in_day(row.at + shift, now + shift, zone) for row in rows], strict=True)
            ),
        }

    def _draining(self, state: State, cell: tuple[str, str, str], now: float, minutes: list[Tri]) -> list[Tri]:
        """Answer what still counts in a bucket: it drains from the first second on, and as long as it was overfilled.

        Reports fill it beyond its limit; then it takes as many minutes more to drain.
        """
        rows, limits = state.spent.get(cell, ()), self.given.limits_of(cell[2]) or UNLIMITED
        filled = (
            (limits.rpm, sum(row.requests.high for row in rows)),
            (limits.tpm, sum(row.tokens.high for row in rows)),
        )
        fullest = max((1.0, *(spent / limit for limit, spent in filled if limit)))
        open_until = windows.FREE_AFTER * fullest
        draining = []
        for row, held in zip(rows, minutes, strict=True):
            age = now - row.at
            surely = held & Tri.MAYBE if age > INSTANT else held
            draining.append(surely | Tri.MAYBE if age < open_until else surely)
        return draining

    def below_limits(self, state: State, cell: tuple[str, str, str], now: float) -> Tri:
        """Tell whether a key is below every limit of a model; reserved acquires may count or not."""
        limits = self.given.limits_of(cell[2])
        if limits is None or limits == UNLIMITED or self.policies.counted_on == "none":
            return Tri.YES
        reserved = [windows.in_minute(at, now) for at in state.reserved.get(cell, ())]
        pending = Bounds(0, sum(held is not Tri.NO for held in reserved))
        used = self.used(state, cell, now)
        answer = Tri.YES
        for name, limit in (("rpm", limits.rpm), ("tpm", limits.tpm), ("rpd", limits.rpd)):
            if limit is not None:
                extra = pending if name != "tpm" else Bounds(0, math.inf if pending.high else 0)
                answer &= (used[name] + extra).at_least(limit).negated()
        return answer

    def struck(self, state: State, at: tuple[str, str], now: float) -> Tri:
        """Tell whether a key is out by its strikes."""
        strikes = state.strikes.get(at)
        if strikes is None:
            return Tri.NO
        threshold = 1 if self.policies.failures == "immediate" else self.given.max_failures
        reached = strikes.count.at_least(threshold)
        if not self.told("max_failures") and self.policies.failures == "threshold" and strikes.count.high:
            reached = Tri.MAYBE
        return reached & windows.pausing(strikes.at, self.policies.strike_recovery, 1, now)

    def barred(self, state: State, at: tuple[str, str], now: float) -> Tri:
        """Tell whether a key is out by a 401 or 403."""
        out = state.out.get(at)
        if out is None:
            return Tri.NO
        lasting = windows.pausing(out.at, self.policies.auth_recovery, 1, now)
        return lasting if out.sure else lasting & Tri.MAYBE

    def marked(self, state: State, cell: tuple[str, str, str], now: float) -> Tri:
        """Tell whether a key is kept from a model by a 429; from every model where acquire knows none."""
        if not state.marks:
            return Tri.NO
        cells = [cell]
        if not self.claims.takes("acquire", "model", pool=cell[0]):
            cells = [other for other in state.marks if other[:2] == cell[:2]]
        answer = Tri.NO
        for mark in (state.marks[c] for c in cells if c in state.marks):
            lasting = windows.marked(mark.at, mark.count, now, self.policies, starts=self.given.starts)
            answer |= lasting if mark.sure else lasting & Tri.MAYBE
        return answer

    def valid(self, state: State, at: tuple[str, str], now: float) -> Tri:
        """Tell whether a key is valid: neither struck out nor taken out. Marks and quota do not matter."""
        if at not in state.strikes and at not in state.out:
            return Tri.YES
        return (self.struck(state, at, now) | self.barred(state, at, now)).negated()

    def usable(self, state: State, cell: tuple[str, str, str], now: float) -> Tri:
        """Tell whether a key can be served for a model (catalogue: *usable*)."""
        if not state.knows(*cell[:2]):
            return Tri.NO
        fit = self.valid(state, cell[:2], now) & self.marked(state, cell, now).negated()
        return fit & self.below_limits(state, cell, now)

    def free(self, state: State, cell: tuple[str, str, str], now: float) -> Tri:
        """Tell whether a key can be served and, under leases, nobody holds it."""
        return self.usable(state, cell, now) & self.held(state, cell[:2], now).negated()

    def held(self, state: State, at: tuple[str, str], now: float) -> Tri:
        """Tell whether anybody holds a lease of a key; from a second before `lease_ttl` on that is not certain."""
        if self.policies.tenure != "lease":
            return Tri.NO
        held, ttl = state.held.get(at, Bounds()).at_least(1), self.policies.lease_ttl
        over = ttl is not None and now - state.taken.get(at, now) >= ttl - windows.SLACK
        return held & Tri.MAYBE if over else held

    def servable(self, state: State, pool: str, model: object, now: float) -> dict[str, Tri]:
        """Answer for each key of a pool whether it is free for a model."""
        name = self.entry(model)
        return {key: self.free(state, (pool, key, name), now) for key in state.members.get(pool, ())}

    def failures(self, state: State, at: tuple[str, str]) -> Bounds:
        """Answer the failure count of a key, as far as it is certain."""
        if at in state.out or self.policies.failures == "immediate":
            return ANY_NUMBER
        strikes = state.strikes.get(at)
        if strikes is None:
            return Bounds()
        if self.policies.strike_recovery is not None:  # coming back may zero them
            return Bounds(0, strikes.count.high)
        if strikes.count.high > self.given.max_failures:
            return Bounds(min(strikes.count.low, self.given.max_failures), strikes.count.high)
        return strikes.count
