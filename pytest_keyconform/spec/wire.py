"""What a backend in another process says of itself and of its mistakes (design: *Other processes*)."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PROTOCOL: Final = 1
PATH: Final = "/keyconform/v1"  # where an `http:` backend takes requests

# Not named by a hello: `open` is the factory, and the clock has a field. The rest JSON cannot carry: a function to
# call, an instance, an answer in pieces.
UNCARRIED: Final = frozenset({"open", "clock", "call", "instance", "stream"})


class Hello(BaseModel):
    """The answer to ``hello``.

    ``operations`` are names, or names with the parameters that each takes; a mere name claims all of them but
    ``retry_after``. ``clock``: it can be told what time it is.
    """

    model_config = ConfigDict(frozen=True, strict=True)

    protocol: Literal[1]
    name: str = ""
    version: str = ""
    operations: list[str] | dict[str, list[str]]
    policies: dict[str, Any] = Field(default_factory=dict)
    clock: bool = False


class Mistake(BaseModel):
    """What an operation raised over there; ``typed`` where a caller can have agreed to it."""

    model_config = ConfigDict(frozen=True, strict=True)

    type: str = Field(min_length=1)
    message: str = ""
    typed: bool = False
