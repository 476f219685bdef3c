"""Saying why no order of overlapping calls explains their answers, in one sentence that a reader can check.

The search tells where it got stuck. That is seldom what a reader wants to know: an answer is judged here by all the
places it could have, and answers that are innocent are left out, until as few as possible still contradict each other.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pytest_keyconform.model.linearize import Fingerprinted, Refuted, Undecided, linearize
from pytest_keyconform.operation import Answered, Raised, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_keyconform.operation import Operation

BUDGET = 50_000  # steps of all searches; a history that takes more is told by where the first one got stuck
LISTED = 4  # calls that are named; with more the sentence is no longer read
MIXED = 2  # kinds of calls that are named together
PLAIN = (("pool", "regular"), ("outcome", "success"), ("retries", 0))
NOUNS = {"fail": "failure", "usage": "reading", "is_valid": "reading", "failures": "reading", "status": "reading"}


class Reason(Protocol):
    """Why an answer was refused at one place: what was to be expected there, and the answer it comes to, if one."""

    @property
    def expected(self) -> str:
        """What was to be expected, in words."""

    @property
    def gives(self) -> str:
        """The one answer that this place allows; empty where several would do."""


S = TypeVar("S", bound=Fingerprinted)
R = TypeVar("R", bound=Reason)


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was seen, and what every order would have given."""

    observed: str
    expected: str

    def __str__(self) -> str:
        """Show the whole sentence."""
        return f"{self.observed}; {self.expected}"


@dataclass(frozen=True, slots=True)
class Case(Generic[S, R]):
    """A history and its model, the judgement apart from the effect.

    ``effect`` answers the states after an operation, ``refusal`` why its answer cannot be, None where it can.
    """

    operations: Sequence[Operation]
    initial: S
    effect: Callable[[S, Operation], tuple[S, ...]]
    refusal: Callable[[S, Operation], R | None]


def explain(case: Case[S, R], suspect: int) -> Explanation | None:
    """Say why no order explains the answers; ``suspect`` is the position of the operation the search got stuck at.

    Answers None where there is nothing to add to its refusal: no calls overlap that it depends on, or too many do.
    """
    if not _open(case.operations, suspect):
        return None
    try:
        survey = _Survey(case, None, count())
        survey.search()
        core, survey = _core(survey, suspect)
    except Undecided:
        return None
    reasons = survey.refused.get(core[-1], [])
    last = case.operations[core[-1]]
    if len(core) == 1 and reasons == [case.refusal(case.initial, last)]:
        return None  # nothing that happens makes a difference
    around = [one for one in survey.moving(core) if not last.precedes(one)]
    before = [one for one in around if one.precedes(last)]
    beside = [one for one in around if not one.precedes(last)]
    if not around:
        return None
    lead = f"after {_listed(before)}, " if before else ""
    lead += f"with {_listed(beside)} at the same time, " if beside else ""
    told = [case.operations[index] for index in core]
    answers = " and ".join(map(_says, told))
    group = f" of {_nouns(before)}" if len(before) > 1 and not beside else ""
    return Explanation(f"{lead}no order lets {answers}", _expected(told, reasons, group))


def brief(operation: Operation) -> str:
    """Show a call as shortly as it can be told: what it is about by position, what goes without saying left out."""
    told = []
    for name, value in operation.invocation.arguments:
        if name in ("lease", "key", "model"):
            told.append(shown(value))
        elif (name, value) not in PLAIN:
            told.append(f"{name}={shown(value)}")
    return f"{operation.name}({', '.join(told)})"


def _open(operations: Sequence[Operation], suspect: int) -> bool:
    """Tell whether calls overlap, of those that are not after the suspect."""
    latest = -math.inf
    for one in operations:  # in the order of their calls
        if operations[suspect].precedes(one):
            return False
        if one.called <= latest:
            return True
        latest = math.inf if one.returned is None else one.returned
    return False


class _Survey(Generic[S, R]):
    """All places that the operations of a refuted history can have.

    ``judged`` are the positions of those whose answers count; None stands for all. ``refused`` holds the reasons, each
    once, for which an operation was refused somewhere; ``moved`` the operations that changed the state somewhere.
    ``steps`` counts those of all surveys of the history.
    """

    def __init__(self, case: Case[S, R], judged: frozenset[int] | None, steps: Iterator[int]) -> None:
        self.refused: dict[int, list[R]] = {}
        self.moved: set[int] = set()
        self._case = case
        self._judged = judged
        self._steps = steps
        self._positions = {id(operation): index for index, operation in enumerate(case.operations)}

    def search(self) -> bool:
        """Tell whether no order explains the answers that count."""
        found = linearize(self._case.operations, self._case.initial, self._step, budget=BUDGET)
        return isinstance(found, Refuted)

    def of(self, judged: frozenset[int]) -> _Survey[S, R]:
        """Answer a survey of the same history in which only these answers count."""
        return _Survey(self._case, judged, self._steps)

    def moving(self, besides: Iterable[int]) -> list[Operation]:
        """Answer the operations that change the state, but for some."""
        return [self._case.operations[index] for index in sorted(self.moved.difference(besides))]

    def _step(self, state: S, operation: Operation) -> tuple[S, ...] | R:
        if next(self._steps) >= BUDGET:
            raise Undecided
        index = self._positions[id(operation)]
        if self._judged is None or index in self._judged:
            reason = self._case.refusal(state, operation)
            if reason is not None:
                known = self.refused.setdefault(index, [])
                if reason not in known:
                    known.append(reason)
                return reason
        states = self._case.effect(state, operation)
        if any(after is not state for after in states):
            self.moved.add(index)
        return states


def _core(survey: _Survey[S, R], suspect: int) -> tuple[list[int], _Survey[S, R]]:
    """Answer as few operations as possible whose answers no order explains, and the survey of them alone.

    The suspect stays as long as it is one of them.
    """
    judged = frozenset(survey.refused)
    for index in (*sorted(judged - {suspect}), suspect):
        fewer = survey.of(judged - {index})
        if len(judged) > 1 and fewer.search():
            judged, survey = judged - {index}, fewer
    survey = survey.of(judged)
    survey.search()
    return sorted(judged), survey


# -- words ---------------------------------------------------------------------------------------------------


def _expected(told: Sequence[Operation], reasons: Sequence[Reason], group: str) -> str:
    *others, last = told
    if not all(one.precedes(last) for one in others):
        return "one order of the calls that explains all of these answers"
    if others:
        group += f" in which {' and '.join(_says(one, ending='s') for one in others)}"
    answers = list(dict.fromkeys(one.gives for one in reasons))
    if all(answers):
        every = f"every order{group} gives" if len(answers) == 1 else f"the orders{group} give"
        return f"{every} {' or '.join(answers)}"
    words = list(dict.fromkeys(one.expected for one in reasons))
    every = f"in every order{group}" if len(words) == 1 else f"by the order{group or ' of the calls'}"
    return f"{', or '.join(words)}, {every}"


def _says(operation: Operation, ending: str = "") -> str:
    """Say what a call answered, as "it answer x" or "it answers x"."""
    call = brief(operation)
    match operation.response:
        case Answered(value):
            return f"{call} answer{ending} {shown(value)}"
        case Raised(kind=kind):
            return f"{call} raise{ending} {kind}"
        case _:
            return f"{call} end{ending} so"


def _listed(operations: Sequence[Operation]) -> str:
    told = ", ".join(brief(one) for one in operations[:LISTED])
    more = len(operations) - LISTED
    return f"{told} and {more} more" if more > 0 else told


def _nouns(operations: Iterable[Operation]) -> str:
    """Answer "the two records", "the record and the failure"."""
    counts = Counter(NOUNS.get(one.name, one.name.replace("_", " ")) for one in operations)
    if len(counts) > MIXED:
        return "these calls"
    numbers = ("", "", "two ", "three ", "four ")
    told = []
    for noun, many in counts.items():
        number = numbers[many] if many < len(numbers) else f"{many} "
        told.append(f"the {number}{noun}{'s' if many > 1 else ''}")
    return " and ".join(told)
