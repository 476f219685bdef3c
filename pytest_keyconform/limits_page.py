"""The page that publishes limits: what it says, how it fails, and what was seen of those who asked for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

TIER: Final = "Free Tier"
JSON: Final = "application/json"
PLAIN: Final = '{"m1": {"RPM": 15, "TPM": "1M", "RPD": null}}'

State: TypeAlias = Literal["up", "down", "slow", "stuck", "500", "empty", "garbled", "html", "tierless", "null"]
"""``down`` refuses connections; ``slow`` takes a request and does not answer, ``stuck`` sends a status and no body."""

WITHOUT_ANSWER: Final = frozenset({"slow", "stuck"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What the source answers: its state, and the rows of the tier as JSON, numbers spelled as the source spells them.

    ``page`` is an object by model, such as ``{"m1": {"RPM": "1,500", "TPM": "250K", "RPD": null}}``.
    """

    state: State = "up"
    page: str = PLAIN

    def __str__(self) -> str:
        """Show the state, and the page where it is answered."""
        return self.page if self.state == "up" else self.state

    @property
    def good(self) -> bool:
        """Whether the answer holds limits."""
        return self.state == "up"

    def answer(self) -> tuple[int, str, str]:
        """Answer status, content type and body."""
        rows = json.loads(self.page)
        good = json.dumps({TIER: rows})
        return {
            "500": (500, JSON, '{"error": {"code": 500, "message": "try again later"}}'),
            "empty": (200, JSON, ""),
            "garbled": (200, JSON, good[: len(good) // 2]),
            "html": (200, "text/html", "<html><body>We will be back soon.</body></html>"),
            "tierless": (200, JSON, json.dumps({"Paid Tier": rows})),
            "null": (200, JSON, json.dumps({TIER: None})),
        }.get(self.state, (200, JSON, good))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the source saw of a backend, and the harness of its openings.

    ``requests`` are those that came whole. ``warnings`` is how often the backend warned, None where that cannot be
    heard. ``blocked`` is the line of a coroutine that held the event loop up while the answer was still to come,
    ``outlasted`` says how long an opening was going to wait; "" none. ``undecided`` says why neither can be told.
    """

    requests: int = 0
    warnings: int | None = 0
    blocked: str = ""
    outlasted: str = ""
    undecided: str = ""

    def told(self) -> dict[str, Any]:
        """Answer what a step of a workload is answered: requests and warnings so far."""
        return {"requests": self.requests, "warnings": self.warnings}
