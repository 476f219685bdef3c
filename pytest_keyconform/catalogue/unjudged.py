"""What spec 1.0 promises and no class judges yet: a class for one of these takes its line away."""

from __future__ import annotations

from typing import Final

UNJUDGED: Final = {
    "LIFE01": "Opening either succeeds or raises a typed error: never False, never a half-ready object",
    "LIFE02": "A failed opening leaves no task, timer, thread or connection",
    "DUR06": "A counter and its expiry are set in one step: a crash between them leaves no immortal counter",
    "DUR07": "A failed store write is reported (False or typed error) or replayed later; never silently lost",
    "DUR08": "With the store down, service goes on within the limits and merges on recovery",
    "DUR09": "A change made by one instance is obeyed by the others within `staleness`",
    "SRC01": "A source that is down, slow, empty or garbled: opens with the cached or the default limits, and warns",
    "SRC02": "A good answer is cached; a bad one never replaces it",
    "SRC03": "Opening waits no longer than the source's time-out and never blocks the event loop",
    "SRC04": "A fresh install with no network has a limits table; opening twice does not duplicate or overwrite it",
    "SRC05": "Numbers are read as the source writes them, and a row that lacks one keeps the others",
    "COST03": "Acquire grows no faster than the number of keys, status no faster than keys times models",
    "COST04": "Store statements per call are bounded; an idle manager issues none that grow",
    "COST05": "Entries of models added on the fly are dropped once their windows have passed",
}
