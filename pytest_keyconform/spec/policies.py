"""What a backend declares where the audits contradict each other or the field differs (catalogue: *Policies*)."""

from __future__ import annotations

import re
import zoneinfo
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Steps = Annotated[tuple[Seconds, ...], Field(min_length=1)]
ErrorPattern = tuple[str, str]  # class name, message pattern (a regular expression)


class Policies(BaseModel):
    """The declared policies of a backend; the default of each field is what is judged where nothing is declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    exhaustion: Literal["sentinel", "fallback", "typed-error", "blocks"] = "sentinel"
    sentinel: Literal["", None] = ""  # noqa: PYI061 - a complaint names None too
    deadline: Seconds = 5.0
    errors: tuple[type[BaseException] | ErrorPattern, ...] = ()
    selection: Literal["round-robin", "least-used", "most-left", "random"] = "round-robin"
    tenure: Literal["rotation", "lease"] = "rotation"
    release: Literal["explicit", "on-report"] = "explicit"
    lease_ttl: Seconds | None = None
    counted_on: Literal["record", "acquire", "none"] = "record"
    failures: Literal["threshold", "immediate"] = "threshold"
    success: Literal["keeps", "clears"] = "keeps"
    quota_recovery: Literal["minute", "day"] | Seconds | Steps | None = "minute"
    strike_recovery: Seconds | Steps | None = None
    auth_recovery: Seconds | None = None
    request_errors: Literal["free", "counted"] = "free"
    error_usage: Literal["counts", "free"] = "counts"
    unknown_model: Literal["on-the-fly", "fallback-model", "reject"] = "on-the-fly"
    unknown_key: Literal["ignore", "typed-error"] = "ignore"
    both_pools: Literal["separate", "reject"] = "separate"
    empty_pools: Literal["warn", "refuse"] = "warn"
    reload: Literal["preserve", "reset"] = "preserve"
    model_match: Literal["prefix", "exact"] = "prefix"
    day_zone: str = "America/Los_Angeles"
    minute_window: Literal["fixed", "rolling", "bucket"] = "fixed"
    durability: Literal["none", "write-through"] | Seconds = "none"
    shared: bool | None = None
    staleness: Seconds | None = None
    secret_keys: bool = False

    @field_validator("day_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        if zone == "rolling":
            return zone
        try:
            zoneinfo.ZoneInfo(zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
            message = "expected 'rolling' or an IANA zone such as 'Europe/Berlin'"
            raise ValueError(message) from error
        return zone

    @field_validator("errors")
    @classmethod
    def _readable_patterns(
        cls, errors: tuple[type[BaseException] | ErrorPattern, ...]
    ) -> tuple[type[BaseException] | ErrorPattern, ...]:
        for error in errors:
            if isinstance(error, tuple):
                try:
                    re.compile(error[1])
                except re.error as trouble:
                    message = f"expected a regular expression for the message of {error[0]}: {trouble}"
                    raise ValueError(message) from trouble
        return errors

    @field_validator("errors", mode="before")
    @classmethod
    def _several_errors(cls, errors: object) -> object:
        pattern = isinstance(errors, tuple | list) and bool(errors) and all(isinstance(one, str) for one in errors)
        if isinstance(errors, type) or pattern:
            message = "expected a tuple of classes and of (class name, message pattern), such as (NoKeyLeft,)"
            raise ValueError(message)
        return errors

    @property
    def serves_several(self) -> bool:
        """Whether several instances may serve one storage."""
        return self.durability != "none" if self.shared is None else self.shared

    @classmethod
    def of(cls, declared: Policies | dict[str, Any] | None) -> Self:
        """Read what a factory carries: a `Policies`, a dict of its fields, or nothing."""
        if declared is None:
            return cls()
        return cls.model_validate(declared.model_dump() if isinstance(declared, Policies) else declared)

    def declared(self) -> dict[str, Any]:
        """Answer the policies that differ from their defaults, as plain values for a report."""
        plain: dict[str, Any] = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value != field.default:
                plain[name] = [_error_name(error) for error in value] if name == "errors" else value
        return plain


def _error_name(error: type[BaseException] | ErrorPattern) -> str:
    return error.__name__ if isinstance(error, type) else ": ".join(error)
