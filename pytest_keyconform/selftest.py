"""`keyconform selftest`: whether the harness sees what it should, and accuses nobody who is sound."""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_keyconform import catalogue
from pytest_keyconform.adapters.base import Adapter
from pytest_keyconform.catalogue.notation import EVERYTHING, read
from pytest_keyconform.conformance import Conformance
from pytest_keyconform.errors import AdapterError
from pytest_keyconform.gate import UNUSABLE, Policy, decide
from pytest_keyconform.render import terminal
from pytest_keyconform.report import FAILING, Coverage
from pytest_keyconform.spec.settings import Settings
from pytest_keyconform.spec.target_setting import TargetSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_keyconform.catalogue.invariant import Invariant
    from pytest_keyconform.report import InvariantReport, Report

PLANTED: Final = Path(__file__).parent / "planted" / "keyconform_planted.py"
BUGS: Final = {
    "ACQ01": "NoLockAtAcquire",
    "QUO01": "CountLost",
    "QUO02": "OneOver",
    "EXH01": "RaisesWhenEmpty",
    "FAIL02": "OneStrikeMore",
    "FAIL05": "LateSuccessHeals",
    "FMT01": "CountsAsText",
    "TIME01": "MinuteNeverEnds",
    "LIVE01": "LockKept",
    "SEC01": "LogsKeys",
}
UNDONE = ("QUO03", "COST05")  # advisory, and left undone by most sound managers, the one that is packed too


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the harness was asked; ``wrong`` says in what it failed, "" that it did not."""

    name: str
    found: str
    wrong: str = ""

    def __str__(self) -> str:
        """Show it as a row of the table."""
        return f"{'ok' if not self.wrong else 'WRONG':<6} {self.name:<34} {self.wrong or self.found}"


def checks() -> Iterator[Check]:
    """Yield every check as it was done: histories, planted bugs, a sound manager, and the harness itself."""
    yield from histories()
    with tempfile.TemporaryDirectory(prefix="keyconform-") as folder:
        shutil.copy(PLANTED, folder)
        judge = _Judge(Path(folder))
        try:
            for name, bug in BUGS.items():
                yield planted(name, bug, judge)
            yield sound(judge)
            narrow = judge("Narrow", ("ACQ01", "FAIL02", "FMT01"))
            yield from (missing(narrow), counted(narrow), by_family(narrow), gated(narrow))
            yield nothing(judge("Narrow", ("FAIL02", "FMT01")))
        finally:
            sys.modules.pop(PLANTED.stem, None)
    yield misspelt()


def histories() -> Iterator[Check]:
    """Yield a check for each family: its rules accept the histories that conform, and object to those that violate."""
    for family in dict.fromkeys(kind.family() for kind in catalogue.CATALOGUE):
        rules = [kind for kind in catalogue.CATALOGUE if kind.family() == family]
        blind = [kind.id for kind in rules for text in kind.VIOLATING if not _objects(kind, text)]
        accusing = [kind.id for kind in rules for text in kind.CONFORMING if _objects(kind, text)]
        wrong = [f"blind: {', '.join(dict.fromkeys(blind))}"] if blind else []
        wrong += [f"accuses what conforms: {', '.join(dict.fromkeys(accusing))}"] if accusing else []
        count = sum(len(kind.CONFORMING) + len(kind.VIOLATING) for kind in rules)
        found = f"{len(rules)} rules judge {count} histories of their own rightly"
        yield Check(f"histories of {family}", found, "; ".join(wrong))


def planted(name: str, bug: str, judge: Callable[..., Report]) -> Check:
    """Tell whether a planted bug is caught by its id."""
    result = judge(bug, (name,)).invariants[0]
    seen = result.counterexample is not None and result.status == "violated"
    wrong = "" if seen else f"blind: {name} is {result.status} {result.reason or ''}".rstrip()
    return Check(f"planted {bug}", f"caught by {name} after {_executions(result)}", wrong)


def sound(judge: Callable[..., Report]) -> Check:
    """Tell whether the sound manager is accused of anything."""
    report = judge("Sound")
    failing = [result for result in report.invariants if result.status in FAILING and result.id not in UNDONE]
    accused = [f"{result.id} {result.status}" for result in failing]
    found = f"{report.counts['conforms']} conform, {report.counts['not-applicable']} not applicable"
    return Check("the sound manager", found, f"accused: {', '.join(accused)}" if accused else "")


def missing(report: Report) -> Check:
    """Tell whether a rule about a method that is missing is not applicable, and says what is lacking."""
    about = [result for result in report.invariants if result.id != "ACQ01"]
    passed = [result.id for result in about if result.status != "not-applicable" or not result.lacking]
    found = "not applicable: " + ", ".join(f"{result.id} lacks {' or '.join(result.lacking)}" for result in about)
    return Check("a missing method", found, f"taken to be there: {', '.join(passed)}" if passed else "")


def counted(report: Report) -> Check:
    """Tell whether the counts are those of the results, a skip among the skips."""
    real = Counter(result.status for result in report.invariants)
    told = {status: count for status, count in report.counts.items() if count}
    return Check("the counts", str(told), "" if told == dict(real) else f"told {told}, were {dict(real)}")


def by_family(report: Report) -> Check:
    """Tell whether the summary names every family that was judged."""
    text = terminal.render(report)
    silent = [result.family for result in report.invariants if result.family not in text]
    return Check("the families", "each named in the summary", f"unnamed: {', '.join(silent)}" if silent else "")


def gated(report: Report) -> Check:
    """Tell whether the gate fails a run that reached less of the backend than was asked for."""
    policy = Policy(today=dt.datetime.now(dt.UTC).date(), cov=("app",), cov_fail_under=70)
    passes = []
    for reached in (69, 70):
        files = {"app.py": Coverage(lines=100, reached=reached, branches=0, taken=0, percent=float(reached))}
        passes.append(decide(replace(report, coverage=files), policy).exit == 0)
    wrong = "" if passes == [False, True] else f"at 69 % and 70 % of 70 % the gate says {passes}"
    return Check("the gate on what was reached", "69 % fails, 70 % passes, of 70 %", wrong)


def nothing(report: Report) -> Check:
    """Tell whether a run that judged nothing fails."""
    status = decide(report, Policy(today=dt.datetime.now(dt.UTC).date())).exit
    wrong = "" if status == UNUSABLE else f"exit {status}, expected {UNUSABLE}"
    return Check("a run that judged nothing", f"exit {status}", wrong)


def misspelt() -> Check:
    """Tell whether a misspelt operation of an adapter is refused by its right name."""
    try:
        type("Misspelt", (Adapter,), {"aquire": lambda _self: "key"})
    except AdapterError as error:
        named = "acquire" in str(error).replace("aquire", "")
        return Check("a misspelt operation", "refused by its name", "" if named else f"not by its name: {error}")
    return Check("a misspelt operation", "", "taken for nothing: `aquire` was not refused")


class _Judge:
    """Judges a manager of the planted module."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str, select: tuple[str, ...] = ()) -> Report:
        text = f"{PLANTED.stem}:{name}"
        setting = TargetSetting(name=name, target=text, asked=text)
        settings = Settings(targets=(setting,), search=(self._folder,), select=select, profile="smoke")
        conformance = Conformance(settings, setting)
        conformance.start()
        return conformance.report([conformance.judge(kind.id) for kind in conformance.invariants()])


def _objects(kind: type[Invariant], text: str) -> bool:
    history, policies = read(text)
    return next(iter(kind(policies, EVERYTHING).violations(history)), None) is not None


def _executions(result: InvariantReport) -> str:
    return f"{result.executions} execution{'s' if result.executions != 1 else ''}"
