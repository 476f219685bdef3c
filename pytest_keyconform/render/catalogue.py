"""The catalogue in words: one invariant for a terminal, all of them as a page."""

from __future__ import annotations

import inspect
import itertools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_keyconform.catalogue.invariant import Invariant

HEAD: Final = """\
# The catalogue

What is promised, why, how it breaks, and how to mend it: the text of `keyconform explain ID`. Below each promise stand
a history that conforms and one that violates it, in the notation of the rules' own tests: `|` marks calls that overlap.
This page is made by `keyconform list --markdown`.
"""


def heading(kind: type[Invariant]) -> str:
    """Answer one line that names an invariant: its id, its level, its promise."""
    return f"{kind.id:<7} {kind.level:<7} {kind.title()}"


def explained(kind: type[Invariant]) -> str:
    """Explain one invariant: its facts, its prose, and a history of each kind."""
    facts = f"{kind.id} ({kind.level}, since {kind.since}, audits {', '.join(kind.audits)})"
    parts = [facts, _prose(kind)]
    parts += [f"{title}:\n{_indented(text)}" for title, text in _cases(kind)]
    return "\n\n".join(parts)


def page(kinds: Sequence[type[Invariant]]) -> str:
    """Answer the whole catalogue in Markdown."""
    lines = [HEAD]
    for family, members in itertools.groupby(kinds, key=lambda kind: kind.family()):
        lines += [f"## {family}", ""]
        for kind in members:
            lines += _section(kind)
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(kind: type[Invariant]) -> Iterable[str]:
    promise, _, prose = _prose(kind).partition("\n\n")
    yield f"### {kind.id} {promise.rstrip('.')}"
    yield ""
    facts = [kind.level.upper(), f"since {kind.since}", f"audits {', '.join(kind.audits)}"]
    facts += [f"needs {', '.join(name.replace('|', ' or ') for name in kind.requires)}"] if kind.requires else []
    yield " · ".join(facts)
    yield ""
    for paragraph in prose.splitlines():
        yield paragraph if not paragraph.startswith(("How it breaks:", "Fix:")) else f"\n{paragraph}"
    yield ""
    for title, text in _cases(kind):
        yield f"{title}:\n\n```text\n{text}\n```\n"


def _prose(kind: type[Invariant]) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def _cases(kind: type[Invariant]) -> tuple[tuple[str, str], ...]:
    return ("Conforms", kind.CONFORMING[0]), ("Violates", kind.VIOLATING[0])


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
