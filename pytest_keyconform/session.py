"""Judging inside a pytest session: the items, their results across processes, summary and exit status."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_keyconform import earlier
from pytest_keyconform.errors import UsageError
from pytest_keyconform.gate import UNUSABLE, Decision, Reason, Trouble
from pytest_keyconform.plugin import OPTIONS, ini
from pytest_keyconform.render import terminal, timeline
from pytest_keyconform.render.telling import visible
from pytest_keyconform.report import InvariantReport
from pytest_keyconform.run import Judging
from pytest_keyconform.spec import settings as reading
from pytest_keyconform.target_run import TargetRun, unjudged

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.report import Report
    from pytest_keyconform.spec.settings import Settings

ROOT = "keyconform"
ATTRIBUTE = "keyconform"  # of a TestReport: the result as JSON, which survives a crashed worker
INTERRUPTED = pytest.StashKey[bool]()
JUDGED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
COLOURS = {"conforms": "green", "partial": "yellow", "inconclusive": "yellow", "violates": "red"}


class InvariantItem(pytest.Item):
    """One invariant of one target."""

    def __init__(self, *, run: TargetRun, invariant: type[Invariant], **options: Any) -> None:  # noqa: ANN401  # pytest's
        super().__init__(**options)
        self.target_run = run
        self.invariant = invariant
        self.result: InvariantReport | None = None
        self.add_marker(pytest.mark.keyconform(id=invariant.id, level=invariant.level))
        self.extra_keyword_matches |= {invariant.family(), invariant.family().lower()}

    def runtest(self) -> None:
        """Judge; the outcome is raised, with our own page as its text."""
        result = self.result = self.target_run.judge(self.invariant)
        if result.status == "not-applicable":
            raise pytest.skip.Exception(_inapplicable(result))
        if result.status not in {"violated", "inconclusive", "waived"}:
            return
        settings = self.target_run.settings
        page = timeline.page(result, asked=self.target_run.target.asked, scenarios=settings.scenarios)
        if result.gates(settings.level) or settings.replay is not None:
            raise pytest.fail.Exception(page, pytrace=False)
        raise pytest.xfail.Exception(page, pytrace=False)

    def reportinfo(self) -> tuple[str, None, str]:
        """Answer where the item is: in no file."""
        return ROOT, None, self.nodeid


class InvariantCollector(pytest.Collector):
    """The invariants of one target."""

    def __init__(self, *, run: TargetRun, **options: Any) -> None:  # noqa: ANN401  # pytest's
        super().__init__(**options)
        self.target_run = run

    def collect(self) -> Iterator[InvariantItem]:
        """Yield an item for each invariant, in the order of the catalogue."""
        for invariant in self.target_run.invariants:
            yield InvariantItem.from_parent(self, name=invariant.id, run=self.target_run, invariant=invariant)


class Judge:
    """The hooks that act where there is a target; under xdist the controller has one and each worker another.

    ``judging`` holds the results; ``reports`` and ``decision`` are folded when the session ends.
    """

    def __init__(self, judging: Judging, config: pytest.Config, *, worker: bool) -> None:
        self.judging = judging
        self._cache: pytest.Cache | None = getattr(config, "cache", None)  # none under -p no:cacheprovider
        self._known = earlier.tokens_in(None if self._cache is None else self._cache.get(earlier.KEY, None))
        judging.recall(self._known)
        judging.show(lambda line: _tell(config, line))
        self.settings = judging.settings
        self.worker = worker
        self.reports: dict[str, Report] = {}
        self.decision: Decision | None = None

    @classmethod
    def of(cls, config: pytest.Config) -> Self:
        """Read the settings and select the invariants; raises `pytest.UsageError` for what cannot be used."""
        worker = getattr(config, "workerinput", None)
        try:
            extra = [one for answer in config.hook.pytest_keyconform_invariants() for one in answer]
            sent = None if worker is None else reading.Settings.model_validate_json(worker[ROOT])
            found = settings_of(config) if sent is None else sent
            debugged = config.getoption("usepdb", default=False) or config.getoption("trace", default=False)
            return cls(Judging(found, extra, apart=not debugged), config, worker=worker is not None)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # noqa: ANN401  # xdist's, which need not be there
        """Hand the settings to a worker, a random seed drawn already."""
        node.workerinput[ROOT] = self.settings.model_dump_json()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401  # xdist's
        """Take what a worker measured; one that died has told nothing."""
        for name, measured in getattr(node, "workeroutput", {}).get(ROOT, {}).items():
            self.judging.targets[name].elsewhere += [base64.b64decode(text) for text in measured]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Open the targets before any worker starts: what is wrong with one is said once."""
        if self.worker:
            return
        try:
            self.judging.start()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Append the invariants to what the session collected."""
        report = yield
        if isinstance(collector, pytest.Session):
            report.result = [*(report.result or ()), *self._collectors(collector)]
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the result to the report that travels, and name no line of ours in it."""
        report = yield
        if isinstance(item, InvariantItem) and call.when == "call" and item.result is not None:
            setattr(report, ATTRIBUTE, json.dumps(item.result.to_json()))
            if report.skipped and hasattr(report, "wasxfail"):
                report.wasxfail = _accepted(item.result)
            elif report.skipped:
                report.longrepr = (ROOT, None, f"Skipped: {_inapplicable(item.result)}")  # type: ignore[assignment]  # no line
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a result, wherever it was judged; a worker that died has judged nothing."""
        run, invariant = self._subject(report.nodeid)
        if run is None or invariant is None:
            return
        attached = getattr(report, ATTRIBUTE, None)
        if attached is not None:
            run.results[invariant.id] = InvariantReport.from_json(json.loads(attached))
        elif report.failed and invariant.id not in run.results:
            run.results[invariant.id] = run.ruled(unjudged(invariant, str(report.longrepr).strip().splitlines()[-1]))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fold and write the reports, and hold the exit status against the gate."""
        if self.worker:
            session.config.workeroutput[ROOT] = {  # type: ignore[attr-defined]  # xdist's
                name: [base64.b64encode(one).decode() for one in run.measured()]
                for name, run in self.judging.targets.items()
            }
        if self.worker or session.config.option.collectonly:
            return
        session.config.stash[INTERRUPTED] = session.exitstatus == pytest.ExitCode.INTERRUPTED
        tokens = self.judging.tokens(self._known)
        if self._cache is not None and tokens != self._known:
            self._cache.set(earlier.KEY, tokens)
        self.reports = self.judging.reports()
        self.decision = self.judging.decide(self.reports.values())
        try:
            self.judging.write(self.reports.values())
        except UsageError as error:
            unwritten = Reason(Trouble.UNUSABLE, str(error))
            self.decision = Decision(UNUSABLE, (*self.decision.reasons, unwritten), self.decision.warnings)
        if self.decision.exit == UNUSABLE and session.exitstatus in JUDGED:
            session.exitstatus = UNUSABLE
        elif self.decision.exit and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = self.decision.exit

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Sum up each target; the controller's business alone."""
        for name, report in self.reports.items():
            asked = self.judging.targets[name].target.asked
            wanted = self.settings
            text = terminal.render(
                report, level=wanted.level, asked=asked, replay=wanted.replay, scenarios=wanted.scenarios
            )
            *lines, verdict = text.splitlines()
            terminalreporter.section(f"keyconform {name}")
            for line in lines:
                terminalreporter.write_line(line)
            terminalreporter.write_line(verdict, bold=True, **{COLOURS[report.verdict]: True})
        if terminalreporter.config.stash.get(INTERRUPTED, False):
            for line in self.judging.missing():
                terminalreporter.write_line(f"ERROR: interrupted: {line}", red=True)
        for line in self.decision.lines() if self.decision is not None else ():
            terminalreporter.write_line(visible(line), red=line.startswith("ERROR"), yellow=line.startswith("WARNING"))

    def _collectors(self, session: pytest.Session) -> Iterator[pytest.Collector]:
        for name, run in self.judging.targets.items():
            node = self._node_name(name)
            yield InvariantCollector.from_parent(session, name=node, nodeid=node, run=run)

    def _node_name(self, name: str) -> str:
        return ROOT if len(self.judging.targets) == 1 else f"{ROOT}[{name}]"

    def _subject(self, nodeid: str) -> tuple[TargetRun, type[Invariant]] | tuple[None, None]:
        """Answer the target and the invariant of an item; nothing for an item that is none of ours."""
        node, _, id_ = nodeid.partition("::")
        for name, run in self.judging.targets.items():
            for invariant in run.invariants:
                if node == self._node_name(name) and invariant.id == id_:
                    return run, invariant
        return None, None


class NothingElse:
    """Collects nothing, so that the invariants are all there is: `--keyconform-only`."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> pytest.CollectReport | None:
        """Answer in place of the session, which would import the user's tests."""
        if isinstance(collector, pytest.Session):
            return pytest.CollectReport(collector.nodeid, "passed", None, [])
        return None


def settings_of(config: pytest.Config) -> Settings:
    """Read the settings of a session: flags, environment, files, ini keys."""
    names = ["only", "isolate", *(name for name, *_ in OPTIONS)]
    flags = {name: config.getoption(f"--keyconform-{name.replace('_', '-')}") for name in names}
    inis = {name: ini(config, f"keyconform_{name}") for name in names}
    here, root = config.invocation_params.dir, config.rootpath
    sources, table = reading.files(root)
    return reading.read(
        [
            reading.Source(
                values={**flags, "target": config.getoption("--keyconform")},
                naming="--keyconform",
                folder=here,
            ),
            reading.environment_source(os.environ, here),
            *sources,
            reading.Source(
                values={**inis, "target": ini(config, "keyconform")},
                naming=f"{config.inipath}: keyconform_{{name}}",
                folder=config.inipath.parent if config.inipath else root,
            ),
        ],
        table=table,
        search=tuple(dict.fromkeys((root, here))),
    )


def _tell(config: pytest.Config, line: str) -> None:
    """Show a line at once, whatever is captured and however quiet the run is; workers have standard error alone."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    terminal_reporter = config.pluginmanager.get_plugin("terminalreporter")
    with contextlib.nullcontext() if capture is None else capture.global_and_fixture_disabled():
        if hasattr(config, "workerinput") or terminal_reporter is None:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - shown by the terminal of the controller
        else:
            terminal_reporter.write_line("")  # after the letters of what was judged so far
            terminal_reporter.write_line(line)


def _accepted(result: InvariantReport) -> str:
    """Say why what failed was to be expected."""
    if result.status == "waived":
        return f"waived: {result.waiver}"
    return f"{'known' if result.known else 'advisory'}: {result.title}"


def _inapplicable(result: InvariantReport) -> str:
    """Say what is lacking, or which policy leaves the invariant nothing to say."""
    if result.reason is not None:
        return result.reason
    return f"lacks {', '.join(result.lacking)}" if result.lacking else "not applicable"
