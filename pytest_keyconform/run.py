"""One run over its targets, under pytest or not: what is judged, what came of it, and the reports."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import logging
import os
import platform
import shutil
import tempfile
import time
import warnings
import weakref
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_keyconform import bookkeeping, gate
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.comparison import compare
from pytest_keyconform.conformance import Conformance
from pytest_keyconform.errors import ReportError, TokenError, UsageError
from pytest_keyconform.policy import policy_of
from pytest_keyconform.render.telling import Telling
from pytest_keyconform.render.writing import text_of
from pytest_keyconform.report import SCENARIO, SPEC, Coverage, InvariantReport, Report, Run, counts_of
from pytest_keyconform.spec.settings import check_select, nearest
from pytest_keyconform.supervising import SUPPORTED, Fault, Supervised

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.spec.settings import Settings
    from pytest_keyconform.spec.target_setting import TargetSetting


class TargetRun:
    """One target: the invariants it is judged by, and the results so far, by id.

    The results may come from other processes; ``error`` tells why the target could not be judged at all.
    ``apart``: judge in a process of its own, where the platform can, so that nothing a backend does ends the run.
    ``_again`` is what came of a replay, which is done when the target is opened: its token may be unusable.
    """

    def __init__(
        self, settings: Settings, target: TargetSetting, extra: Sequence[type[Invariant]] = (), *, apart: bool = True
    ) -> None:
        self.settings = settings
        self.policy = policy_of(settings, (*CATALOGUE, *extra), target.name)
        self.target = target
        self.conformance = self._judge(extra, apart=apart)
        self.invariants = self._asked_for()
        self.results: dict[str, InvariantReport] = {}
        self.error: str | None = None
        self.elsewhere: list[bytes] = []  # what workers measured
        self._started = dt.datetime.now(dt.UTC)
        self._clock = time.perf_counter()
        self._opened = False
        self._again: InvariantReport | None = None

    def _judge(self, extra: Sequence[type[Invariant]], *, apart: bool) -> Conformance | Supervised:
        """Answer what judges: in a process of its own where that is wanted and can be."""
        if self.settings.cov:
            folder = Path(tempfile.mkdtemp(prefix="keyconform-cov-"))
            weakref.finalize(self, _remove, folder, os.getpid())

        def make() -> Conformance:
            if self.settings.cov:
                return Conformance(self.settings, self.target, extra, folder=folder)
            return Conformance(self.settings, self.target, extra) if extra else Conformance(self.settings, self.target)

        if apart and SUPPORTED:
            return Supervised(make, timeout=self.settings.timeout, fault=_fault)
        return make()

    def _asked_for(self) -> tuple[type[Invariant], ...]:
        every = tuple(self.conformance.invariants())
        token = self.settings.replay
        if token is None:
            return every
        wanted = token.partition(":")[0]
        found = tuple(invariant for invariant in every if invariant.id == wanted)
        if not found:
            raise TokenError(
                f"--keyconform-replay: expected a token such as a violation shows it, found {token!r}: "
                f"{wanted!r} is no invariant that is judged{nearest(wanted, [one.id for one in every])}"
            )
        return found

    def start(self) -> None:
        """Open the target; raises `UsageError` where that cannot be done, which is then the run's error."""
        try:
            with quiet():
                self.conformance.start()
                if self.settings.replay is not None:
                    self._again = self.conformance.replay(self.settings.replay)
        except UsageError as error:
            self.error = str(error)
            raise
        except KeyboardInterrupt:
            self.error = f"{self.target.name}: interrupted while it was opened"
            raise
        except (Exception, SystemExit) as error:  # a broken examiner neither passes nor fails
            self.error = _fault(error)
            raise UsageError(self.error) from error
        self._opened = True

    def judge(self, invariant: type[Invariant]) -> InvariantReport:
        """Judge one invariant, or run its counterexample again; a fault of our own is inconclusive."""
        return self.ruled(self._judged(invariant))

    def ruled(self, result: InvariantReport) -> InvariantReport:
        """Mark a result that is accepted; a counterexample that is run again is shown as it is."""
        if self.settings.replay is not None:
            return result
        return gate.ruled(result, target=self.target.name, policy=self.policy)

    def _judged(self, invariant: type[Invariant]) -> InvariantReport:
        spent = time.perf_counter() - self._clock
        if self.settings.max_time is not None and spent > self.settings.max_time:
            return unjudged(invariant, f"not judged: the whole run may take {self.settings.max_time:g} s")
        try:
            if not self._opened:
                self.start()
            if self._again is not None:
                return self._again
            with quiet():
                return self.conformance.judge(invariant.id)
        except UsageError as error:
            self.error = str(error)
            return unjudged(invariant, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a broken examiner neither passes nor fails
            return unjudged(invariant, _fault(error))

    def report(self) -> Report:
        """Fold what came in so far, in the order of the catalogue."""
        ran = Run(
            started=self._started.isoformat(timespec="seconds"),
            duration=round(time.perf_counter() - self._clock, 3),
            python=platform.python_version(),
            platform=platform.platform(),
            plugin=_version(),
        )
        if self.error is not None and not self.results:
            return self._unopened(ran)
        results = [self.results[one.id] for one in self.invariants if one.id in self.results]
        spec = self.settings.spec or SPEC
        report = self.conformance.report(results)
        return dataclasses.replace(report, run=ran, error=self.error, spec=spec, coverage=self._coverage())

    def measured(self) -> tuple[bytes, ...]:
        """Answer what was measured in this process and in those that it started."""
        return self.conformance.measured() if self.settings.cov else ()

    def _coverage(self) -> dict[str, Coverage] | None:
        if not self.settings.cov:
            return None
        from pytest_keyconform.figures import figures

        return figures((*self.measured(), *self.elsewhere), self.settings.cov)

    def telling(self, report: Report) -> Telling:
        """Answer to whom a report of this target is told."""
        earlier = self.policy.earlier
        comparison = None if earlier is None else compare(earlier, report)
        return Telling(asked=self.target.asked, level=self.settings.level, comparison=comparison)

    def _unopened(self, ran: Run) -> Report:
        return Report(
            target=self.target.name,
            profile=self.settings.profile,
            seed=self.settings.seed,
            verdict="inconclusive",
            counts=counts_of(()),
            policies={},
            operations=(),
            invariants=(),
            error=self.error,
            run=ran,
        )


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


def unjudged(invariant: type[Invariant], why: str) -> InvariantReport:
    """Report an invariant that could not be judged."""
    return InvariantReport(
        id=invariant.id,
        family=invariant.family(),
        title=invariant.title(),
        level="must" if invariant.level == "must" else "should",
        status="inconclusive",
        audits=tuple(invariant.audits),
        reason=why,
        cut_short=True,
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what a backend prints, logs and warns of to itself: it is run thousands of times.

    The handlers of the root logger are set aside, so that a test runner does not store each record.
    """
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, [logging.NullHandler()]
    try:
        with (
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.handlers = handlers


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and no copy of the process
        shutil.rmtree(folder, ignore_errors=True)


def _fault(error: BaseException) -> str:
    """Say in one line what of ours failed and where."""
    if isinstance(error, Fault):  # told where it happened
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return f"the harness itself failed: {type(error).__name__}{where}; please report it"


def _version() -> str:
    try:
        return metadata.version("pytest-keyconform")
    except metadata.PackageNotFoundError:
        return "unknown"
