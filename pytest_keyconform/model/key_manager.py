"""The oracle: what each operation does to the state, and what may be answered. Pure; no clock, no backend.

Where the catalogue leaves a choice the state holds bounds and the predicates answer `Tri.MAYBE`: rules accuse only
where the answer is certain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_keyconform.model import names, windows
from pytest_keyconform.model.outcome import outcome_of
from pytest_keyconform.model.state import ANY_NUMBER, Bounds, Spent, State, Tri, total
from pytest_keyconform.operation import Answered, Operation, Skipped
from pytest_keyconform.workload import Limits

if TYPE_CHECKING:
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.spec.policies import Policies
    from pytest_keyconform.workload import Given

ONE = Bounds(1, 1)
NONE_OR_ONE = Bounds(0, 1)
UNLIMITED = Limits()
INSTANT = 0.001  # seconds in which no bucket of usual limits drains by a whole one


@dataclass(frozen=True, slots=True)
class Oracle:
    """The specification under one set of policies, for one pool and what one backend claims."""

    policies: Policies
    claims: Claims
    given: Given

    def initial(self) -> State:
        """Answer the state of a manager that was just opened."""
        return State(members={pool: self.given.keys(pool) for pool in ("regular", "vertex")})

    def told(self, field: str) -> bool:
        """Tell whether the factory is given this field of the pool; else what the backend goes by is its own."""
        return self.claims.given is None or field in self.claims.given

    # -- what a caller may see -------------------------------------------------------------------------------

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
        if self.policies.minute_window == "bucket":  # it drains from the first second on
            minutes = [m & Tri.MAYBE if now - row.at > INSTANT else m for row, m in zip(rows, minutes, strict=True)]
        return {
            "rpm": total(zip(requests, minutes, strict=True)),
            "tpm": total(zip([row.tokens for row in rows], minutes, strict=True)),
            "rpd": total(
                zip(requests, [windows.in_day(row.at + shift, now + shift, zone) for row in rows], strict=True)
            ),
        }

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
        held = Tri.NO
        if self.policies.tenure == "lease":
            held = state.held.get(cell[:2], Bounds()).at_least(1)
        return self.usable(state, cell, now) & held.negated()

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

    # -- what an operation does ------------------------------------------------------------------------------

    def step(self, state: State, operation: Operation) -> tuple[State, ...]:
        """Answer the states that an operation may lead to, given how it was answered."""
        effect = getattr(self, f"_{operation.name}", None)
        if effect is None or isinstance(operation.response, Skipped) or operation.get("bad"):
            return (state,)
        after: State = effect(state, operation)
        if isinstance(operation.response, Answered) and not self._unheard(state, operation):
            return (after,)
        if operation.name == "fail":  # the replacement was answered, whatever became of the report
            state = self._served(state, operation, str(operation.get("pool", "regular")), NONE_OR_ONE)
        return (after, state) if after is not state else (state,)  # raised, cancelled, pending: done or not

    def _unheard(self, state: State, operation: Operation) -> bool:
        """Tell whether a report may have been ignored: under leases, one on a key that nobody surely holds."""
        if self.policies.tenure != "lease" or operation.name not in ("record", "fail") or operation.value is True:
            return False
        at = (str(operation.get("pool", "regular")), str(operation.get("lease")))
        return state.held.get(at, Bounds()).at_least(1) is not Tri.YES

    def _acquire(self, state: State, operation: Operation) -> State:
        return self._served(state, operation, str(operation.get("pool", "regular")), ONE)

    def _random_key(self, state: State, operation: Operation) -> State:
        return self._served(state, operation, "regular", ONE)

    def _next_key(self, state: State, operation: Operation) -> State:
        return self._served(state, operation, str(operation.get("pool", "regular")), NONE_OR_ONE)

    def _release(self, state: State, operation: Operation) -> State:
        key, pool = str(operation.get("lease")), operation.get("pool")
        pools = state.pools_of(key) if pool is None else (str(pool),)
        for named in pools:
            state = state.with_held((named, key), Bounds(-1, -1 if len(pools) == 1 else 0))
        return state

    def _record(self, state: State, operation: Operation) -> State:
        pool, key, cell = self._cell(operation)
        if not state.knows(pool, key) or operation.value is False:
            return state
        outcome = str(operation.get("outcome", "success"))
        state = state.without_reserved(cell).with_spent(cell, self._spent(operation, outcome))
        if self.policies.release == "on-report":
            state = state.with_held((pool, key), Bounds(-1, -1))
        if outcome in ("quota", "auth"):
            return self._hurt(state, cell, outcome, operation)
        if outcome == "success" and self.policies.success == "clears" and (pool, key) in state.strikes:
            return self._cleared(state, (pool, key), operation.at)
        return state

    def _fail(self, state: State, operation: Operation) -> State:
        pool, key, cell = self._cell(operation)
        if state.knows(pool, key):
            state = self._hurt(state.without_reserved(cell), cell, outcome_of(operation.get("status")), operation)
            if self.policies.release == "on-report":
                state = state.with_held((pool, key), Bounds(-1, -1))
        return self._served(state, operation, pool, NONE_OR_ONE)

    def _reset(self, state: State, operation: Operation) -> State:
        key = str(operation.get("key"))
        for pool in state.pools_of(key):
            state = state.lifted((pool, key))
        return state

    def _reset_all(self, state: State, _operation: Operation) -> State:
        for pool, keys in state.members.items():
            reached = bool(self.claims.forms("reset_all", pool))
            for key in keys:
                state = state.lifted((pool, key)) if reached else state.doubted((pool, key))
        return state

    def _reactivate(self, state: State, operation: Operation) -> State:
        key, model = str(operation.get("key")), operation.get("model")
        for pool in state.pools_of(key):
            state = state.lifted((pool, key), model=None if model is None else self.entry(model))
        return state

    def _reset_usage(self, state: State, _operation: Operation) -> State:
        return state.without_spent().with_marks_doubted(lambda _cell: True)

    def _restart(self, state: State, _operation: Operation) -> State:
        return state.restarted()

    def _crash(self, state: State, operation: Operation) -> State:
        lasting = self.policies.durability
        return state.restarted().forgetful(operation.at - lasting if isinstance(lasting, float) else operation.at)

    # -- parts of the effects --------------------------------------------------------------------------------

    def _cell(self, operation: Operation) -> tuple[str, str, tuple[str, str, str]]:
        pool, key = str(operation.get("pool", "regular")), str(operation.get("lease"))
        return pool, key, (pool, key, self.entry(operation.get("model")))

    def _served(self, state: State, operation: Operation, pool: str, count: Bounds) -> State:
        """Answer the state after a key was served; ``count`` tells whether that certainly holds and counts it."""
        key = operation.value
        if not isinstance(key, str) or not state.knows(pool, key):
            return state
        cell = (pool, key, self.entry(operation.get("model")))
        state = state.with_held((pool, key), count)
        if self.policies.counted_on == "acquire":
            return state.with_spent(cell, Spent(operation.at, count, Bounds()))
        return state.with_reserved(cell, operation.at)

    def _spent(self, operation: Operation, outcome: str) -> Spent:
        given = operation.get("tokens")
        tokens = ANY_NUMBER if given is None else Bounds(float(str(given)), float(str(given)))
        requests = Bounds() if self.policies.counted_on == "acquire" else ONE
        if outcome != "success":
            tokens = Bounds(0, tokens.high)
            requests = requests if self.policies.error_usage == "counts" else Bounds()
        if outcome in ("quota", "auth"):  # error_usage speaks of the other classes
            requests = Bounds(0, requests.high)
        return Spent(operation.at, requests, tokens)

    def _hurt(self, state: State, cell: tuple[str, str, str], outcome: str, operation: Operation) -> State:
        now = operation.at
        match outcome:
            case "quota" if not self.claims.takes(operation.name, "model", pool=cell[0]):
                return state.with_mark(cell, now).spread(cell, [name for name, _ in self.given.limits])
            case "quota":
                return state.with_mark(cell, now)
            case "auth":
                return state.with_out(cell[:2], now)
            case "request" if self.policies.request_errors == "free":
                return state
            case _:
                return self._recovered(state, cell[:2], now).with_strike(cell[:2], now, ONE)

    def _recovered(self, state: State, at: tuple[str, str], now: float) -> State:
        """Answer the state before another strike: those of a key that came back by itself may be forgotten."""
        before = state.strikes.get(at)
        if before is None or self.policies.strike_recovery is None or self.struck(state, at, now) is Tri.YES:
            return state
        worn = 1 if self.policies.failures == "immediate" else self.given.max_failures
        back = before.count.high >= worn or not self.told("max_failures")
        unsure = replace(before, count=Bounds(0, before.count.high))
        return replace(state, strikes={**state.strikes, at: unsure}) if back else state

    def _cleared(self, state: State, at: tuple[str, str], now: float) -> State:
        strikes = dict(state.strikes)
        gone = strikes.pop(at)
        if self.struck(state, at, now) is not Tri.NO:  # a late success may or may not bring a struck-out key back
            strikes[at] = replace(gone, count=Bounds(0, gone.count.high))
        return replace(state, strikes=strikes)
