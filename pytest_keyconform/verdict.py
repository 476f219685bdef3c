"""A verdict on one invariant: a closed union, merged in one function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pytest_keyconform.execution import Execution
    from pytest_keyconform.operation import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One breach of an invariant, found in a history.

    ``observed`` is what was answered, ``expected`` what every allowed order would have given; both are sentences
    without a whole key. ``operation`` is the one at which the breach shows, where there is one.
    ``signature`` tells this breach from another one of the same invariant; it names no key, time or count.
    """

    observed: str
    expected: str
    signature: str
    operation: Operation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterexample:
    """The smallest failing execution that was found, and how to run it again.

    ``note`` tells why running it again may not show it: the history is the evidence then. ``snippet`` is a script that
    shows it without the harness.
    """

    violation: Violation
    execution: Execution
    token: str
    engine: str
    found_after: int
    note: str | None = None
    snippet: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was run: engines by name, how many executions, and whether every order there is was tried."""

    engines: tuple[str, ...] = ()
    executions: int = 0
    exhausted: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Conforms:
    """The invariant held in every execution."""

    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Violates:
    """The invariant did not hold in one execution."""

    counterexample: Counterexample
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconclusive:
    """The run could not judge, and why; ``cut_short`` where a crash or a time-out ended it, which no waiver covers."""

    why: str
    cut_short: bool = False
    evidence: Evidence = field(default_factory=Evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """The backend does not have what the invariant is about: operations are lacking, or a policy rules it out."""

    why: str
    lacking: tuple[str, ...] = ()


Verdict: TypeAlias = Conforms | Violates | Inconclusive | NotApplicable


def added(first: Evidence, second: Evidence) -> Evidence:
    """Add up what was run."""
    return Evidence(
        engines=tuple(dict.fromkeys((*first.engines, *second.engines))),
        executions=first.executions + second.executions,
        exhausted=first.exhausted and second.exhausted,
        seconds=first.seconds + second.seconds,
    )
