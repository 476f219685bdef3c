"""Running a coroutine of the harness around a synchronous backend: without an event loop, since none is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


def drive(coroutine: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine answers
    """Run a coroutine that need not suspend; where it does, that is the backend's fault and raised into it."""
    try:
        coroutine.send(None)
        for _ in range(100):
            coroutine.throw(RuntimeError("a synchronous backend answered an awaitable that needs an event loop"))
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    message = "a coroutine of the backend cannot be ended"
    raise RuntimeError(message)
