"""The state of the oracle: immutable, compared by value, with bounds where the catalogue leaves a choice."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PoolKey: TypeAlias = tuple[str, str]  # pool, key
Cell: TypeAlias = tuple[str, str, str]  # pool, key, model entry


class Tri(enum.Enum):
    """A truth that the catalogue may leave open."""

    NO = 0
    MAYBE = 1
    YES = 2

    # These are asked for every key in every step of every order; ``value`` and ``Tri(...)`` take ten times as long.

    def __and__(self, other: Tri) -> Tri:
        """Both."""
        return self if self._value_ <= other._value_ else other

    def __or__(self, other: Tri) -> Tri:
        """Either."""
        return self if self._value_ >= other._value_ else other

    def negated(self) -> Tri:
        """Turn it round."""
        return _TURNED[self._value_]


_TURNED = (Tri.YES, Tri.MAYBE, Tri.NO)


@dataclass(frozen=True, slots=True)
class Bounds:
    """A number known to lie between two others, both included."""

    low: float = 0
    high: float = 0

    def __add__(self, other: Bounds) -> Bounds:
        """Add both ends."""
        return Bounds(self.low + other.low, self.high + other.high)

    def __contains__(self, value: float) -> bool:
        """Tell whether a number can be the one."""
        return self.low <= value <= self.high

    def at_least(self, limit: float) -> Tri:
        """Tell whether the number reaches a limit."""
        return Tri.YES if self.low >= limit else Tri.MAYBE if self.high >= limit else Tri.NO

    def __str__(self) -> str:
        """Show one number, or the range."""
        if self.low == self.high:
            return f"{self.low:g}"
        return f"at least {self.low:g}" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"


ANY_NUMBER = Bounds(0, math.inf)


def total(parts: Iterable[tuple[Bounds, Tri]]) -> Bounds:
    """Add up numbers, each where it counts, perhaps counts, or does not."""
    low = high = 0.0
    for number, counts in parts:
        if counts is not Tri.NO:
            high += number.high
            low += number.low if counts is Tri.YES else 0
    return Bounds(low, high)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call consumed, and when (virtual seconds)."""

    at: float
    requests: Bounds
    tokens: Bounds

    def rank(self) -> tuple[float, ...]:
        """Answer what calls are sorted by: their time, and at one time what they consumed."""
        return self.at, self.requests.low, self.requests.high, self.tokens.low, self.tokens.high

    def unsure(self) -> Spent:
        """Answer the same, perhaps forgotten by now."""
        return Spent(self.at, Bounds(0, self.requests.high), Bounds(0, self.tokens.high))


@dataclass(frozen=True, slots=True)
class Mark:
    """A 429: when it was set, the how-manieth in a row, and whether it is there for sure (by deeds, not by time)."""

    at: float
    count: int = 1
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Strikes:
    """Failures that count against a key, and when the last one came."""

    count: Bounds
    at: float


@dataclass(frozen=True, slots=True)
class Out:
    """A key taken out by 401 or 403: when, and whether it is out for sure (by deeds, not by time)."""

    at: float
    sure: bool = True


@dataclass(frozen=True, slots=True)
class State:
    """Everything the oracle knows. The mappings are never changed in place; an absent entry is the neutral one.

    ``reserved`` holds the times of acquires not yet reported; ``held`` how many leases of a key are out, ``taken``
    when the last one was taken, where leases end by themselves.
    """

    members: Mapping[str, tuple[str, ...]]
    strikes: Mapping[PoolKey, Strikes] = field(default_factory=dict)
    out: Mapping[PoolKey, Out] = field(default_factory=dict)
    marks: Mapping[Cell, Mark] = field(default_factory=dict)
    spent: Mapping[Cell, tuple[Spent, ...]] = field(default_factory=dict)
    reserved: Mapping[Cell, tuple[float, ...]] = field(default_factory=dict)
    held: Mapping[PoolKey, Bounds] = field(default_factory=dict)
    taken: Mapping[PoolKey, float] = field(default_factory=dict)

    def fingerprint(self) -> object:
        """Answer a value by which equal states are told (order of entries does not matter)."""
        return tuple(
            frozenset(part.items())
            for part in (
                self.members,
                self.strikes,
                self.out,
                self.marks,
                self.spent,
                self.reserved,
                self.held,
                self.taken,
            )
        )

    def but(self, **parts: Any) -> State:  # noqa: ANN401 - the fields, by name
        """Answer the same state with some parts changed; `dataclasses.replace` takes ten times as long."""
        told = parts.get
        return State(
            told("members", self.members),
            told("strikes", self.strikes),
            told("out", self.out),
            told("marks", self.marks),
            told("spent", self.spent),
            told("reserved", self.reserved),
            told("held", self.held),
            told("taken", self.taken),
        )

    def knows(self, pool: str, key: str) -> bool:
        """Tell whether the pool has the key."""
        return key in self.members.get(pool, ())

    def pools_of(self, key: str) -> tuple[str, ...]:
        """Answer the pools that the key is in."""
        return tuple(pool for pool, keys in self.members.items() if key in keys)

    def with_strike(self, at: PoolKey, now: float, count: Bounds) -> State:
        """Add strikes to a key."""
        before = self.strikes.get(at)
        total = count if before is None else before.count + count
        return self.but(strikes={**self.strikes, at: Strikes(total, now)})

    def with_out(self, at: PoolKey, now: float) -> State:
        """Take a key out, as 401 and 403 do."""
        return self.but(out={**self.out, at: Out(now)})

    def with_mark(self, cell: Cell, now: float) -> State:
        """Mark a key for a model, as 429 does."""
        before = self.marks.get(cell)
        return self.but(marks={**self.marks, cell: Mark(now, before.count + 1 if before else 1)})

    def spread(self, cell: Cell, models: Iterable[str]) -> State:
        """Answer the same state with the mark of a cell perhaps on these models as well."""
        own = self.marks[cell]
        perhaps = {(*cell[:2], model): Mark(own.at, own.count, sure=False) for model in models}
        return self.but(marks={**self.marks, **perhaps, cell: own})

    def with_spent(self, cell: Cell, spent: Spent) -> State:
        """Count a call. The rows stand by time, so that states that differ in the order of the calls alone are one."""
        rows = self.spent.get(cell, ())
        told = (*rows, spent)
        if rows and rows[-1].rank() > spent.rank():
            told = tuple(sorted(told, key=Spent.rank))
        return self.but(spent={**self.spent, cell: told})

    def with_reserved(self, cell: Cell, now: float) -> State:
        """Remember an acquire that is not reported yet."""
        return self.but(reserved={**self.reserved, cell: tuple(sorted((*self.reserved.get(cell, ()), now)))})

    def without_reserved(self, cell: Cell) -> State:
        """Take one acquire as reported: the oldest, if there is one."""
        times = self.reserved.get(cell, ())
        return self.but(reserved={**self.reserved, cell: times[1:]}) if times else self

    def with_held(self, at: PoolKey, change: Bounds) -> State:
        """Change how many leases of a key are out; never below none."""
        before = self.held.get(at, Bounds())
        low, high = max(0, before.low + change.low), max(0, before.high + change.high)
        return self.but(held={**self.held, at: Bounds(low, high)})

    def with_taken(self, at: PoolKey, now: float, count: Bounds) -> State:
        """Remember when a lease was taken that ends by itself; those before it perhaps have ended."""
        before = self.held.get(at, Bounds())
        held = {**self.held, at: Bounds(0, before.high) + count}
        return self.but(held=held, taken={**self.taken, at: now})

    def lifted(self, at: PoolKey, *, model: str | None = None) -> State:
        """Lift what keeps a key out: everything, or a model's mark alone (the rest is then perhaps lifted)."""
        marks = {cell: mark for cell, mark in self.marks.items() if cell[:2] != at or model not in (None, cell[2])}
        unsure = {cell: tuple(map(Spent.unsure, rows)) for cell, rows in self.spent.items() if cell[:2] == at}
        strikes, out = dict(self.strikes), dict(self.out)
        struck, gone = strikes.pop(at, None), out.pop(at, None)
        if model is not None and struck is not None:
            strikes[at] = Strikes(Bounds(0, struck.count.high), struck.at)
        if model is not None and gone is not None:
            out[at] = Out(gone.at, sure=False)
        return self.but(marks=marks, strikes=strikes, out=out, spent={**self.spent, **unsure})

    def doubted(self, at: PoolKey) -> State:
        """Answer the same state with all that keeps this key out perhaps lifted."""
        strikes, out = dict(self.strikes), dict(self.out)
        if at in strikes:
            strikes[at] = Strikes(Bounds(0, strikes[at].count.high), strikes[at].at)
        if at in out:
            out[at] = Out(out[at].at, sure=False)
        return self.but(strikes=strikes, out=out).with_marks_doubted(lambda cell: cell[:2] == at)

    def exchanged(self, members: Mapping[str, tuple[str, ...]], *, keeping: bool) -> State:
        """Answer the state with these keys in the pools; of those that were there before all is known, or nothing.

        Who holds a lease across the exchange is perhaps forgotten.
        """

        def stays(at: tuple[str, ...]) -> bool:
            return keeping and at[1] in members.get(at[0], ()) and at[1] in self.members.get(at[0], ())

        return State(
            members,
            {at: strikes for at, strikes in self.strikes.items() if stays(at)},
            {at: out for at, out in self.out.items() if stays(at)},
            {cell: mark for cell, mark in self.marks.items() if stays(cell)},
            {cell: rows for cell, rows in self.spent.items() if stays(cell)},
            {cell: times for cell, times in self.reserved.items() if stays(cell)},
            {at: Bounds(0, count.high) for at, count in self.held.items() if at[1] in members.get(at[0], ())},
        )

    def restarted(self) -> State:
        """Answer the state after a restart: usage is kept; what keeps keys out and who holds one perhaps."""
        state = self
        for at in {*self.strikes, *self.out}:
            state = state.doubted(at)
        held = {at: Bounds(0, count.high) for at, count in self.held.items()}
        return state.but(held=held).with_marks_doubted(lambda _cell: True)

    def forgetful(self, since: float) -> State:
        """Answer the same state with what was spent after an instant perhaps forgotten."""
        spent = {
            cell: tuple(row if row.at <= since else row.unsure() for row in rows) for cell, rows in self.spent.items()
        }
        return self.but(spent=spent)

    def with_marks_doubted(self, which: Callable[[Cell], bool]) -> State:
        """Answer the same state with these marks perhaps lifted."""
        return self.but(
            marks={cell: Mark(m.at, m.count, sure=False) if which(cell) else m for cell, m in self.marks.items()},
        )

    def without_spent(self) -> State:
        """Forget all usage."""
        return self.but(spent={}, reserved=self.reserved)
