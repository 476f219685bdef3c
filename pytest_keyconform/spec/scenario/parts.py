"""What the models of a scenario share."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z][\w-]*$", description="The name of an answer, given with `as`.")]
Key = Annotated[
    str, Field(pattern=r"^[A-Za-z][\w-]*(:\w+)?$", description="A key of `given`, stranger-1, or new-1 (of a reload).")
]
PoolName = Literal["regular", "vertex"]


def _no_number(value: object) -> object:
    if isinstance(value, (int, float)):
        message = f"expected an instant such as 2026-03-09T07:00:00Z, found {value}"
        raise ValueError(message)  # noqa: TRY004 - pydantic lets a TypeError through
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_no_number)]
Scalar = str | int | float | bool | None


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def only_one(kind: type[BaseModel], value: Any) -> Any:  # noqa: ANN401 - whatever stands in a file
    """Let a mapping pass that has one name of a model; an empty value stands for an empty mapping."""
    if isinstance(value, BaseModel):
        return value
    names = [field.alias or name for name, field in kind.model_fields.items()]
    if not isinstance(value, dict) or len(value) != 1:
        found = ", ".join(map(str, value)) if isinstance(value, dict) and value else repr(value)
        message = f"expected a mapping with one name such as {names[0]}, found {found}"
        raise ValueError(message)
    (name, inside), *_ = value.items()
    if name not in names:
        message = f"expected one of {', '.join(names)}, found {name!r}{nearest(str(name), names)}"
        raise ValueError(message)
    return {name: {} if inside is None else inside}


def nearest(name: str, names: list[str]) -> str:
    """Answer ``; did you mean ...?`` where a name is near enough, else nothing."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
