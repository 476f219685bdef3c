"""What the rules about a source of limits share: the numbers of its page, and what each opening was answered."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pytest_keyconform.limits_page import Published, State
from pytest_keyconform.operation import Answered, Raised
from pytest_keyconform.workload import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation

OPENINGS: Final = ("open", "restart")
UNITS: Final = {"K": 1_000, "M": 1_000_000}
AT_ONCE: Final = 1.0  # seconds: who waits longer was held up by a limit


def number(written: object) -> int | None:
    """Read a number as the source writes it: ``15``, ``"1,500"``, ``"250K"``, ``"1M"``; None is unlimited."""
    if written is None:
        return None
    text = str(written).replace(",", "").strip()
    unit = UNITS.get(text[-1:].upper(), 1)
    return int(float(text.rstrip("KkMm")) * unit)


def limits_of(page: object, model: str) -> Limits:
    """Read the limits of a model from a page; what its row lacks is unlimited."""
    rows: Mapping[str, Mapping[str, object]] = json.loads(page) if isinstance(page, str) else dict(page or {})  # type: ignore[call-overload] # the notation has a dict
    row = rows.get(model) or {}
    return Limits(rpm=number(row.get("RPM")), tpm=number(row.get("TPM")), rpd=number(row.get("RPD")))


@dataclass(frozen=True, slots=True)
class Opening:
    """One opening of a manager, what the source answered then, and what was known of the source before and after.

    ``kept`` is the page of the last good answer before it; None: there was none. ``before`` and ``after`` are what was
    told of requests and warnings; None where nobody asked.
    """

    operation: Operation
    published: Published
    kept: str | None
    before: Mapping[str, int | None] | None
    after: Mapping[str, int | None] | None

    @property
    def fresh(self) -> bool:
        """Whether there was nothing to fall back on but the defaults."""
        return self.kept is None

    @property
    def asked(self) -> bool | None:
        """Whether the source was asked; None where nobody can tell: one that refuses connections sees nobody."""
        if self.after is None or self.before is None or self.published.state == "down":
            return None
        return (self.after.get("requests") or 0) > (self.before.get("requests") or 0)

    @property
    def answered(self) -> bool:
        """Whether it was answered with a good page; a first opening is taken to ask where nobody tells otherwise."""
        return self.published.good and (self.asked is True or (self.kept is None and self.after is None))

    @property
    def warned(self) -> bool | None:
        """Whether anything was warned of; None where that cannot be told."""
        counts = [None if told is None else told.get("warnings") for told in (self.before, self.after)]
        if None in counts:
            return None
        first, last = (int(str(count)) for count in counts)
        return last > first


def openings(history: History) -> Iterator[Opening]:
    """Yield each opening; the first one is known to ask the source."""
    published = history.given.source or Published()
    told: Mapping[str, int | None] = {"requests": 0, "warnings": 0}
    kept: str | None = None
    before: Mapping[str, int | None] | None = told
    for place, operation in enumerate(history.operations):
        if operation.name == "source":
            published = _changed(published, operation)
        elif operation.name == "asked":
            before = _told(operation)
        elif operation.name in OPENINGS:
            opening = Opening(operation, published, kept, before, _next_told(history, place))
            yield opening
            if opening.answered:
                kept = published.page
            before = None


def kept_at_last(history: History) -> str | None:
    """Answer the page that is to be in force at the end; None where there is none, or where nobody can tell which."""
    kept: str | None = None
    for opening in openings(history):
        if opening.answered:
            kept = opening.published.page
        elif opening.published.good and opening.asked is None and opening.published.page != kept:
            return None
    return kept


def ruled_by(history: History, page: str) -> History:
    """Answer the history as one whose pool has the limits of a page."""
    model = history.given.default_model
    return replace(history, given=replace(history.given, limits=((model, limits_of(page, model)),)))


def served(operation: Operation) -> bool:
    """Tell whether an acquire was answered with a key."""
    return isinstance(operation.value, str) and bool(operation.value)


def refused(operation: Operation) -> bool:
    """Tell whether an acquire was answered with none."""
    return isinstance(operation.response, Raised) or (
        isinstance(operation.response, Answered) and operation.value in ("", None)
    )


def limited_somewhere(history: History) -> bool:
    """Tell whether a state shows any finite limit, of whatever model."""
    return any(_finite(operation.value) for operation in history.named("state"))


def _finite(value: object) -> bool:
    if isinstance(value, dict):
        return any(
            (str(name).startswith("max_") and isinstance(item, int) and not isinstance(item, bool) and item > 0)
            or _finite(item)
            for name, item in value.items()
        )
    return isinstance(value, tuple | list) and any(map(_finite, value))


def _changed(published: Published, operation: Operation) -> Published:
    page = operation.get("page", published.page)
    state: State = operation.get("state", "up")  # type: ignore[assignment] # as it was written in a workload
    return Published(state=state, page=page if isinstance(page, str) else json.dumps(page))


def _told(operation: Operation) -> Mapping[str, int | None] | None:
    return operation.value if isinstance(operation.value, dict) else None


def _next_told(history: History, place: int) -> Mapping[str, int | None] | None:
    for operation in history.operations[place + 1 :]:
        if operation.name in (*OPENINGS, "source"):
            return None
        if operation.name == "asked":
            return _told(operation)
    return None
