"""Whether a run may pass: a report and a policy in, an exit status and the reasons out. Pure.

`ruled` marks what is accepted, one result at a time, so that the items of a test run can be told apart by it;
`decide` is asked once, about the whole.
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_keyconform.comparison import compare, same_violation
from pytest_keyconform.report import FAILING, coverage_of, judged_nothing

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from pytest_keyconform.report import InvariantReport, Level, Report
    from pytest_keyconform.spec.settings import Kind
    from pytest_keyconform.spec.waivers import Waiver

# The operations that a backend of a kind must have, whatever its shape; one of those between bars.
IN_PROCESS = ("acquire", "record", "usage", "status|state", "reset|reset_all|reactivate")
SHARED_STORE = (*IN_PROCESS, "open", "close")  # what is shared is taken up and let go
SERVICE = (*SHARED_STORE, "health", "reload")  # it is watched, and keys change while it runs
REQUIRED: Final[dict[Kind, tuple[str, ...]]] = {
    "in-process": IN_PROCESS,
    "shared-store": SHARED_STORE,
    "service": SERVICE,
}

PASSED, FAILED, UNUSABLE = 0, 1, 4
VIOLATES, INCONCLUSIVE, UNWAIVED = 1, 2, 3  # the finer statuses, of the command
FEW = 3  # operations, up to which a target looks like something else than a key manager
SOON = 14  # days before a waiver expires in which its owner is reminded


class Trouble(enum.Enum):
    """What kind of reason holds a run back."""

    UNUSABLE = "unusable"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    WAIVER = "waiver"
    WORSE = "worse"
    LACKING = "lacking"
    COVERAGE = "coverage"


SHOWN = frozenset({Trouble.VIOLATED, Trouble.INCONCLUSIVE})
STATUSES = {
    Trouble.UNUSABLE: UNUSABLE,
    Trouble.INCONCLUSIVE: INCONCLUSIVE,
    Trouble.WAIVER: UNWAIVED,
}


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence that says what holds a run back."""

    trouble: Trouble
    text: str

    def __str__(self) -> str:
        """Answer the sentence."""
        return self.text


@dataclass(frozen=True, slots=True)
class Decision:
    """The exit status, the reasons for it, what will soon be one, and what else there is to say."""

    exit: int
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Answer what there is to say beyond the results, which are shown by themselves."""
        errors = [f"ERROR: {reason}" for reason in self.reasons if reason.trouble not in SHOWN]
        return [*errors, *(f"WARNING: {text}" for text in self.warnings), *self.notes]

    def status(self) -> int:
        """Answer the finer exit status: the gravest kind of trouble there is."""
        found = {STATUSES.get(reason.trouble, VIOLATES) for reason in self.reasons}
        return next((status for status in (UNUSABLE, VIOLATES, INCONCLUSIVE, UNWAIVED) if status in found), PASSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a run is held against.

    ``today`` is what waivers are measured by; ``earlier`` is the report of the baseline, ``later`` are
    the ids that the pinned catalogue does not have yet, ``require`` is the kind of backend it has to be, ``cov`` are
    the packages that the run has to reach, with lines and branches, to ``cov_fail_under`` percent.
    """

    today: dt.date
    level: Level = "must"
    waivers: tuple[Waiver, ...] = ()
    earlier: Report | None = None
    later: frozenset[str] = frozenset()
    require: Kind | None = None
    cov: tuple[str, ...] = ()
    cov_fail_under: float = 0.0

    def waivers_of(self, id: str, target: str) -> tuple[Waiver, ...]:  # noqa: A002  # the word of the catalogue
        """Answer the waivers that are about an invariant of a target."""
        return tuple(one for one in self.waivers if one.id == id and one.target in {None, target})


def ruled(result: InvariantReport, *, target: str, policy: Policy) -> InvariantReport:
    """Mark a result that is accepted.

    A waiver covers what is violated, or could not be judged for a reason of its own; a crash or a time-out never.
    An expired one still covers: it fails the gate by itself, and says so. A violation of the baseline is known.
    """
    if result.id in policy.later:
        result = dataclasses.replace(result, pinned=True)
    waiver = _covering(result, policy.waivers_of(result.id, target))
    if waiver is not None:
        return dataclasses.replace(result, status="waived", waiver=str(waiver))
    before = () if policy.earlier is None else policy.earlier.invariants
    known = any(then.id == result.id and same_violation(then, result) for then in before)
    return dataclasses.replace(result, known=True) if known else result


def _covering(result: InvariantReport, waivers: tuple[Waiver, ...]) -> Waiver | None:
    if result.status not in FAILING or result.cut_short:
        return None
    fitting = [one for one in waivers if one.signature in {None, result.signature}]
    return max(fitting, key=lambda one: (one.signature is not None, one.target is not None, one.expires), default=None)


def decide(report: Report, policy: Policy) -> Decision:
    """Let a report pass, or say why not.

    A target that could not be judged at all, or to which nothing applies, is unusable: exit 4. What was
    deselected is not held against anybody.
    """
    if report.error is not None:
        return Decision(UNUSABLE, (Reason(Trouble.UNUSABLE, report.error),))
    if report.invariants and judged_nothing(report.invariants):
        return Decision(UNUSABLE, (Reason(Trouble.UNUSABLE, _nothing(report)),))
    worse, notes = _since(report, policy)
    reasons = (
        *_broken(report, policy),
        *_required(report, policy),
        *_unreached(report, policy),
        *worse,
        *_waiver_troubles(report, policy),
    )
    return Decision(FAILED if reasons else PASSED, reasons, tuple(_ending_soon(report, policy)), notes)


def strictest(decisions: Iterable[Decision]) -> Decision:
    """Fold the decisions on several targets into one."""
    every = tuple(decisions)
    return Decision(
        max((decision.exit for decision in every), default=PASSED),
        tuple(reason for decision in every for reason in decision.reasons),
        tuple(warning for decision in every for warning in decision.warnings),
        tuple(note for decision in every for note in decision.notes),
    )


def _since(report: Report, policy: Policy) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
    """Answer what got worse since the baseline, and what else changed."""
    if policy.earlier is None:
        return (), ()
    found = compare(policy.earlier, report)
    worse = tuple(Reason(Trouble.WORSE, f"worse than the baseline: {change}") for change in found.worse)
    return worse, tuple(line for line in found.lines() if not line.startswith("worse: "))


def _broken(report: Report, policy: Policy) -> Iterator[Reason]:
    for result in report.invariants:
        if result.gates(policy.level) and result.status in FAILING:
            text = f"{result.id} {result.status}: {result.reason or result.title}"
            yield Reason(Trouble(result.status), "; ".join([text, *_uncovered(result, report, policy)]))


def _required(report: Report, policy: Policy) -> Iterator[Reason]:
    """Name the operations that a backend of the required kind must have and this one does not."""
    if policy.require is None:
        return
    for names in (one.split("|") for one in REQUIRED[policy.require]):
        if not set(names) & set(report.operations):
            *first, last = names
            text = f"{', '.join(first)} or {last}" if first else last
            yield Reason(
                Trouble.LACKING, f"{report.target} lacks {text}, which a backend of kind {policy.require} must have"
            )


def _unreached(report: Report, policy: Policy) -> Iterator[Reason]:
    """Say that too little of the backend was reached, or that nothing of what was named is part of it."""
    if not policy.cov:
        return
    names = ", ".join(policy.cov)
    if not report.coverage:
        text = f"nothing of {names} was run; name the package of the backend, or a module, as it is imported"
        yield Reason(Trouble.COVERAGE, f"coverage: {text}")
        return
    found = coverage_of(report.coverage.values())
    if round(found, 1) < policy.cov_fail_under:
        wanted = f"below {policy.cov_fail_under:g} %"
        yield Reason(Trouble.COVERAGE, f"coverage: the invariants reach {found:.1f} % of {names}, {wanted}")


def _uncovered(result: InvariantReport, report: Report, policy: Policy) -> Iterator[str]:
    """Say why the waivers of an invariant do not cover what came of it."""
    for waiver in policy.waivers_of(result.id, report.target):
        if result.cut_short:
            yield f"the waiver at {waiver.where} does not cover it: a crash or a time-out is never waived"
        else:
            other = f"{waiver.signature!r}, not {result.signature!r}"
            yield f"the waiver at {waiver.where} covers another violation: {other}"


def _waiver_troubles(report: Report, policy: Policy) -> Iterator[Reason]:
    for result, waiver in _asked(report, policy):
        if waiver.days_left(policy.today) < 0:
            yield Reason(
                Trouble.WAIVER,
                f"{waiver.where}: the waiver of {waiver.id} expired on {waiver.expires}; mend the deviation and "
                f"remove it, or have {waiver.owner} renew it",
            )
        elif result.status == "conforms":
            yield Reason(
                Trouble.WAIVER, f"{waiver.where}: the waiver of {waiver.id} is stale: {waiver.id} conforms; remove it"
            )


def _ending_soon(report: Report, policy: Policy) -> Iterator[str]:
    for _, waiver in _asked(report, policy):
        left = waiver.days_left(policy.today)
        if 0 <= left <= SOON:
            days = {0: "today", 1: "tomorrow"}.get(left, f"in {left} days")
            yield f"{waiver.where}: the waiver of {waiver.id} expires {days} ({waiver.expires}; {waiver.owner})"


def _asked(report: Report, policy: Policy) -> Iterator[tuple[InvariantReport, Waiver]]:
    """Answer each waiver that is about something of this report."""
    for result in report.invariants:
        for waiver in policy.waivers_of(result.id, report.target):
            yield result, waiver


def _nothing(report: Report) -> str:
    lacking = sorted({name for result in report.invariants for name in result.lacking})
    lacks = f" lacks {', '.join(lacking)}" if lacking else " has nothing they are about"
    mend = "Select others, which `keyconform list` names"
    if len(report.operations) <= FEW:
        mend = "Expected a key manager with an audited acquire and an audited report or status; for other names "
        mend += "write an Adapter subclass"
    return f"{report.target}: none of the {len(report.invariants)} invariants could be judged: it{lacks}. {mend}"
