"""A coroutine that tells when it was suspended so many times: where a call is to be cancelled."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class Suspending(Coroutine[Any, Any, Any]):
    """Runs a coroutine as it is and calls ``then`` once, as it suspends for the time of this number, from 1.

    Rounds of the loop would not do: one suspension may last for many of them, or for a timer.
    """

    __slots__ = ("_coroutine", "_left", "_then")  # slots: what looks for the place of a wait follows references

    def __init__(self, coroutine: Coroutine[Any, Any, Any], number: int, then: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._left = number
        self._then = then

    def send(self, value: object) -> Any:  # noqa: ANN401 - whatever it awaits
        """Go on until the next suspension; raises StopIteration with the result at the end."""
        return self._suspended(self._coroutine.send(value))

    def throw(self, *error: Any) -> Any:  # noqa: ANN401 - a class or an instance, as for any coroutine
        """Raise an error where it waits, and go on until the next suspension."""
        return self._suspended(self._coroutine.throw(*error))

    def close(self) -> None:
        """End it."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        """Await it without counting."""
        return self._coroutine.__await__()

    def _suspended(self, awaited: object) -> object:
        self._left -= 1
        if self._left == 0:
            self._then()
        return awaited
