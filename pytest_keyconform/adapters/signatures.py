"""What a signature promises: whether a call is to be awaited, and what it answers then."""

from __future__ import annotations

import functools
import inspect
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AWAITED: Final = re.compile(r"(?:[\w.]*\.)?(Awaitable|Coroutine|Future|Task)\[(?P<inside>.*)\]")
_ITERATED: Final = re.compile(r"(?:[\w.]*\.)?Async(Iterator|Iterable|Generator)\b")


def signature_of(method: Callable[..., object]) -> inspect.Signature:
    """Answer a signature, evaluated where it can be; raises TypeError or ValueError where there is none."""
    try:
        return inspect.signature(method, eval_str=True)
    except Exception:  # noqa: BLE001 - annotations run when they are evaluated; one that fails stays text
        return inspect.signature(method)


def answer_text(signature: inspect.Signature) -> str:
    """Answer the annotation of what is answered once it is awaited, as text; "" where there is none."""
    text = _annotation(signature)
    awaited = _AWAITED.fullmatch(text)
    return _last_of(awaited["inside"]) if awaited else text


def is_async(method: Callable[..., object], signature: inspect.Signature | None = None) -> bool:
    """Tell whether a call answers an awaitable or an asynchronous iterator, without calling it."""
    if any(_is_async_function(layer) for layer in _layers(method)):
        return True
    text = "" if signature is None else _annotation(signature)
    return bool(_AWAITED.fullmatch(text) or _ITERATED.match(text))


def _is_async_function(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _layers(method: object) -> Iterator[object]:
    """Yield a method, what it is bound from, wraps, or calls: down to the plain function."""
    for _ in range(20):
        yield method
        wrapped = getattr(method, "__wrapped__", None)
        if isinstance(method, functools.partial):
            method = method.func
        elif inspect.ismethod(method):
            method = method.__func__
        elif wrapped is not None:
            method = wrapped
        elif inspect.isroutine(method) or isinstance(method, type) or not callable(method):
            return
        else:
            method = type(method).__call__


def _annotation(signature: inspect.Signature) -> str:
    annotation: Any = signature.return_annotation
    if annotation is signature.empty:
        return ""
    return annotation.strip() if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _last_of(text: str) -> str:
    """Answer the last of the arguments between brackets: what a ``Coroutine[Any, Any, X]`` answers."""
    depth = 0
    for index in range(len(text) - 1, -1, -1):
        depth += {"]": 1, "[": -1}.get(text[index], 0)
        if depth == 0 and text[index] == ",":
            return text[index + 1 :].strip()
    return text.strip()
