"""The report as JUnit XML, as CI servers read it: a suite for the target, a case for each invariant."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from pytest_keyconform.render import timeline
from pytest_keyconform.render.telling import Telling, cleaned
from pytest_keyconform.report import FAILING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.report import InvariantReport, Report

HEAD = '<?xml version="1.0" encoding="utf-8"?>'


def render(report: Report, telling: Telling | None = None) -> str:
    """Write a report as JUnit XML.

    What is violated is a failure, what is inconclusive an error; what is advisory, waived, known or not applicable is
    skipped, with the reason.
    """
    report, telling = cleaned(report), telling or Telling()
    standing = [telling.standing(result) for result in report.invariants]
    broken = 1 if report.error is not None else 0
    totals = _attributes(
        tests=len(standing) + broken,
        failures=standing.count("violated"),
        errors=standing.count("inconclusive") + broken,
        skipped=len(standing) - sum(standing.count(word) for word in ("conforms", "violated", "inconclusive")),
        time=f"{report.run.duration:.3f}",
    )
    lines = [
        HEAD,
        f"<testsuites{_attributes(name='keyconform')}{totals}>",
        f"<testsuite{_attributes(name=f'keyconform {report.target}', timestamp=report.run.started)}{totals}>",
        "<properties>",
        *(f"<property{_attributes(name=name, value=value)}/>" for name, value in _properties(report)),
        "</properties>",
    ]
    if report.error is not None:
        where = _attributes(classname="keyconform", name=report.target)
        lines.append(f"<testcase{where}><error{_attributes(message=report.error)}/></testcase>")
    for result, word in zip(report.invariants, standing, strict=True):
        lines += _case(result, word, telling.target(report))
    return "\n".join([*lines, "</testsuite>", "</testsuites>", ""])


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    for name in ("verdict", "spec", "profile", "seed"):
        yield name, str(getattr(report, name))
    for name, value in sorted(report.policies.items()):
        yield f"policy.{name}", str(value)


def _case(result: InvariantReport, standing: str, asked: str) -> list[str]:
    file, _, line = ("" if result.counterexample is None else result.counterexample.where).rpartition(":")
    place = _attributes(file=file, line=line) if file else ""
    named = _attributes(classname=f"keyconform.{result.family}", name=result.id, time=f"{result.seconds:.3f}")
    head = f"<testcase{named}{place}"
    if standing == "conforms":
        return [f"{head}/>"]
    return [f"{head}>", _outcome(result, standing, asked), "</testcase>"]


def _outcome(result: InvariantReport, standing: str, asked: str) -> str:
    told = result.title if result.reason is None else f"{result.title}: {result.reason}"
    if standing in FAILING:
        tag = "failure" if standing == "violated" else "error"
        page = escape(timeline.page(result, asked=asked))
        return f"<{tag}{_attributes(type=standing, message=told)}>{page}</{tag}>"
    why = result.waiver or result.reason or ", ".join(result.lacking) or result.title
    return f"<skipped{_attributes(type=standing, message=f'{standing}: {why}')}/>"


def _attributes(**values: object) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in values.items())
