"""The report as one page that needs nothing else: no network, no other file; readable without its script, too."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib import resources
from typing import TYPE_CHECKING

from pytest_keyconform.render.html.card import card
from pytest_keyconform.render.telling import Telling, cleaned
from pytest_keyconform.render.timeline import plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.report import Report

STANDINGS = ("violated", "inconclusive", "advisory", "known", "waived", "conforms", "not-applicable")
SENTENCES = {
    "violates": "does not keep what it promises",
    "inconclusive": "could not be judged in full",
    "partial": "keeps what was asked about; only a part of the catalogue was",
    "conforms": "keeps every promise that applies to it",
}


def render(report: Report, telling: Telling | None = None) -> str:
    """Write a report as an HTML page: the verdict, what changed, filters, and a card for each invariant."""
    report, telling = cleaned(report), telling or Telling()
    style, script = _asset("page.css"), _asset("page.js")
    body = [
        *_head(report),
        *_comparison(telling),
        *_filters(report, telling),
        *_cards(report, telling),
        *_facts(report),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<meta http-equiv="Content-Security-Policy" content="{_guard(style, script)}">',
            f"<title>{escape(report.target)} {report.verdict} - keyconform</title>",
            f"<style>{style}</style>",
            "</head>",
            f'<body data-verdict="{report.verdict}">',
            '<a class="skip" href="#cards">Skip to the invariants</a>',
            *body,
            f"<script>{script}</script>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _guard(style: str, script: str) -> str:
    """Let the browser run what is ours and nothing else, and fetch nothing at all."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; base-uri 'none'"


def _head(report: Report) -> Iterator[str]:
    executions = sum(result.executions for result in report.invariants)
    yield "<header>"
    yield f'<p class="eyebrow">keyconform · spec {escape(report.spec)}</p>'
    yield f"<h1>{escape(report.target)}</h1>"
    yield f'<p class="verdict"><strong>{report.verdict}</strong> <span>It {SENTENCES[report.verdict]}.</span></p>'
    facts = (plural(len(report.invariants), "invariant"), plural(executions, "execution"))
    more = (f"profile {report.profile}", f"seed {report.seed}", f"{report.run.duration:.1f} s", report.run.started)
    yield f'<p class="facts">{escape(" · ".join(filter(None, (*facts, *more))))}</p>'
    if report.error is not None:
        yield f'<p class="error" role="alert">{escape(report.error)}</p>'
    yield "</header>"


def _comparison(telling: Telling) -> Iterator[str]:
    """Say what changed since the baseline, the worst first."""
    if telling.comparison is None:
        return
    lines = telling.changes()
    yield '<section class="since" aria-labelledby="since"><h2 id="since">Since the baseline</h2>'
    yield "<ul>" if lines else "<p>Nothing changed.</p>"
    for word, line in lines:
        yield f'<li><b class="{word}">{word}</b> {escape(line)}</li>'
    yield "</ul></section>" if lines else "</section>"


def _filters(report: Report, telling: Telling) -> Iterator[str]:
    found = [telling.standing(result) for result in report.invariants]
    if not found:
        return
    yield '<form class="filters" role="search" aria-label="Filter the invariants">'
    yield "<fieldset><legend>Status</legend>"
    for word in (word for word in STANDINGS if word in found):
        yield (
            f'<label class="chip {word}"><input type="checkbox" name="standing" value="{word}" checked> '
            f"{word.replace('-', ' ')} <b>{found.count(word)}</b></label>"
        )
    yield "</fieldset>"
    families = dict.fromkeys(result.family for result in report.invariants)
    options = "".join(f"<option>{escape(family)}</option>" for family in families)
    yield f'<label>Family <select name="family"><option value="">all</option>{options}</select></label>'
    yield '<label class="search">Text <input type="search" name="text" placeholder="id, promise, key-1 …"></label>'
    yield '<button type="reset">Show all</button> <output name="shown" aria-live="polite"></output>'
    yield "</form>"


def _cards(report: Report, telling: Telling) -> Iterator[str]:
    """Give each invariant a card, the gravest first, each kind in the order of the catalogue."""
    asked = telling.target(report)
    yield '<main id="cards">'
    for word in STANDINGS:
        for result in report.invariants:
            if telling.standing(result) == word:
                yield card(result, word, asked=asked)
    yield "</main>"


def _facts(report: Report) -> Iterator[str]:
    yield "<footer><h2>About this run</h2><dl>"
    declared = ", ".join(f"{name}={value}" for name, value in sorted(report.policies.items()))
    run = report.run
    told = {
        "operations": ", ".join(report.operations),
        "policies": declared or "the defaults",
        "python": f"{run.python} on {run.platform}" if run.python else "",
        "plugin": run.plugin,
        "coverage": ", ".join(f"{name} {one.percent:g} %" for name, one in sorted((report.coverage or {}).items())),
    }
    for name, text in told.items():
        if text:
            yield f"<dt>{name}</dt><dd>{escape(text)}</dd>"
    yield "</dl></footer>"
