"""What a deployment may choose: one frozen value, checked when it is made."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Literal

from .errors import ConfigurationError

Exhaustion = Literal["sentinel", "fallback", "typed-error", "blocks"]
Selection = Literal["round-robin", "least-used", "most-left", "random"]
MinuteWindow = Literal["fixed", "rolling", "bucket"]
Recovery = float | tuple[float, ...] | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices the audits leave open; the defaults are the recommended ones.

    Times are seconds. A recovery is a number of seconds, a tuple of them (one for each time in a row, the
    last one repeats) or None (by hand only). Raises ``ConfigurationError`` on a value that means nothing.
    """

    exhaustion: Exhaustion = "sentinel"
    """What an acquire does when nothing is usable (000-3, 000-28)."""
    sentinel: str | None = ""
    """What a declared "no key" looks like: ``""`` or None."""
    deadline: float = 5.0
    """How long an acquire may wait under ``blocks``."""
    selection: Selection = "round-robin"
    """Which of the usable keys is served (000-7, 004-1)."""
    tenure: Literal["rotation", "lease"] = "rotation"
    """Whether a served key stays exclusive until it is released."""
    release: Literal["explicit", "on-report"] = "explicit"
    """Whether a report gives the lease back."""
    lease_ttl: float | None = None
    """When an abandoned lease is free again."""
    counted_on: Literal["record", "acquire", "none"] = "record"
    """Where requests are counted; under ``acquire`` a report adds tokens only."""
    failures: Literal["threshold", "immediate"] = "threshold"
    """Whether ``max_failures`` strikes take a key out, or one."""
    success: Literal["keeps", "clears"] = "keeps"
    """Whether a success zeroes the strikes."""
    quota_recovery: Literal["minute", "day"] | Recovery = "minute"
    """How long a 429 mark lasts where the provider does not say (004-7)."""
    strike_recovery: Recovery = None
    """When a struck-out key comes back by itself."""
    auth_recovery: float | None = None
    """When a key comes back by itself after 401 or 403."""
    request_errors: Literal["free", "counted"] = "free"
    """Whether 400, 404, 413 and 422 are a strike (000-1)."""
    error_usage: Literal["counts", "free"] = "counts"
    """Whether the record of a failed call consumes requests (000-4)."""
    unknown_model: Literal["on-the-fly", "fallback-model", "reject"] = "on-the-fly"
    """What a model that matches no configured one is (000-10, 000-11, 000-29)."""
    unknown_key: Literal["ignore", "typed-error"] = "ignore"
    """What a report about a key of no pool does (000-9)."""
    both_pools: Literal["separate", "reject"] = "separate"
    """Whether one key may be in both pools (000-9)."""
    empty_pools: Literal["warn", "refuse"] = "warn"
    """Whether a manager without any key opens (000-20)."""
    reload: Literal["preserve", "reset"] = "preserve"
    """Whether the keys that survive a reload keep what is known of them (000-5)."""
    model_match: Literal["prefix", "exact"] = "prefix"
    """How a model name finds its configured entry (000-10)."""
    day_zone: str = "America/Los_Angeles"
    """The IANA zone whose midnight ends the day, or ``rolling`` for the last 24 hours (000-19)."""
    minute_window: MinuteWindow = "fixed"
    """Clock minutes, the last 60 seconds, or a bucket that refills evenly."""

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            found = getattr(self, name)
            if found not in allowed:
                message = f"{name} must be one of {', '.join(map(repr, allowed))}, not {found!r}"
                raise ConfigurationError(message)
        if self.sentinel not in ("", None):
            message = "sentinel must be '' or None: any other answer could be taken for a key"
            raise ConfigurationError(message)
        for name in ("deadline", "lease_ttl", "auth_recovery", "strike_recovery", "quota_recovery"):
            _check_seconds(name, getattr(self, name))


def _check_seconds(name: str, found: object) -> None:
    """Refuse what is no duration: a number above zero, steps of them, None or a named window."""
    if name == "quota_recovery" and found in ("minute", "day"):
        return
    steps: typing.Iterable[object] = found if isinstance(found, tuple) else (found,)
    stepped = name in ("quota_recovery", "strike_recovery")
    if found == () or (isinstance(found, tuple) and not stepped) or not all(map(_is_duration, steps)):
        message = f"{name} must be seconds above zero{', steps of them' if stepped else ''} or None, not {found!r}"
        raise ConfigurationError(message)
    if name == "deadline" and found is None:
        message = "deadline must be a number of seconds: a wait without a bound is refused"
        raise ConfigurationError(message)


def _is_duration(found: object) -> bool:
    if found is None:
        return True
    return isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) and found > 0


def _choices() -> dict[str, tuple[str, ...]]:
    """Read the allowed words from the annotations, so that each is written once."""
    hints = typing.get_type_hints(Options)
    literals = {name: hint for name, hint in hints.items() if typing.get_origin(hint) is Literal}
    return {name: typing.get_args(hint) for name, hint in literals.items()}


_CHOICES = _choices()
