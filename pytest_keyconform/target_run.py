"""One target of a run: what it is judged by, what came of it, and its report."""

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

from pytest_keyconform import gate
from pytest_keyconform.catalogue import CATALOGUE
from pytest_keyconform.comparison import compare
from pytest_keyconform.conformance import Conformance
from pytest_keyconform.errors import TokenError, UsageError
from pytest_keyconform.judge_process import fault
from pytest_keyconform.policy import policy_of
from pytest_keyconform.progress import silent
from pytest_keyconform.render.telling import Telling
from pytest_keyconform.report import SPEC, Coverage, InvariantReport, Report, Run, counts_of
from pytest_keyconform.spec.settings import nearest
from pytest_keyconform.supervising import SUPPORTED, Supervised

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.spec.settings import Settings
    from pytest_keyconform.spec.target_setting import TargetSetting


class TargetRun:
    """One target: the invariants it is judged by, and the results so far, by id.

    The results may come from other processes; ``error`` tells why the target could not be judged at all.
    ``apart``: judge in a process of its own, where the platform can, so that nothing a backend does ends the run.
    ``earlier`` holds replay tokens of counterexamples that earlier runs found, by id: they are tried first.
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
        self.earlier: dict[str, str] = {}
        self.progress = silent(target.name, len(self.invariants))
        self._started = dt.datetime.now(dt.UTC)
        self._clock = time.perf_counter()
        self._opened = False
        self._again: InvariantReport | None = None

    def _judge(self, extra: Sequence[type[Invariant]], *, apart: bool) -> Conformance | Supervised:
        """Answer what judges: in a process of its own where that is wanted and can be."""
        folder: Path | None = None
        if self.settings.cov:
            folder = Path(tempfile.mkdtemp(prefix="keyconform-cov-"))
            weakref.finalize(self, _remove, folder, os.getpid())

        def make() -> Conformance:
            if self.settings.cov:
                return Conformance(self.settings, self.target, extra, folder=folder)
            return Conformance(self.settings, self.target, extra) if extra else Conformance(self.settings, self.target)

        if self.settings.isolate and hasattr(os, "fork"):
            from pytest_keyconform.isolating import Beginning, Isolated, own

            beginning = Beginning(settings=self.settings, target=self.target, extra=own(extra), folder=folder)
            return Isolated(beginning, timeout=self.settings.timeout, meanwhile=self._look)
        if apart and SUPPORTED:
            return Supervised(make, timeout=self.settings.timeout, fault=fault, meanwhile=self._look)
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
            self.error = fault(error)
            raise UsageError(self.error) from error
        self._opened = True

    def judge(self, invariant: type[Invariant]) -> InvariantReport:
        """Judge one invariant, or run its counterexample again; a fault of our own is inconclusive."""
        self.progress.begin(invariant.id)
        try:
            return self.ruled(self._judged(invariant))
        finally:
            self.progress.end()

    def _look(self) -> None:
        self.progress.look()

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
                return self._recalled(invariant.id) or self.conformance.judge(invariant.id)
        except UsageError as error:
            self.error = str(error)
            return unjudged(invariant, str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a broken examiner neither passes nor fails
            return unjudged(invariant, fault(error))

    def _recalled(self, id: str) -> InvariantReport | None:  # noqa: A002  # the word of the catalogue
        """Run the counterexample that an earlier run found; nothing where it is none any more.

        What is measured or saved asks for the search itself.
        """
        token = self.earlier.get(id)
        if token is None or self.settings.cov or self.settings.save_failures is not None:
            return None
        try:
            result = self.conformance.replay(token)
        except TokenError:  # of another release, or of a program that this target no longer fits
            return None
        return result if result.status == "violated" else None

    def tokens(self) -> dict[str, str]:
        """Answer the replay tokens to try first in the next run: those found, and those not tried."""
        kept = {id_: token for id_, token in self.earlier.items() if id_ not in self.results}
        found = {
            id_: result.counterexample.replay
            for id_, result in self.results.items()
            if result.counterexample is not None
        }
        return kept | found

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


def _version() -> str:
    try:
        return metadata.version("pytest-keyconform")
    except metadata.PackageNotFoundError:
        return "unknown"
