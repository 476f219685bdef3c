"""The card of one invariant: what it promises, what came of it, and its counterexample as a picture."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from pytest_keyconform.render.html.picture import picture
from pytest_keyconform.render.timeline import plural, replay_command
from pytest_keyconform.report import FAILING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.report import CounterexampleReport, InvariantReport


def card(result: InvariantReport, standing: str, *, asked: str) -> str:
    """Write the card; ``standing`` is how the result stands, ``asked`` what the user named as target."""
    unfolded = " open" if standing in FAILING else ""
    head = (
        f'<span class="mark {standing}">{standing.replace("-", " ")}</span> '
        f'<span class="id">{escape(result.id)}</span> <span class="title">{prose(result.title)}</span>'
    )
    known = f'id="{escape(result.id)}" data-standing="{standing}" data-family="{escape(result.family)}"'
    return "\n".join(
        [
            f'<details class="card" {known}{unfolded}>',
            f"<summary>{head}</summary>",
            '<div class="body">',
            *_body(result, asked),
            "</div>",
            "</details>",
        ]
    )


def _body(result: InvariantReport, asked: str) -> Iterator[str]:
    if result.waiver is not None:
        yield f'<p class="why"><b>waived</b> {escape(result.waiver)}</p>'
    if result.reason is not None:
        yield f'<p class="why">{prose(result.reason)}</p>'
    elif result.lacking:
        yield f'<p class="why">lacks {escape(", ".join(result.lacking))}</p>'
    if result.counterexample is not None:
        yield from _counterexample(result, result.counterexample, asked)
    yield f'<p class="facts">{escape(" · ".join(_facts(result)))}</p>'


def prose(text: str) -> str:
    """Answer a sentence of the catalogue, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _facts(result: InvariantReport) -> Iterator[str]:
    yield result.level.upper()
    if result.pinned:
        yield "later than the pinned catalogue"
    if result.executions:
        yield plural(result.executions, "execution")
    if result.engines:
        yield f"on {', '.join(result.engines)}"
    if result.exhausted:
        yield "every order there is"
    if result.audits:
        yield f"audits {', '.join(result.audits)}"


def _counterexample(result: InvariantReport, found: CounterexampleReport, asked: str) -> Iterator[str]:
    yield "<dl>"
    for name, text in (
        ("observed", found.observed),
        ("expected", found.expected),
        ("note", found.note),
        ("signature", result.signature),
    ):
        if text:
            yield f"<dt>{name}</dt><dd>{escape(text)}</dd>"
    pool = next((one.call[5:-1] for one in found.operations[:1] if one.call.startswith("open(")), "")
    if pool:
        yield f"<dt>pool</dt><dd>{escape(pool)}</dd>"
    if found.where:
        yield f"<dt>at</dt><dd><code>{escape(found.where)}</code></dd>"
    yield "</dl>"
    yield f'<div class="scroll" tabindex="0" role="group" aria-label="Timeline of {escape(result.id)}">'
    yield picture(found, name=result.id)
    yield "</div>"
    command = escape(replay_command(asked, found.replay))
    yield f'<p class="replay"><code>{command}</code> <button type="button" class="copy">Copy</button></p>'
    if found.snippet:
        yield '<details class="script"><summary>As a script, without the harness</summary><div class="replay">'
        yield f'<pre tabindex="0"><code>{escape(found.snippet)}</code></pre>'
        yield '<button type="button" class="copy">Copy</button></div></details>'
