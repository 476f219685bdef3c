"""What cannot be seen of a backend in another process, and what cannot be done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.workload import Workload

INSIDE: Final = "inside"
LOG: Final = "log"
_COUNTED: Final = "the work and the memory of another process are not counted"
_MADE: Final = "over a wire opening is how a manager is made, so that there is none before it, and none is opened twice"
UNSEEN: Final = {
    "LIFE02": _MADE,
    "LIFE03": "the tasks, timers, threads and connections of another process are not counted",
    "LIFE04": _MADE,
    "LIFE16": _MADE,
    "LIVE07": "the tasks and threads of another process are not seen",
    "SEC02": "the objects of another process, and the causes of its errors, are not seen",
    "COST01": _COUNTED,
    "COST02": _COUNTED,
    "COST03": _COUNTED,
}
_UNCOUNTED: Final = frozenset({"census", "memory"})


def unseen(rule: type[Invariant], claims: Claims) -> str:
    """Say why a whole invariant means nothing to a backend in another process; "" where it does."""
    if INSIDE in claims.hidden and (rule.id in UNSEEN or rule.awaited):
        return UNSEEN.get(rule.id, "a request that was sent cannot be cancelled at an await of another process")
    if LOG in claims.hidden and rule.id == "SEC01":
        return "the log of a service is not seen"
    return ""


def undoable(workload: Workload, claims: Claims) -> str:
    """Say why a workload cannot be run on a backend in another process; "" where it can."""
    if INSIDE not in claims.hidden:
        return ""
    if workload.unopened:
        return _MADE
    for _, _, step in workload.steps():
        if step.name in _UNCOUNTED or step.invocation.get("measured"):
            return _COUNTED
        if step.invocation.get("cancel") is not None:
            return "a request that was sent cannot be cancelled"
    return ""
