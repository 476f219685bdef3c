"""SRC01, SRC02 and SRC05: what comes from the source of limits, and what is kept of it where it fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, final

from pytest_keyconform.catalogue.invariant import broken
from pytest_keyconform.catalogue.published import openings, refused
from pytest_keyconform.catalogue.sourced import (
    BAD,
    FLOOD,
    LATER,
    MUCH,
    SHOWN,
    THREE,
    WHILE,
    Sourced,
    asked,
    boundless,
    source,
)
from pytest_keyconform.catalogue.steps import advance, opened, restart, state, step, tick
from pytest_keyconform.model.linearize import Undecided
from pytest_keyconform.operation import Raised
from pytest_keyconform.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.catalogue.published import Opening
    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Given, Step

SPELLED: Final = (  # a name, the row, and the tokens of each call; the last call is the first one over the limit
    ("plain", '{"m1": {"RPM": 2, "TPM": 9000, "RPD": 100}}', (1, 1, 1)),
    ("tokens", '{"m1": {"RPM": null, "TPM": 1500, "RPD": null}}', (1499, 1, 1)),
    ("comma", '{"m1": {"RPM": null, "TPM": "1,500", "RPD": null}}', (1499, 1, 1)),
    ("K", '{"m1": {"RPM": 15, "TPM": "250K", "RPD": "1,500"}}', (249_999, 1, 1)),
    ("M", '{"m1": {"RPM": 15, "TPM": "1M", "RPD": null}}', (999_999, 1, 1)),
    ("daily", '{"m1": {"RPM": "1,500", "TPM": null, "RPD": 3}}', (1, 1, 1, 1)),
    ("none", '{"m1": {"RPM": 5, "TPM": null, "RPD": null}}', (MUCH, 1, 1, 1, 1, 1)),
    ("no-tokens", '{"m1": {"RPM": 2, "RPD": "1,500"}}', (1, 1, 1)),
    ("no-requests", '{"m1": {"TPM": "1,500", "RPD": null}}', (1499, 1, 1)),
    ("no-day", '{"m1": {"RPM": 2, "TPM": "250K"}}', (1, 1, 1)),
    ("beside", '{"m0": {"RPM": 5}, "m1": {"RPM": 2, "TPM": "1M", "RPD": null}, "m9": {"RPD": 1}}', (1, 1, 1)),
)


@final
class OpensWithoutTheSource(Sourced):
    """A source that is down, slow, empty or garbled: opens with the cached or the default limits, and warns.

    Why: an address that changes must not keep the service from starting, nor let it start without limits (000-24).
    How it breaks: the error of the request or of the parser is let through; the table is left empty; nobody is told.
    Fix: ask within a time-out, read into a new table, and take the cached or the default one, with a warning, where
    that fails.
    """

    id = "SRC01"
    audits = ("000-24",)
    subject = ("open",)
    CONFORMING = (
        (
            'given regular=key-1 source={"m1":{"RPM":2}}\nsource(state=500)\n'
            'asked() -> {"requests": 1, "warnings": 0}\nrestart()\nasked() -> {"requests": 2, "warnings": 1}\n'
            "acquire() -> key-1"
        ),
        'given source.state=down m1.rpm=4\nasked() -> {"requests": 0, "warnings": 2}\nacquire() -> key-1',
        'given source.state=empty\nasked() -> {"requests": 1, "warnings": None}\nacquire() -> key-1',
    )
    VIOLATING = (
        'given source.state=garbled\nasked() -> {"requests": 1, "warnings": 0}\nacquire() -> key-1',
        'given source.state=tierless\nasked() -> {"requests": 1, "warnings": 1}\nacquire() -> ""',
        "given source.state=500\nopen() -> raises HTTPStatusError",
        "given source.state=500\nopen() -> raises typed Unreachable",
        'given source={"m1":{"RPM":2}}\nsource(state=null)\nrestart() -> raises TypeError',
        (
            'given regular=key-1 source={"m1":{"RPM":1}}\nsource(state=down)\nrestart()\n'
            "acquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> key-1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Each failure before there was any answer, one call and many; and after a good one, over a restart."""
        for bad in (*BAD, "slow"):
            fresh = self.unsupplied(bad)
            given_up = self.policies.deadline if bad == "slow" else 0.0  # one that asks beside the opening warns then
            seen = (advance(given_up + LATER), asked())
            needless = replace(fresh, needs=frozenset())
            yield self._whole(f"fresh-{bad}", needless, seen, self.calls((1,)))
            if self.shows and bad != "slow":
                flood = (state(), *self.calls((MUCH,) * FLOOD))
                yield self._whole(f"flood-{bad}", fresh, seen, flood)
            if self.lasting:
                again = (*seen, source(bad), restart(), *seen)
                yield self._whole(f"cached-{bad}", self.pool(), again, self.calls((1, 1, 1)) if self.shows else ())

    def _whole(self, name: str, given: Given, setup: tuple[Step, ...], finale: tuple[Step, ...]) -> Workload:
        return Workload(name=name, given=given, setup=setup, finale=finale, overheard=True, whole=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at how each opening ended, whether it warned, and by what limits was served then."""
        if not any(history.named("open")):
            raise Undecided("the opening never ended; see SRC03")
        for opening in openings(history):
            if not opening.published.good:
                yield from self._opened(opening)
        yield from self.kept(history)
        if all(opening.fresh and not opening.published.good for opening in openings(history)):
            yield from self._defaults(history)
            yield from boundless(history)

    def _opened(self, opening: Opening) -> Iterator[Violation]:
        bad, operation = opening.published.state, opening.operation
        if isinstance(operation.response, Raised):
            expected = f"it opens: the source ({bad}) is not the only place that limits come from"
            yield broken(operation, expected, "opening fails with the source")
        elif opening.warned is False and (opening.fresh or opening.asked):
            yield broken(operation, f"a warning: the source is no good ({bad})", "nobody is warned of a bad source")

    def _defaults(self, history: History) -> Iterator[Violation]:
        first = next(history.named("acquire"), None)
        if first is not None and refused(first):
            yield broken(first, "a key: nothing is used yet, by whatever limits", "nothing is served by the defaults")


@final
class KeepsTheGoodAnswer(Sourced):
    """A good answer is cached; a bad one never replaces it.

    Why: the limits of yesterday are nearly always those of today, and an error page never is (000-24).
    How it breaks: what came is written before it is read; a table is cleared before the new one is there; the cache is
    in memory alone while the rest lasts.
    Fix: read and check the answer first, then replace the cached file in one step; on any error leave it alone.
    """

    id = "SRC02"
    audits = ("000-24",)
    applies: ClassVar = SHOWN
    CONFORMING = (
        (
            'given regular=key-1 source={"m1":{"RPM":1}}\nsource(state=garbled)\nrestart()\nrestart()\n'
            'acquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> ""'
        ),
        (
            'given regular=key-1 source={"m1":{"RPM":1}}\nasked() -> {"requests": 1}\n'
            'source(state=up, page={"m1":{"RPM":2}})\nrestart()\nasked() -> {"requests": 1}\n'
            'acquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> ""'
        ),
    )
    VIOLATING = (
        (
            'given regular=key-1 source={"m1":{"RPM":1}}\nsource(state=garbled)\nrestart()\nrestart()\n'
            "acquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> key-1"
        ),
        (
            'given regular=key-1 source={"m1":{"RPM":1}}\nsource(state=500)\nreload(api_keys=key-1;)\n'
            "acquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> key-1"
        ),
        (
            'given regular=key-1 source={"m1":{"RPM":1}}\nasked() -> {"requests": 1}\n'
            'source(state=up, page={"m1":{"RPM":2}})\nrestart()\nasked() -> {"requests": 2}\n'
            'source(state=down)\nrestart()\nacquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Bad answers after a good one: to a reload, another opening, an hour that passes; and over two restarts."""
        reads = self.calls((1, 1, 1))
        given, good = self.pool(), (advance(LATER), asked())
        for bad in BAD:
            again = (*good, source(bad), opened(optional=True), _reloaded(given), tick(), advance(LATER))
            yield Workload(name=f"meanwhile-{bad}", given=given, setup=again, finale=reads, whole=True)
            if bad in ("500", "garbled"):
                hour = (*good, source(bad), advance(WHILE), tick(), advance(LATER))
                yield Workload(name=f"hour-{bad}", given=given, setup=hour, finale=reads, whole=True)
            if self.lasting:
                twice = (*good, source(bad), restart(), advance(LATER), restart(), advance(LATER))
                yield Workload(name=f"restarts-{bad}", given=given, setup=twice, finale=reads, whole=True)
        if self.lasting:
            newest = (*good, source("up", page=THREE), restart(), *good)
            gone = (source("down"), restart(), advance(LATER))
            reads = self.calls((1, 1, 1, 1))
            yield Workload(name="newest", given=self.pool(), setup=(*newest, *gone), finale=reads, whole=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for answers that the last good page does not allow."""
        yield from self.kept(history)


def _reloaded(given: Given) -> Step:
    return step("reload", api_keys=given.regular, vertex_api_keys=given.vertex, optional=True)


@final
class ReadsNumbers(Sourced):
    """Numbers are read as the source writes them, and a row that lacks one keeps the others.

    Why: "1,500" read as 1 stops a service, read as nothing it never stops (000-24).
    How it breaks: ``int("250K")`` raises and the row, or the whole table, is dropped; None becomes 0.
    Fix: take commas out, multiply by K and M, read null and what is lacking as unlimited, each number for itself.
    """

    id = "SRC05"
    level = "should"
    audits = ("000-24",)
    applies: ClassVar = SHOWN
    subject = ("open",)
    CONFORMING = (
        (
            'given regular=key-1 source={"m1":{"TPM":"1K"}}\nacquire() -> key-1\n'
            "record(lease=key-1, tokens=999) -> True\nacquire() -> key-1\nrecord(lease=key-1, tokens=1) -> True\n"
            'acquire() -> ""'
        ),
        'given regular=key-1 source={"m1":{"RPM":null}}\nrecord(lease=key-1) -> True\nacquire() -> key-1'.replace(
            "null", "None"
        ),
    )
    VIOLATING = (
        (
            'given regular=key-1 source={"m1":{"TPM":"1K"}}\nacquire() -> key-1\n'
            'record(lease=key-1, tokens=9) -> True\nacquire() -> ""'
        ),
        (
            'given regular=key-1 source={"m1":{"TPM":"1K"}}\nacquire() -> key-1\n'
            "record(lease=key-1, tokens=1000) -> True\nacquire() -> key-1"
        ),
        (
            'given regular=key-1 source={"m1":{"RPM":"1,500"}}\nacquire() -> key-1\nrecord(lease=key-1) -> True\n'
            'acquire() -> ""'
        ),
        'given source={"m1":{"TPM":"1K"}}\nopen() -> raises ValueError',
    )

    def workloads(self) -> Iterator[Workload]:
        """Each spelling, and each number alone: calls up to the limit, and one beyond."""
        for name, page, tokens in SPELLED:
            yield Workload(
                name=name, given=self.pool(page), setup=(advance(LATER),), finale=self.calls(tokens), whole=True
            )

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for an opening that fails, and for answers that the page does not allow."""
        first = next(history.named("open"), None)
        if first is not None and isinstance(first.response, Raised) and history.given.source is not None:
            yield broken(first, f"it opens and reads {history.given.source.page}", "opening fails on a good page")
        yield from self.kept(history)
