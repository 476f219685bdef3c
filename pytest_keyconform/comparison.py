"""Two reports compared: what got worse, what got better, and what cannot be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_keyconform.report import FAILING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.report import InvariantReport, Report, Status

ACCEPTED: frozenset[Status] = frozenset({"violated", "waived"})  # which have a signature
SAID = {"conforms": "conformed", "not-applicable": "did not apply"}


@dataclass(frozen=True, slots=True)
class Change:
    """One invariant that is not as it was; ``text`` says how, as the rest of a sentence that begins with its id."""

    id: str
    text: str

    def __str__(self) -> str:
        """Answer the sentence."""
        return f"{self.id} {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What changed from an earlier report to a later one."""

    worse: tuple[Change, ...]
    better: tuple[Change, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Answer a line for each change and note, the worst first."""
        told = (("worse", self.worse), ("better", self.better), ("note", self.notes))
        return [f"{word}: {one}" for word, every in told for one in every]


def compare(earlier: Report, later: Report) -> Comparison:
    """Compare two reports, of what is in both of them."""
    budgeted = earlier.profile == later.profile
    before = {result.id: result for result in earlier.invariants}
    both = [(before[result.id], result) for result in later.invariants if result.id in before and not result.pinned]
    worse = [Change(now.id, text) for then, now in both for text in _worse(then, now, budgeted=budgeted)]
    if later.error is not None and earlier.error is None:
        worse.append(Change(later.target, f"could be judged, and cannot be any more: {later.error}"))
    return Comparison(
        worse=tuple(worse),
        better=tuple(Change(now.id, text) for then, now in both for text in _better(then, now, budgeted=budgeted)),
        notes=tuple(_notes(earlier, later, both)),
    )


def same_violation(then: InvariantReport, now: InvariantReport) -> bool:
    """Tell whether a violation is the one that was there before."""
    return now.status == "violated" and then.status in ACCEPTED and now.signature is not None and _same(then, now)


def _same(then: InvariantReport, now: InvariantReport) -> bool:
    return then.signature == now.signature


def _worse(then: InvariantReport, now: InvariantReport, *, budgeted: bool) -> Iterator[str]:
    if then.status == now.status == "conforms":
        gone = [engine for engine in then.engines if engine not in now.engines]
        if gone:
            yield f"is no longer judged on {', '.join(gone)}"
        if budgeted and then.exhausted and not now.exhausted:
            yield "is no longer judged in every order there is"
    elif now.status == "not-applicable" != then.status:
        yield f"{_was(then)}, and does not apply any more: {_why(now)}"
    elif then.status == "conforms" and now.status in FAILING:
        yield f"conformed, and is {now.status} now{_reason(now)}"
    elif now.status == "violated" and not same_violation(then, now):
        yield f"{_was(then)}, and is violated in a new way now: {now.signature}"


def _better(then: InvariantReport, now: InvariantReport, *, budgeted: bool) -> Iterator[str]:
    if now.status != "conforms":
        return
    if then.status != "conforms":
        yield f"{_was(then)}, and conforms now"
        return
    more = [engine for engine in now.engines if engine not in then.engines]
    if more:
        yield f"is judged on {', '.join(more)} too"
    if budgeted and now.exhausted and not then.exhausted:
        yield "is judged in every order there is"


def _was(then: InvariantReport) -> str:
    signature = f" ({then.signature})" if then.status in ACCEPTED and then.signature is not None else ""
    return SAID.get(then.status, f"was {then.status}") + signature


def _why(now: InvariantReport) -> str:
    if now.reason is not None:
        return now.reason
    return f"lacks {', '.join(now.lacking)}" if now.lacking else "a policy rules it out"


def _reason(now: InvariantReport) -> str:
    told = now.signature if now.status == "violated" else now.reason
    return "" if told is None else f": {told}"


def _notes(earlier: Report, later: Report, both: list[tuple[InvariantReport, InvariantReport]]) -> Iterator[str]:
    for name in ("target", "spec", "profile", "seed"):
        old, new = getattr(earlier, name), getattr(later, name)
        if old != new:
            yield f"compared with another {name}: {old} then, {new} now"
    yield from _gaps(earlier, later)
    for then, now in both:
        if then.status == "conforms" and now.status == "waived":
            yield f"{now.id} conformed, and is waived now: {now.waiver}"
        if then.status in ACCEPTED and now.status == "inconclusive":
            yield f"{now.id} {_was(then)}, and is inconclusive now{_reason(now)}"


def _gaps(earlier: Report, later: Report) -> Iterator[str]:
    """Name what is in one of them alone."""
    if earlier.error is not None:
        yield f"the earlier run judged nothing: {earlier.error}"
    ids = {result.id for result in earlier.invariants}
    here = {result.id for result in later.invariants}
    for word, names in (("first judged now", here - ids), ("not judged now", ids - here)):
        if names and ids and here:
            yield f"{word}: {', '.join(sorted(names))}"
