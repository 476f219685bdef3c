"""A callback of the controlled loop, and what is raised where it cannot answer a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import asyncio
    import contextvars
    from collections.abc import Callable

    from pytest_keyconform.engine.callbacks import Callbacks

    _AnyHandle = asyncio.TimerHandle
else:
    _AnyHandle = object


class NeedsRealLoop(BaseException):  # no Exception: a backend must not take it for a failed connection
    """The backend called what only an operating system answers; ``call`` is its name."""

    def __init__(self, call: str) -> None:
        super().__init__(f"{call} needs a real event loop")
        self.call = call


class Handle(_AnyHandle):
    """A callback, at once or at a time. Not asyncio's own, whose making would cost more than the rest of a step."""

    __slots__ = ("arguments", "callback", "context", "loop", "over", "time")

    callback: Callable[..., object]
    arguments: tuple[Any, ...]
    context: contextvars.Context
    loop: Callbacks
    over: bool  # taken back
    time: float

    def get_context(self) -> contextvars.Context:
        """Answer the context that the callback runs in."""
        return self.context

    def when(self) -> float:
        """Answer when it is to run, on the scale of the loop's `time`."""
        return self.time

    def cancelled(self) -> bool:
        """Whether it was taken back."""
        return self.over

    def cancel(self) -> None:
        """Take the callback back; it is no choice any more."""
        if not self.over:
            self.over = True
            self.loop.forget(self)


new = cast("Callable[[type[Handle]], Handle]", object.__new__)  # a call of the class would take twice as long
