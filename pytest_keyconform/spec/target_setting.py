"""One target as it was asked for, or as its table says."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Seconds: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Settings that take no name but their own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TargetSetting(Strict):
    """One target: its display name, the target string, the policies set for it, and what the user typed.

    Of one in another process also whether it may be on another machine (``network``), and the commands that start and
    stop it, with a URL or a command that tells when it is ready, and seconds.
    """

    name: str = Field(min_length=1)
    target: str = Field(min_length=1)
    policies: dict[str, Any] | None = None
    network: bool = False
    start: str | list[str] | None = None
    ready: str | list[str] | None = None
    stop: str | list[str] | None = None
    start_timeout: Seconds = 30.0
    stop_timeout: Seconds = 10.0
    asked: str

    def table(self) -> dict[str, Any]:
        """Answer what was said of it beside its target; empty where nothing was."""
        said = self.model_dump(exclude_unset=True, exclude={"name", "target", "asked"})
        return {"target": self.target, **said} if said else {}
