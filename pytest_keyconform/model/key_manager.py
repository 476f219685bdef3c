"""The oracle: what each operation does to the state. Pure; no clock, no backend."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_keyconform.model.outcome import outcome_of
from pytest_keyconform.model.standing import Standing
from pytest_keyconform.model.state import ANY_NUMBER, Bounds, Spent, State, Tri
from pytest_keyconform.model.windows import EPOCH, in_day
from pytest_keyconform.operation import Answered, Operation, Raised, Skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ONE = Bounds(1, 1)
NONE_OR_ONE = Bounds(0, 1)
DAYS_FIRST = 120.0  # seconds before its last use in which a row of an earlier version spent what its minute has not


class Oracle(Standing):
    """The specification: the states that an operation may lead to, beside what may be seen in each."""

    __slots__ = ()

    # -- what an operation does ------------------------------------------------------------------------------

    def step(self, state: State, operation: Operation) -> tuple[State, ...]:
        """Answer the states that an operation may lead to, given how it was answered."""
        effect = getattr(self, f"_{operation.name}", None)
        if effect is None or isinstance(operation.response, Skipped) or operation.get("bad"):
            return (state,)
        after: State = effect(state, operation)
        if operation.name in ("send", "request"):
            return (after,)
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
        return self.held(state, at, operation.at) is not Tri.YES

    def _acquire(self, state: State, operation: Operation) -> State:
        return self._served(state, operation, str(operation.get("pool", "regular")), ONE)

    def _random_key(self, state: State, operation: Operation) -> State:
        return self._served(state, operation, "regular", NONE_OR_ONE)

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

    def _send(self, state: State, operation: Operation) -> State:
        """Charge what the caller's code came to, inside a `call`, to the key that it was handed."""
        pool, key = str(operation.get("pool", "regular")), str(operation.get("key"))
        if not state.knows(pool, key):
            return state
        cell = (pool, key, self.entry(operation.get("model")))
        counted = Bounds() if self.policies.counted_on == "acquire" else NONE_OR_ONE
        state = state.with_spent(cell, Spent(operation.at, counted, ANY_NUMBER))
        refused = operation.response
        if isinstance(refused, Raised) and refused.message[:3].isdigit():
            return self._hurt(state, cell, outcome_of(int(refused.message[:3])), operation)
        return state

    def _request(self, state: State, operation: Operation) -> State:
        """Charge a request of a stream to the key that it carried: one request, and the failure that it met."""
        pool, key = str(operation.get("pool", "regular")), str(operation.get("key"))
        if not state.knows(pool, key):
            return state
        cell, met = (pool, key, self.entry(operation.get("model"))), operation.response
        state = state.with_spent(cell, Spent(operation.at, self._of_stream(operation), ANY_NUMBER))
        if isinstance(met, Raised):
            return self._hurt(state, cell, outcome_of(_status_of(met)), operation)
        clears = self.policies.success == "clears" and operation.value == "whole" and cell[:2] in state.strikes
        return self._cleared(state, cell[:2], operation.at) if clears else state

    def _of_stream(self, operation: Operation) -> Bounds:
        """Answer how often a request of a stream counts; one that was left before anything was passed on may not."""
        met = operation.response
        if isinstance(met, Raised):
            sure = self.policies.error_usage == "counts" and outcome_of(_status_of(met)) not in ("quota", "auth")
        else:
            sure = operation.value == "whole" or (operation.value == "left" and self.policies.error_usage == "counts")
        return ONE if sure else NONE_OR_ONE

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

    def _reload(self, state: State, operation: Operation) -> State:
        lists = {"regular": operation.get("api_keys"), "vertex": operation.get("vertex_api_keys")}
        members = {pool: _unique(keys) for pool, keys in lists.items() if isinstance(keys, list | tuple)}
        return state.exchanged({**state.members, **members}, keeping=self.policies.reload == "preserve")

    def _migrate(self, state: State, operation: Operation) -> State:
        rows = operation.get("rows")
        for row in rows if isinstance(rows, list | tuple) else ():
            at = (str(row["pool"]), str(row["key"]))
            if state.knows(*at):
                state = self._carried(state, (*at, self.entry(row["model"])), row)
        return state

    def _restart(self, state: State, operation: Operation) -> State:
        return self.initial() if operation.get("wiped") else state.restarted()

    def _crash(self, state: State, operation: Operation) -> State:
        lasting = self.policies.durability
        return state.restarted().forgetful(operation.at - lasting if isinstance(lasting, float) else operation.at)

    def _carried(self, state: State, cell: tuple[str, str, str], row: Mapping[str, Any]) -> State:
        """Answer the state with one row of an earlier version carried over; what is there already stays as it is."""
        when = (dt.datetime.fromisoformat(str(row["last_used"])) - EPOCH).total_seconds()
        minute, day = (float(row[name] or 0) for name in ("rpm", "rpd"))
        tokens = float(row["tpm"] or 0)
        first, rest = when - DAYS_FIRST, day - minute
        one_day = in_day(first, when, self.policies.day_zone) is Tri.YES  # else a midnight lies between them
        for spent in (
            Spent(first, Bounds(rest if one_day else 0, rest), Bounds()),
            Spent(when, Bounds(minute, minute), Bounds(tokens, tokens)),
        ):
            if spent not in state.spent.get(cell, ()):
                state = state.with_spent(cell, spent)
        if row["exhausted"] and cell not in state.marks:
            state = state.with_mark(cell, when)
        return state.with_out(cell[:2], when) if row["inactive"] else state

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
        if self.policies.lease_ttl is None:
            state = state.with_held((pool, key), count)
        else:
            state = state.with_taken((pool, key), operation.at, count)
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
            case "quota" if not self.claims.takes(_reporting(operation), "model", pool=cell[0]):
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


def _status_of(refused: Raised) -> int | None:
    return int(refused.message[:3]) if refused.message[:3].isdigit() else None


def _reporting(operation: Operation) -> str:
    return {"send": "call", "request": "stream"}.get(operation.name, operation.name)


def _unique(keys: Iterable[object]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for key in keys if isinstance(key, str) and key))
