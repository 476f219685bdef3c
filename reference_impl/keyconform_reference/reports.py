"""What callers hand in and get back: outcomes, what they do to a key, and leases."""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING, NamedTuple

from .errors import InvalidInputError
from .keys import redact

if TYPE_CHECKING:
    from .keys import Pool
    from .options import Options


_CALLER_AT_FAULT = range(400, 500)


class Failure(NamedTuple):
    """What is told of a failed call: which retry it was, its status, the seconds to wait if given."""

    retries: int
    status: int | None = None
    retry_after: float | None = None


class Outcome(enum.Enum):
    """The classes of outcomes; the status decides, never words in a message (000-1)."""

    SUCCESS = "success"
    QUOTA = "quota"
    AUTH = "auth"
    REQUEST = "request"
    TRANSIENT = "transient"

    @classmethod
    def of_status(cls, status: int | None) -> Outcome:
        """Return the class of a failed call's HTTP status; None is a time-out or unknown.

        Raises ``InvalidInputError`` for what is no number.
        """
        if status is None:
            return cls.TRANSIENT
        _check_status(status)
        known = {429: cls.QUOTA, 401: cls.AUTH, 403: cls.AUTH, 408: cls.TRANSIENT}
        return known.get(status) or (cls.REQUEST if status in _CALLER_AT_FAULT else cls.TRANSIENT)

    @classmethod
    def of_record(cls, *, error: bool, error_type: str | None) -> Outcome:
        """Return the class of a recorded call; ``error_type`` is "429", "permanent" or anything else."""
        if not error:
            return cls.SUCCESS
        known = {"429": cls.QUOTA, "permanent": cls.AUTH, "401": cls.AUTH, "403": cls.AUTH}
        return known.get(str(error_type), cls.TRANSIENT)


class Effects(NamedTuple):
    """What one report does to its key, in one step; ``seen`` says that the call itself is remembered."""

    strike: bool = False
    mark: bool = False
    remove: bool = False
    clears: bool = False
    seen: bool = False
    requests: int = 0
    tokens: int = 0
    retry_after: float | None = None

    @property
    def stores(self) -> bool:
        """True if anything is stored."""
        return self.mark or self.remove or self.seen


class Carried(NamedTuple):
    """What an earlier version knew of a key and a model, as far as it still counts.

    Requests and tokens of this minute, requests of this day; until when a 429 and a refusal keep the key out, in
    seconds since the epoch (0: not at all, infinity: by hand); when it was used last.
    """

    requests: int
    tokens: int
    daily: int
    mark_until: float
    removed_until: float
    last_used: float | None


def effects_of_record(outcome: Outcome, tokens: int, options: Options) -> Effects:
    """Return what ``update_usage`` does (000-4, 000-29): no strikes, and usage as the options count it."""
    succeeded = outcome is Outcome.SUCCESS
    seen = succeeded or options.error_usage == "counts"
    return Effects(
        mark=outcome is Outcome.QUOTA,
        remove=outcome is Outcome.AUTH,
        clears=succeeded and options.success == "clears",
        seen=seen,
        requests=int(seen and options.counted_on == "record"),
        tokens=tokens if succeeded and options.counted_on != "none" else 0,
    )


def effects_of_failure(failure: Failure, options: Options) -> Effects:
    """Return what ``handle_api_failure`` does: mark, removal, strike or nothing, never usage (000-1)."""
    outcome = Outcome.of_status(failure.status)
    told = failure.retry_after if _is_wait(failure.retry_after) else None
    transient = outcome is Outcome.TRANSIENT
    return Effects(
        strike=transient or (outcome is Outcome.REQUEST and options.request_errors == "counted"),
        mark=outcome is Outcome.QUOTA or (transient and told is not None),
        remove=outcome is Outcome.AUTH,
        retry_after=told,
    )


def effects_of_stream(failure: Failure | None, options: Options, *, ended: bool) -> Effects:
    """Return what one request of a stream does: what its failure does, and usage, in one step (002-C3).

    One that its consumer left is counted like one that ``ended``, and clears nothing.
    """
    counted = effects_of_record(Outcome.SUCCESS if failure is None else Outcome.TRANSIENT, 0, options)
    if failure is None:
        return counted._replace(clears=counted.clears and ended)
    return effects_of_failure(failure, options)._replace(seen=counted.seen, requests=counted.requests)


def _check_status(found: object) -> None:
    if not isinstance(found, int) or isinstance(found, bool):
        message = f"status_code must be a number or None, not {type(found).__name__}"
        raise InvalidInputError(message)


def _is_wait(retry_after: object) -> bool:
    # A garbled Retry-After must not lose the failure it came with: it counts as not given.
    if not isinstance(retry_after, int | float) or isinstance(retry_after, bool):
        return False
    return math.isfinite(retry_after) and retry_after >= 0


class Lease:
    """A key that was handed out: ``key`` to call with, ``pool`` and ``model`` it was taken for.

    Under ``tenure="lease"`` it is exclusive until it is released, or until ``expires_at`` (seconds since the
    epoch, None for never). Shown without its key.
    """

    __slots__ = ("expires_at", "key", "model", "pool", "token")

    def __init__(self, key: str, pool: Pool, model: str, token: int, expires_at: float | None = None) -> None:
        self.key = key
        self.pool = pool
        self.model = model
        self.token = token
        self.expires_at = expires_at

    def __repr__(self) -> str:
        return f"<Lease {self.pool} {redact(self.key)} for {self.model!r}>"
