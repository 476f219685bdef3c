"""One run over its targets, under pytest or not: what is judged, what came of it, and the reports."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_keyconform import bookkeeping, gate
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.errors import ReportError, UsageError
from pytest_keyconform.progress import Progress
from pytest_keyconform.render.writing import text_of
from pytest_keyconform.report import SCENARIO
from pytest_keyconform.spec.settings import check_select
from pytest_keyconform.target_run import TargetRun

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.earlier import Tokens
    from pytest_keyconform.report import Report
    from pytest_keyconform.spec.settings import Settings


class Judging:
    """All targets of one run, by name; ``apart`` as in `TargetRun`."""

    def __init__(self, settings: Settings, extra: Sequence[type[Invariant]] = (), *, apart: bool = True) -> None:
        known = (*CATALOGUE, *extra)
        check_select(settings.select, [*(one.id for one in known), *([SCENARIO.upper()] if settings.scenarios else [])])
        if settings.scenarios:
            from pytest_keyconform.conformance.scenarios import rules

            extra = (*extra, *rules(settings.scenarios, known))
        self.settings = settings
        self.targets = {target.name: TargetRun(settings, target, extra, apart=apart) for target in settings.targets}

    def start(self) -> None:
        """Open every target; one that cannot be opened ends the run, with its report written."""
        try:
            for run in self.targets.values():
                run.start()
        except (UsageError, KeyboardInterrupt):
            self.write(run.report() for run in self.targets.values() if run.error is not None)
            raise

    def recall(self, tokens: Tokens) -> None:
        """Try these counterexamples first; a replay tries its own."""
        for run in self.targets.values():
            run.earlier = {} if self.settings.replay is not None else tokens.get(run.target.target, {})

    def tokens(self, before: Tokens) -> Tokens:
        """Answer what the next run tries first: what this one found, and what was known ``before`` of other targets."""
        if self.settings.replay is not None:
            return before
        found = {run.target.target: run.tokens() for run in self.targets.values()}
        return {target: tokens for target, tokens in (before | found).items() if tokens}

    def show(self, tell: Callable[[str], None]) -> None:
        """Tell how far a long run is, by a line now and then."""
        for name, run in self.targets.items():
            run.progress = Progress(name, len(run.invariants), tell, clock=time.monotonic)

    def reports(self) -> dict[str, Report]:
        """Answer the report of each target."""
        return {name: run.report() for name, run in self.targets.items()}

    def missing(self) -> list[str]:
        """Say of each target which of its invariants were not judged."""
        return [
            f"{name}: {len(left)} of {len(run.invariants)} invariants were not judged: {', '.join(left)}"
            for name, run in self.targets.items()
            if (left := [one.id for one in run.invariants if one.id not in run.results])
        ]

    def write(self, reports: Iterable[Report]) -> None:
        """Write what was asked for; raises `ReportError` for what the disk refuses, once all others are written."""
        refused = []
        for report in reports:
            telling = self.targets[report.target].telling(report)
            for wanted in self.settings.reports:
                path = wanted.path_for(report.target)
                try:
                    bookkeeping.write(path, text_of(report, wanted.format, path.suffix, telling))
                except OSError as error:
                    refused.append(f"{path} could not be written ({error.strerror})")
        if refused:
            raise ReportError(f"--keyconform-report: {'; '.join(refused)}; free some room, or name another path")

    def decide(self, reports: Iterable[Report]) -> gate.Decision:
        """Let the run pass, or say why not: the strictest decision over its targets."""
        return gate.strictest(gate.decide(report, self.targets[report.target].policy) for report in reports)
