"""The pool that a factory is given."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Limits(BaseModel):
    """Limits of one model: requests and tokens a minute, requests a day; None is unlimited, 0 is closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rpm: int | None = Field(default=None, ge=0)
    tpm: int | None = Field(default=None, ge=0)
    rpd: int | None = Field(default=None, ge=0)


class Pool(BaseModel):
    """What a factory gets: keys, limits, thresholds (design: *Target and factory*).

    The keys are canaries made by the harness; a real one never enters. Its repr shows how many there are, never one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_keys: tuple[str, ...] = Field(default=(), repr=False)
    vertex_api_keys: tuple[str, ...] = Field(default=(), repr=False)
    limits: dict[str, Limits] = Field(default_factory=dict)
    default_model: str = Field(default="m1", min_length=1)
    max_failures: int = Field(default=3, ge=1)
    max_retries: int = Field(default=3, ge=0)
    paid_key: str = Field(default="", repr=False)
    storage: Path | None = None
    limits_source: str | None = None

    def __repr__(self) -> str:
        """Show the counts instead of the keys."""
        return (
            f"Pool(api_keys=<{len(self.api_keys)} keys>, vertex_api_keys=<{len(self.vertex_api_keys)} keys>, "
            f"limits={self.limits!r}, default_model={self.default_model!r}, max_failures={self.max_failures}, "
            f"max_retries={self.max_retries}, storage={self.storage!r}, limits_source={self.limits_source!r})"
        )

    __str__ = __repr__

    def as_secrets(self) -> Pool:
        """Answer the same pool with its keys as `SecretStr`, for a backend that declares ``secret_keys``."""
        names = ("api_keys", "vertex_api_keys")
        wrapped = {name: tuple(SecretStr(key) for key in getattr(self, name)) for name in names}
        return self.model_copy(update={**wrapped, "paid_key": SecretStr(self.paid_key)})
