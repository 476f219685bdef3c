"""Judging one history by one rule: a violation, nothing, or the reason why it could not be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.invariant import accident, answer
from pytest_keyconform.engine.explore import Unjudged
from pytest_keyconform.history import Ending, History
from pytest_keyconform.model.linearize import Undecided
from pytest_keyconform.operation import Skipped
from pytest_keyconform.verdict import Violation

CLOCKLESS = (
    "its clock cannot be moved: the backend asked no clock of Python's, so the time is that of its store or upstream"
)
UNANSWERED = "its key was never answered"
SEE = "see LIVE01"

if TYPE_CHECKING:
    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.engine.explore import Judge
    from pytest_keyconform.operation import Operation


def judge_of(rule: Invariant) -> Judge:
    """Answer the judge that an engine is handed."""

    def judge(history: History) -> Violation | Unjudged | None:
        try:
            found = next(iter(rule.violations(history)), None)
        except Undecided as undecided:
            return Unjudged(str(undecided))
        except Exception as error:  # noqa: BLE001 - a broken rule neither passes nor fails a backend
            return Unjudged(f"the rule {rule.id} failed on a history: {type(error).__name__}: {error}", cut_short=True)
        if found is not None and rule.timed and history.clockless:
            return Unjudged(CLOCKLESS)
        return found or unending(rule, history) or unjudgeable(rule, history)

    return judge


def unending(rule: Invariant, history: History) -> Violation | None:
    """Answer a violation where a call never ended and the promise is that it does."""
    if not rule.ends or history.ending not in (Ending.DEADLOCK, Ending.LIVELOCK):
        return None
    pending = [operation for operation in history.operations if operation.pending]
    waiting = "; ".join(map(str, history.blocked or (operation.invocation for operation in pending)))
    names = ", ".join(sorted({operation.name for operation in pending}))
    return Violation(
        observed=f"{history.ending.value}: {waiting}",
        expected="every call ends",
        signature=f"{history.ending.value} of {names}",
        operation=pending[0] if pending else None,
    )


def unjudgeable(rule: Invariant, history: History) -> Unjudged | None:
    """Answer why a history in which nothing was found says nothing either."""
    first = history.operations[0] if history.operations else None
    if history.ending is Ending.UNOPENED and first is not None and "open" not in rule.subject:
        text = f"the manager could not be opened on the pool of this rule: it {answer(first)}"
        return Unjudged(text, cut_short=True)
    failing = False
    for operation in history.operations:
        failing = operation.name == "fault" or (failing and operation.name != "mend")
        if operation.pending and operation.get("kill") is None:
            why = "; ".join(map(str, history.blocked)) or str(operation.invocation)
            text = f"{operation.name} never answered ({history.ending.value}: {why}); {SEE}"
            return Unjudged(text, cut_short=True)
        lawful = failing and not operation.undeclared  # a store that fails may be told of by any call
        if operation.name != "open" and not (rule.unhindered or lawful) and accident(operation, rule.policies):
            refused = not operation.undeclared and _was_closed(history, operation)
            return Unjudged(f"{operation.invocation} {answer(operation)}", cut_short=not refused, mild=refused)
        if isinstance(operation.response, Skipped) and not (operation.response.why == UNANSWERED and served(history)):
            lacking = {"mend": "storage"}.get(operation.name, operation.name)
            lacking = "" if operation.response.why == UNANSWERED else lacking
            return Unjudged(
                f"{operation.invocation} was left out: {operation.response.why}", mild=True, lacking=lacking
            )
    if history.ending is Ending.LIVELOCK:
        return Unjudged("the execution never came to its end", cut_short=True)
    return None


def _was_closed(history: History, operation: Operation) -> bool:
    """Tell whether the manager was closed before: opened again or not, it may refuse."""
    return any(one.called < operation.called for one in history.named("close"))


def served(history: History) -> bool:
    """Tell whether any key was served: then a step on one that was not had rightly nothing to act on."""
    return any(
        isinstance(op.value, str) and op.value for op in history.named("acquire", "random_key", "next_key", "fail")
    )
