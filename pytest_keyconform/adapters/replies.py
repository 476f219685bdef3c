"""What a request to another process may carry, and what the reply to it says."""

from __future__ import annotations

import functools
import math
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from pytest_keyconform.errors import Unsupported, WireError
from pytest_keyconform.spec.wire import Mistake

BACKEND: Final = "backend"  # the package that what is made for a backend elsewhere is said to come from
_ELSEWHERE: Final = "elsewhere"  # likewise, what nobody agreed to
_LAWFUL_FOR_BAD_INPUT: Final = {"TypeError": TypeError, "ValueError": ValueError}
_LONGEST: Final = 80
T = TypeVar("T", bound=BaseModel)


def checked(reply: object, request: dict[str, object]) -> None:
    """Raise `WireError` for what is no answer to this request."""
    if not isinstance(reply, dict):
        raise WireError(f"expected an object as the answer, found {_shown(reply)}")
    if reply.get("seq") != request["seq"]:
        raise WireError(f"expected an answer to seq {request['seq']}, found one to seq {_shown(reply.get('seq'))}")
    if "error" in reply:
        read(Mistake, reply["error"], "the error in its answer")
    elif "ok" not in reply and reply.get("unsupported") is not True:
        raise WireError(f"expected ok, error or unsupported in the answer, found {', '.join(map(_shown, reply))}")


def answer_in(reply: Any) -> object:  # noqa: ANN401 - checked
    """Answer what a reply says; raises the error that it tells of, or `Unsupported`."""
    if "error" in reply:
        mistake = Mistake.model_validate(reply["error"])
        lawful = None if mistake.typed else _LAWFUL_FOR_BAD_INPUT.get(mistake.type)
        raise (lawful or _kind(mistake.type, typed=mistake.typed))(mistake.message)
    if "ok" not in reply:
        raise Unsupported("the backend does not claim it")
    return reply["ok"]


def read(model: type[T], told: object, called: str) -> T:
    """Read what was told; raises `WireError` where it cannot be used, and says what of it."""
    try:
        return model.model_validate(told)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise WireError(f"{called} cannot be used: {f'{where}: ' if where else ''}{problem['msg']}") from None


@functools.lru_cache(maxsize=256)
def _kind(name: str, *, typed: bool) -> type[Exception]:
    """Make the class of an error of a backend elsewhere; one that is typed comes from its own package."""
    plain = name.encode("ascii", "replace").decode().replace("\0", "?")[:_LONGEST]
    return type(plain, (Exception,), {"__module__": BACKEND if typed else _ELSEWHERE})


def unsendable(value: object) -> str:
    """Say what in a value JSON cannot carry; "" where it can carry all of it."""
    if isinstance(value, str):
        return "" if value.isascii() or _is_unicode(value) else "a lone surrogate"
    if isinstance(value, list | tuple):
        return next(filter(None, map(unsendable, value)), "")
    if isinstance(value, dict):
        strange = (f"the name {name!r}" for name in value if not isinstance(name, str))
        return next(strange, "") or unsendable([*value, *value.values()])
    if isinstance(value, float) and not math.isfinite(value):
        return f"the number {value}"
    return "" if isinstance(value, int | float | None) else f"a {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
