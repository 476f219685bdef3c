"""A counterexample as an SVG: time runs downwards, a lane for each client, a bar for each call."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_keyconform.render.timeline import WORDS, moments_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_keyconform.execution import Moment
    from pytest_keyconform.report import CounterexampleReport

LETTER = 7.25  # pixels that a letter of the monospaced font takes
LINE = 17  # pixels from one line of text to the next
GAP = 9  # pixels between two moments
TOP = 30  # pixels for the names of the lanes
WIDEST, ALONE = 40, 72  # letters of a line in a lane, and in one that is alone
NARROWEST = 18
MARK = 22  # pixels from the left of a lane to its text
MOST = 120  # moments; the middle of a longer execution is left out
SIGNS = {"return": "→ ", "suspend": "waits: ", "advance": "time: "}


@dataclass(slots=True)
class Lane:
    """One client: where it is drawn, and where it ran and waited so far."""

    name: str
    left: float
    width: float
    marks: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One moment with its lines of text."""

    client: int
    kind: str
    lines: tuple[str, ...]


def picture(found: CounterexampleReport, *, name: str) -> str:
    """Draw what each client did; ``name`` is that of the invariant, for who cannot see the picture."""
    moments = _shortened(moments_of(found))
    widest = WIDEST if len({moment.client for moment in moments}) > 1 else ALONE
    drawn = [Drawn(moment.client, moment.kind, _lines(moment, widest)) for moment in moments]
    lanes = _lanes(drawn, WORDS.get(found.engine, "task"))
    texts, bottom = [], float(TOP)
    for one in drawn:
        lane = lanes[one.client]
        lane.marks.append((bottom + LINE / 2, one.kind))
        texts += [
            f'<text class="{one.kind}" x="{lane.left + MARK:g}" y="{bottom + 13 + LINE * row:g}">{escape(line)}</text>'
            for row, line in enumerate(one.lines)
        ]
        bottom += LINE * len(one.lines) + GAP
    width = max((lane.left + lane.width for lane in lanes.values()), default=0.0) + GAP
    sizes = f'width="{width:g}" height="{bottom:g}" viewBox="0 0 {width:g} {bottom:g}"'
    shapes = [shape for lane in lanes.values() for shape in _shapes(lane, bottom)]
    title = f"What each client did in the counterexample of {name}"
    return "\n".join(
        [f'<svg class="lanes" role="img" {sizes}>', f"<title>{escape(title)}</title>", *shapes, *texts, "</svg>"]
    )


def _shortened(moments: Sequence[Moment]) -> list[Moment]:
    if len(moments) <= MOST:
        return list(moments)
    kept = [*moments[: MOST // 2], *moments[-(MOST // 2) :]]
    gone = type(kept[0])(kept[0].client, "gap", f"… {len(moments) - MOST} moments left out …")
    return [*kept[: MOST // 2], gone, *kept[MOST // 2 :]]


def _lines(moment: Moment, widest: int) -> tuple[str, ...]:
    text = f"{SIGNS.get(moment.kind, '')}{moment.text.removeprefix('→').strip()}"
    first = [moment.where] if moment.where else []
    return (*first, *(textwrap.wrap(text, widest, subsequent_indent="  ") or [""]))


def _lanes(drawn: Sequence[Drawn], word: str) -> dict[int, Lane]:
    """Answer the lanes from left to right: what came around the clients, each client, what ran in the background."""
    clients = sorted({one.client for one in drawn}, key=lambda client: (client < 0, client))
    lanes: dict[int, Lane] = {}
    left = 0.0
    for client in clients:
        letters = max(len(line) for one in drawn if one.client == client for line in one.lines)
        width = max(NARROWEST, letters) * LETTER + MARK + GAP
        lanes[client] = Lane(_name(client, word, alone=len(clients) == 1), left, width)
        left += width
    return lanes


def _name(client: int, word: str, *, alone: bool) -> str:
    if client == 0:
        return "one after the other" if alone else "before and after"
    return "background" if client < 0 else f"{word} {chr(ord('A') + client - 1)}"


def _shapes(lane: Lane, bottom: float) -> Iterator[str]:
    """Yield a lane's name, its line, a bar from each call to its answer, thin where it waits, and the marks."""
    middle = lane.left + MARK / 2
    yield f'<text class="lane" x="{lane.left + 4:g}" y="16">{escape(lane.name)}</text>'
    yield f'<path class="life" d="M{middle:g} {TOP - 6}V{bottom:g}"/>'
    last = lane.marks[-1] if lane.marks else None
    ends = [*lane.marks, (bottom, "never")] if last is not None and last[1] in {"call", "suspend"} else lane.marks
    for (start, kind), (stop, _) in pairwise(ends):
        if kind in {"call", "suspend"}:
            half = 4 if kind == "call" else 1.5
            yield (
                f'<rect class="{kind}" x="{middle - half:g}" y="{start:g}" '
                f'width="{half * 2:g}" height="{stop - start:g}"/>'
            )
    for height, kind in lane.marks:
        yield f'<circle class="{kind}" cx="{middle:g}" cy="{height:g}" r="4.5"/>'
