"""What is read from an answer, and what a careless caller does to answers and to the lists it gave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pytest_keyconform.adapters.base import Lease, Usage
from pytest_keyconform.operation import Invocation

if TYPE_CHECKING:
    from pytest_keyconform.adapters.keys import Keyring
    from pytest_keyconform.operation import Operation

_COUNTERS: Final = ("rpm", "tpm", "rpd")
_DEEPEST: Final = 40


def counted(usage: object) -> object:
    """Answer the counters of a usage, those the backend counts; anything else as it is.

    What a dict holds beside them is passed over; the type of what JSON does not take stands under ``not JSON``.
    """
    if isinstance(usage, Usage):
        return {name: getattr(usage, name) for name in _COUNTERS if getattr(usage, name) is not None}
    if not isinstance(usage, dict):
        return usage
    counters = {name: usage[name] for name in _COUNTERS if name in usage}
    strange = next((type(value).__name__ for value in list(usage.values()) if not _is_json(value)), None)
    return counters if strange is None else {**counters, "not JSON": strange}


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def mutate(answer: object, depth: int = _DEEPEST) -> None:
    """Empty an answer, and every dict and list in it, as a careless caller might."""
    inside = list(answer.values()) if isinstance(answer, Mapping) else answer
    if not isinstance(inside, list | tuple) or depth == 0:
        return
    for item in list(inside):
        mutate(item, depth - 1)
    if isinstance(answer, dict | list):
        answer.clear()


def spoil(lists: Sequence[list[Any]], keyring: Keyring) -> None:
    """Change lists that a backend was given, as their owner may at any time: they hold ``stranger-9`` alone."""
    for one in lists:
        one[:] = [keyring.reveal("stranger-9")]


def key_in(answer: object) -> object:
    """Answer the key of a lease; anything else as it is."""
    return answer.key if isinstance(answer, Lease) else answer


def marked(operation: Operation, **noticed: bool) -> Operation:
    """Answer the operation with what was noticed of the call among its arguments."""
    more = tuple((name, True) for name, seen in noticed.items() if seen)
    if not more:
        return operation
    invocation = operation.invocation
    return replace(operation, invocation=Invocation(invocation.name, (*invocation.arguments, *more)))
