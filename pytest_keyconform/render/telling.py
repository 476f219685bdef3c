"""What every rendering shares: who is told, and text that can do nothing but be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_keyconform.report import FAILING, Report

if TYPE_CHECKING:
    from pytest_keyconform.comparison import Comparison
    from pytest_keyconform.report import InvariantReport, Level

# Control characters, separators of lines, marks of direction, halves of surrogate pairs.
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """To whom a report is told: what the user named as target, what gates, and what an earlier report said."""

    asked: str | None = None
    level: Level = "must"
    comparison: Comparison | None = None

    def target(self, report: Report) -> str:
        """Answer how the target is named on a command line."""
        return visible(self.asked or report.target)

    def changes(self) -> list[tuple[str, str]]:
        """Answer what changed since the earlier report, each with the word for its kind, the worst first."""
        lines = [] if self.comparison is None else self.comparison.lines()
        return [(word, visible(text)) for word, _, text in (line.partition(": ") for line in lines)]

    def standing(self, result: InvariantReport) -> str:
        """Answer how a result stands: its status, or why it holds nobody back although it failed."""
        if result.status not in FAILING:
            return result.status
        if result.known:
            return "known"
        return result.status if result.gates(self.level) else "advisory"


def visible(text: str) -> str:
    """Show what cannot be seen as an escape: no colour, no line break, no byte that cannot be written."""
    return UNSEEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    one = found[0]
    if one in SHORT:
        return SHORT[one]
    return f"\\x{ord(one):02x}" if ord(one) < 0x100 else f"\\u{ord(one):04x}"  # noqa: PLR2004  # two digits


def cleaned(report: Report) -> Report:
    """Answer the same report with every text of it `visible`."""
    return Report.from_json(_cleaned(report.to_json()))


def _cleaned_as(name: object, value: Any) -> Any:  # noqa: ANN401  # plain values are anything
    if name == "snippet" and isinstance(value, str):  # the one text that has lines
        return "\n".join(map(visible, value.split("\n")))
    return _cleaned(value)


def _cleaned(value: Any) -> Any:  # noqa: ANN401  # plain values are anything
    match value:
        case str():
            return visible(value)
        case dict():
            return {_cleaned(key): _cleaned_as(key, item) for key, item in value.items()}
        case tuple() | list():
            return type(value)(_cleaned(item) for item in value)
        case _:
            return value
