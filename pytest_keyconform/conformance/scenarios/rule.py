"""A scenario as an invariant: one program, judged by what it expects; so engines, reports and replay serve it too."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_keyconform.catalogue.invariant import IN_PROCESS, Invariant, broken
from pytest_keyconform.conformance.scenarios.compiling import Compiled, compiled, variants
from pytest_keyconform.conformance.scenarios.expecting import FORWARDING, Seen
from pytest_keyconform.conformance.scenarios.expecting import broken as unmet
from pytest_keyconform.history import Ending
from pytest_keyconform.operation import Raised
from pytest_keyconform.report import SCENARIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.spec.scenario import Scenario
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Workload

APART = ("simulated-processes", "processes")
TIMED = ("advance", "set_clock")
STORED = ("restart", "crash", "fault")


class ScenarioRule(Invariant, shared=True):
    """What a scenario promises; `rule_of` makes a subclass for each file.

    ``programs`` are what it stands for: one for each await that a call is cancelled at. ``kept`` are the invariants of
    the catalogue that it expects to be kept as well, ``source`` is its file.
    """

    scenario: ClassVar[Scenario]
    programs: ClassVar[tuple[Compiled, ...]]
    kept: ClassVar[tuple[type[Invariant], ...]] = ()
    source: ClassVar[str]
    requires = ()
    ends = True
    unhindered = True

    @classmethod
    def family(cls) -> str:
        """Answer the word under which all scenarios are counted."""
        return SCENARIO.upper()

    @classmethod
    def title(cls) -> str:
        """Answer the title of the file."""
        return cls.scenario.title

    def workloads(self) -> Iterator[Workload]:
        """Yield the programs."""
        yield from (program.workload for program in self.programs)

    def violations(self, history: History) -> Iterator[Violation]:
        """Yield the kept invariants that are broken, undeclared errors, then what is expected and does not hold."""
        for kind in self.kept:
            yield from kind(self.policies, self.claims).violations(history)
        for operation in history.operations:
            if operation.undeclared and operation.name not in FORWARDING:
                kind_of = operation.response.kind if isinstance(operation.response, Raised) else ""
                expected = "an answer, or an error the backend declares"
                yield broken(operation, expected, f"{operation.name} raises {kind_of}")
        if history.ending is not Ending.FINISHED and history.ending is not Ending.UNOPENED:
            return  # what never ended is told by the judge
        program = self.programs[0]  # their names are the same
        seen = Seen(history, self.policies, self.claims, program.names, program.reads)
        for number, expectation in enumerate(self.scenario.then):
            yield from unmet(expectation, number, seen)


def rule_of(scenario: Scenario, name: str, *, source: str, catalogue: Iterable[type[Invariant]]) -> type[ScenarioRule]:
    """Make the rule of a scenario; ``source`` is its file, ``catalogue`` where the invariants are that it keeps."""
    known = {kind.id: kind for kind in catalogue}
    kept = tuple(known[id_] for one in scenario.then for id_ in one.keeps or ())
    programs = tuple(compiled(scenario, at=at) for at in range(variants(scenario)))
    workload = programs[0].workload
    names = {step.name for _, _, step in workload.steps()}
    parts: dict[str, Any] = {
        "__module__": __name__,
        "scenario": scenario,
        "programs": programs,
        "kept": kept,
        "source": source,
        "id": f"{SCENARIO}[{name}]",
        "level": scenario.level,
        "audits": scenario.audits,
        "applies": _applies(scenario, kept),
        "requires": _requires(scenario, kept),
        "subject": tuple(sorted({*names, "open"})) if _names_opening(scenario) else tuple(sorted(names)),
        "overlap": len(workload.clients) > 1,
        "engines": _engines(workload, names),
        "stored": workload.apart or not names.isdisjoint(STORED) or any(kind.stored for kind in kept),
        "shared": workload.apart and len(workload.clients) > 1,
        "timed": not names.isdisjoint(TIMED),
        "awaited": any(step.invocation.get("cancel") is not None for _, _, step in workload.steps()),
    }
    return types.new_class(name, (ScenarioRule,), {"shared": True}, lambda namespace: namespace.update(parts))


def _engines(workload: Workload, names: set[str]) -> tuple[str, ...]:
    if workload.apart:
        return APART
    return (*IN_PROCESS, *APART) if "restart" in names and "fault" not in names else IN_PROCESS


def _names_opening(scenario: Scenario) -> bool:
    """Tell whether an opening that fails is a breach, and no mere hindrance."""
    return any(isinstance(one.raises, str) for one in scenario.then)


def _applies(scenario: Scenario, kept: tuple[type[Invariant], ...]) -> dict[str, tuple[object, ...]]:
    """Answer the policies under which the scenario and all that it keeps mean something."""
    found: dict[str, tuple[object, ...]] = {}
    for applies in (scenario.given.applies(), *(kind.applies for kind in kept)):
        for name, values in applies.items():
            found[name] = tuple(value for value in found.get(name, values) if value in values)
    return found


def _requires(scenario: Scenario, kept: tuple[type[Invariant], ...]) -> tuple[str, ...]:
    views = ("status|is_valid|failures",) if any(one.state_of for one in scenario.then) else ()
    return (*views, *(names for kind in kept for names in kind.requires))
