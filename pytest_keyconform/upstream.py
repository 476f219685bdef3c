"""The provider behind the keys: it enforces limits for each key, counts what it saw, and answers as it is told to."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MINUTE: Final = 60.0
DAY_ZONE: Final = "America/Los_Angeles"
STRANGER: Final = "stranger"

Window: TypeAlias = Literal["fixed", "rolling"]


class Limited(Protocol):
    """Limits of one model: requests and tokens a minute, requests a day; None is unlimited, 0 is closed."""

    @property
    def rpm(self) -> int | None:
        """Requests a minute."""

    @property
    def tpm(self) -> int | None:
        """Tokens a minute."""

    @property
    def rpd(self) -> int | None:
        """Requests a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the provider answers to one request.

    ``retry_after`` is in seconds, or None: the answer does not tell. ``chunks`` is the body, piece by piece;
    ``breaks_after`` so many of them the connection is lost. ``hangs``: nothing is answered at all.
    """

    status: int = 200
    retry_after: float | None = None
    chunks: tuple[str, ...] = ("ok",)
    breaks_after: int | None = None
    hangs: bool = False

    @property
    def whole(self) -> bool:
        """Whether the caller gets a success to its end."""
        return self.status < 400 and not self.hangs and self.breaks_after is None  # noqa: PLR2004 - HTTP's own border


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the provider saw it: whose key, what for, when (seconds since 1970), and its answer.

    ``over`` tells that the key had nothing left for the model: what a manager should never let happen.
    """

    key: str
    model: str
    at: float
    tokens: int
    answer: Answer
    over: bool = False


class Provider:
    """A provider of models, as plain state with an explicit clock.

    ``keys`` has the number of each key (``key-1``); a key that is not in it is answered 401 and seen as ``stranger``.
    ``limits`` are those of a model, for each key; a model that is not in it is unlimited. ``now`` answers seconds since
    1970. ``window`` is the minute: aligned, or the last 60 seconds; the day begins at midnight in ``day_zone``.
    ``tells`` whether a 429 for limits says when to come back.

    A request is answered by what `will` lined up, else by what `always` set, else by the limits. Only what is
    admitted counts against the limits, also where its answer is lost on the way.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        limits: Mapping[str, Limited] | None = None,
        *,
        now: Callable[[], float],
        window: Window = "fixed",
        day_zone: str = DAY_ZONE,
        tells: bool = True,
    ) -> None:
        self._keys = dict(keys)
        self._limits = dict(limits or {})
        self._now = now
        self._window = window
        self._zone = ZoneInfo(day_zone)
        self._tells = tells
        self._seen: list[Seen] = []
        self._spent: defaultdict[tuple[str, str], deque[tuple[float, int]]] = defaultdict(deque)
        self._next: defaultdict[str | None, deque[Answer]] = defaultdict(deque)
        self._always: dict[str | None, Answer] = {}

    def __repr__(self) -> str:
        """Show how much there is, and no key."""
        return f"Provider(<{len(self._keys)} keys>, models={sorted(self._limits)}, requests={len(self._seen)})"

    # -- what it is told to do; keys are named by their numbers

    def will(self, *answers: Answer, key: str | None = None) -> None:
        """Answer the next requests so, one after the other: those with this key, or whatever comes."""
        self._next[self._known(key)].extend(answers)

    def always(self, answer: Answer | None, *, key: str | None = None) -> None:
        """Answer every request so, with this key or with any; None ends it."""
        if answer is None:
            self._always.pop(self._known(key), None)
        else:
            self._always[self._known(key)] = answer

    # -- what it does

    def ask(self, key: str, model: str, *, tokens: int = 1) -> Answer:
        """Answer one request that costs so many tokens."""
        number = self._keys.get(key, STRANGER)
        now = self._now()
        full = self._full_until(number, model, now) if number != STRANGER else None
        answer = self._told(number) or self._lawful(number, full, now)
        if number != STRANGER and answer.status < 400:  # noqa: PLR2004 - HTTP's own border
            self._spend(number, model, now, tokens)
        self._seen.append(Seen(number, model, now, tokens, answer, over=full is not None))
        return answer

    # -- what it saw

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Every request, in the order in which they came."""
        return tuple(self._seen)

    @property
    def requests(self) -> Counter[str]:
        """How many requests came, by the number of their key."""
        return Counter(seen.key for seen in self._seen)

    @property
    def over(self) -> tuple[Seen, ...]:
        """The requests that came though their key had nothing left."""
        return tuple(seen for seen in self._seen if seen.over)

    def used(self, key: str, model: str) -> tuple[int, int, int]:
        """Answer what a key used for a model: requests and tokens of this minute, requests of this day."""
        now = self._now()
        minute = list(self._since(key, model, self._minute(now)))
        return len(minute), sum(tokens for _, tokens in minute), len(list(self._since(key, model, self._midnight(now))))

    # -- inside

    def _known(self, number: str | None) -> str | None:
        if number is not None and number not in {*self._keys.values(), STRANGER}:
            expected = ", ".join(sorted(set(self._keys.values()))) or "none, there are no keys"
            message = f"expected the number of a key ({expected}), found a name that is none"
            raise ValueError(message)
        return number

    def _told(self, number: str) -> Answer | None:
        for whose in (number, None):
            if self._next[whose]:
                return self._next[whose].popleft()
        return self._always.get(number) or self._always.get(None)

    def _lawful(self, number: str, full: float | None, now: float) -> Answer:
        if number == STRANGER:
            return Answer(status=401)
        if full is None:
            return Answer()
        return Answer(status=429, retry_after=max(1.0, math.ceil(full - now)) if self._tells else None)

    def _full_until(self, number: str, model: str, now: float) -> float | None:
        """Answer until when a key has nothing left for a model; None: it has something left."""
        limits = self._limits.get(model)
        if limits is None:
            return None
        requests, tokens, daily = self.used(number, model)
        if _reached(daily, limits.rpd):
            return self._midnight(now, days=1)
        if not _reached(requests, limits.rpm) and not _reached(tokens, limits.tpm):
            return None
        first = next(iter(self._since(number, model, self._minute(now))), (now, 0))[0]
        return (self._minute(now) if self._window == "fixed" else first) + MINUTE

    def _spend(self, number: str, model: str, now: float, tokens: int) -> None:
        spent = self._spent[number, model]
        while spent and spent[0][0] < self._midnight(now) - MINUTE:
            spent.popleft()
        spent.append((now, tokens))

    def _since(self, number: str, model: str, begin: float) -> Iterator[tuple[float, int]]:
        return ((at, tokens) for at, tokens in self._spent[number, model] if at >= begin)

    def _minute(self, now: float) -> float:
        if self._window == "fixed":
            return now - now % MINUTE
        return math.nextafter(now - MINUTE, math.inf)  # what came exactly a minute ago is over

    def _midnight(self, now: float, *, days: int = 0) -> float:
        """Answer when the day began, or begins so many days later."""
        today = datetime.fromtimestamp(now, self._zone) + timedelta(
            days=days
        )  # by the calendar, also over a DST change
        return today.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def numbered(**lists: Iterable[str]) -> dict[str, str]:
    """Answer the number of each key of some lists, such as ``key=pool.api_keys, vertex=pool.vertex_api_keys``."""
    numbers: dict[str, str] = {}
    for name, keys in lists.items():
        for number, key in enumerate(dict.fromkeys(keys), start=1):
            numbers.setdefault(key, f"{name}-{number}")
    return numbers


def _reached(used: int, limit: int | None) -> bool:
    return limit is not None and used >= limit
