"""Strategies that decide which ready task runs at each choice point.

A strategy is a `Scheduler`: one file each, replay included. Whatever a strategy does can be written as a
`Schedule`, so that it can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from pytest_keyconform.schedule import Schedule

Chooser: TypeAlias = Callable[[Sequence[int], int | None], int]


class Scheduler(Protocol):
    """Decides the order of one execution after the other.

    ::

        while scheduler.begin():
            loop.run(main(), scheduler.choose)
            ... scheduler.schedule() ...
    """

    def begin(self) -> bool:
        """Prepare the next execution; False: there is nothing left to try."""
        ...

    def choose(self, ready: Sequence[int], current: int | None) -> int:
        """Answer the index of the one to run among the ready, the one ready longest first.

        ``ready`` are numbers that tell tasks apart within an execution (-1: a callback of no task);
        ``current`` is the index of the task that ran last, if it is still ready. Called only where at least
        two are ready.
        """
        ...

    def schedule(self) -> Schedule:
        """Answer the schedule of the execution just run; replaying it makes the same choices."""
        ...
