"""The command `keyconform`: judge without pytest, list and explain invariants, show the report's schema."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_keyconform import introducing
from pytest_keyconform.commands import add, root_folder
from pytest_keyconform.errors import SettingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.report import Report
    from pytest_keyconform.run import Judging
    from pytest_keyconform.spec.settings import Settings
    from pytest_keyconform.target_run import TargetRun

CONFORMS, BLIND, USAGE, INTERRUPTED = 0, 1, 4, 130


class Parser(argparse.ArgumentParser):
    """A parser whose errors end with the status that stands for wrong usage here."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how it is used, and exit 4."""
        self.exit(USAGE, f"ERROR: {self.prog}: {message}\n{self.format_usage()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; answers its exit status."""
    asked = _parser().parse_args(arguments)
    try:
        return int(asked.run(asked))
    except UsageError as error:
        print(f"ERROR: {str(error).replace('--keyconform-', '--')}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # as in `keyconform list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CONFORMS


def _parser() -> Parser:
    parser = Parser(prog="keyconform", description="An executable specification for API-key managers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="judge a key manager",
        description="Exit: 0 conforms, 1 violates, 2 inconclusive only, 3 waiver trouble only, 4 usage.",
    )
    check.add_argument("target", nargs="*", metavar="TARGET", help="package.module:factory, or a configured name")
    for flag, metavar, text in CHECK_FLAGS:
        check.add_argument(flag, metavar=metavar, help=text, action="append" if flag in REPEATABLE else "store")
    check.add_argument(
        "--isolate", action="store_const", const=True, help="judge each invariant in a fresh interpreter"
    )
    check.set_defaults(run=_check)
    listing = commands.add_parser("list", help="list the invariants")
    listing.add_argument("--json", action="store_true", help="as a JSON list of objects")
    listing.add_argument("--since", metavar="VERSION", help="only those that came with this version or later")
    listing.add_argument("--markdown", action="store_true", help="as a page, with all that `explain` says")
    listing.set_defaults(run=_list)
    explain = commands.add_parser("explain", help="say what an invariant promises, and why")
    explain.add_argument("id", metavar="ID", help="such as ACQ01")
    explain.set_defaults(run=_explain)
    add(commands)
    introducing.add(commands)
    selftest = commands.add_parser(
        "selftest",
        help="check the harness itself, by planted bugs and a sound manager",
        description="Exit: 0, or 1 if the harness is blind or accuses the sound manager.",
    )
    selftest.set_defaults(run=_selftest)
    schema = commands.add_parser("schema", help="show a JSON Schema")
    schema.add_argument("name", choices=["report", "scenario", "wire"], help="of what")
    schema.set_defaults(run=_schema)
    return parser


CHECK_FLAGS = (
    ("--profile", "PROFILE", "the budget: smoke, ci or deep (default: ci)"),
    ("--select", "IDS", "judge only these ids or families, such as ACQ,FMT01"),
    ("--level", "LEVEL", "what counts: must or should (default: must)"),
    ("--report", "FORMAT:PATH", "write a report, such as json:report.json; may be repeated"),
    ("--seed", "N|random", "the same seed gives the same run (default: 0)"),
    ("--replay", "TOKEN", "run one counterexample again, alone"),
    ("--timeout", "S", "seconds after which one invariant is given up (default: 60)"),
    ("--max-time", "S", "seconds after which no further invariant is begun"),
    ("--baseline", "PATH", "an earlier JSON report: what got worse fails, violations it has too pass as known"),
    ("--require", "KIND", "which operations it must have: those of in-process, shared-store or service"),
    ("--spec", "VERSION", "the pinned catalogue, such as 1.0: later invariants are advisory"),
    ("--cov", "PACKAGE", "measure which lines and branches of it the invariants reach; may be repeated"),
    ("--cov-fail-under", "PERCENT", "fail below this coverage (default: 70)"),
    ("--waivers", "PATH", "accepted deviations (default: keyconform-waivers.toml beside pyproject.toml)"),
    ("--scenarios", "PATH", "run scenario files too: a file, a folder, or builtin; may be repeated"),
    ("--save-failures", "DIR", "save the programs that break invariants as scenario files"),
)
REPEATABLE = ("--report", "--cov", "--scenarios")


def _check(asked: argparse.Namespace) -> int:
    from pytest_keyconform import earlier
    from pytest_keyconform.run import Judging

    settings = _settings(asked)
    if not settings.targets:
        raise SettingError("expected a target to judge, found none; name one: keyconform check package.module:factory")
    judging = Judging(settings)
    known = earlier.read(root_folder())
    judging.recall(known)
    judging.show(lambda line: print(line, file=sys.stderr, flush=True))
    interrupted = False
    try:
        judging.start()
        for run in judging.targets.values():
            _judge(run)
    except KeyboardInterrupt:
        interrupted = True
    if (tokens := judging.tokens(known)) != known:
        earlier.write(root_folder(), tokens)
    reports = judging.reports()
    _sum_up(judging, reports)
    for line in judging.missing() if interrupted else ():
        print(f"ERROR: interrupted: {line}", file=sys.stderr)
    judging.write(reports.values())
    status = _status(judging, reports.values())
    return INTERRUPTED if interrupted else status


def _judge(run: TargetRun) -> None:
    """Judge each invariant, showing what is wrong as it is found."""
    from pytest_keyconform.render import timeline
    from pytest_keyconform.report import FAILING

    for invariant in run.invariants:
        result = run.results[invariant.id] = run.judge(invariant)
        shown = result.gates(run.settings.level) or run.settings.replay is not None
        if shown and result.status in FAILING:
            print(timeline.page(result, asked=run.target.asked, scenarios=run.settings.scenarios), end="\n\n")


def _sum_up(judging: Judging, reports: dict[str, Report]) -> None:
    from pytest_keyconform.render import terminal

    for name, report in reports.items():
        wanted = judging.settings
        asked = judging.targets[name].target.asked
        told = terminal.render(
            report, level=wanted.level, asked=asked, replay=wanted.replay, scenarios=wanted.scenarios
        )
        print(told)


def _status(judging: Judging, reports: Iterable[Report]) -> int:
    """Say what holds the run back beyond its results, and answer the finer exit status."""
    from pytest_keyconform.render.telling import visible

    decision = judging.decide(reports)
    for line in decision.lines():
        print(visible(line), file=sys.stderr)
    return decision.status()


def _settings(asked: argparse.Namespace) -> Settings:
    from pytest_keyconform.spec import settings

    here, root = Path.cwd(), root_folder()
    sources, table = settings.files(root)
    names = ["isolate", *(flag.removeprefix("--").replace("-", "_") for flag, *_ in CHECK_FLAGS)]
    flags: dict[str, Any] = {"target": asked.target, **{name: getattr(asked, name) for name in names}}
    return settings.read(
        [
            settings.Source(values=flags, naming="--{flag}", folder=here),
            settings.environment_source(os.environ, here),
            *sources,
        ],
        table=table,
        search=tuple(dict.fromkeys((root, here))),
    )


def _list(asked: argparse.Namespace) -> int:
    from pytest_keyconform.catalogue import CATALOGUE
    from pytest_keyconform.render import catalogue
    from pytest_keyconform.report import SPEC
    from pytest_keyconform.spec.settings import check_spec, versions

    since = asked.since or "0"
    if asked.since is not None:
        check_spec(since, [SPEC, *(invariant.since for invariant in CATALOGUE)], called="--since")
    shown = [invariant for invariant in CATALOGUE if versions(invariant.since) >= versions(since)]
    if asked.markdown:
        print(catalogue.page(shown), end="")
    elif asked.json:
        print(json.dumps([_described(invariant) for invariant in shown], indent=2, ensure_ascii=False))
    else:
        for invariant in shown:
            print(catalogue.heading(invariant))
    return CONFORMS


def _described(invariant: type[Invariant]) -> dict[str, object]:
    return {
        "id": invariant.id,
        "family": invariant.family(),
        "title": invariant.title(),
        "level": invariant.level,
        "since": invariant.since,
        "requires": list(invariant.requires),
        "audits": list(invariant.audits),
    }


def _explain(asked: argparse.Namespace) -> int:
    from pytest_keyconform.catalogue import CATALOGUE
    from pytest_keyconform.render.catalogue import explained
    from pytest_keyconform.spec.settings import nearest

    invariants = {invariant.id: invariant for invariant in CATALOGUE}
    invariant = invariants.get(asked.id.upper())
    if invariant is None:
        raise SettingError(
            f"expected the id of an invariant, found {asked.id!r}{nearest(asked.id.upper(), invariants)}; "
            "`keyconform list` shows them all"
        )
    print(explained(invariant))
    return CONFORMS


def _selftest(_asked: argparse.Namespace) -> int:
    from pytest_keyconform.selftest import checks

    wrong = []
    for check in checks():
        print(check, flush=True)
        wrong += [check] if check.wrong else []
    print(f"{len(wrong)} checks went wrong" if wrong else "the harness sees what it should, and accuses nobody")
    return BLIND if wrong else CONFORMS


def _schema(asked: argparse.Namespace) -> int:
    from pytest_keyconform.adapters import wire_schema
    from pytest_keyconform.spec import report_schema, scenario

    schemas = {"report": report_schema, "scenario": scenario, "wire": wire_schema}
    written = schemas[asked.name].json_schema
    print(json.dumps(written(), indent=2, sort_keys=True))
    return CONFORMS


if __name__ == "__main__":
    sys.exit(main())
