"""A user's functions in threads under control."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_keyconform.engine.open.program import NO_STATE, Outcome
from pytest_keyconform.engine.threads.runner import place
from pytest_keyconform.engine.threads.turns import Ended
from pytest_keyconform.execution import Moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.open.program import UserProgram
    from pytest_keyconform.engine.search import Scheduler
    from pytest_keyconform.engine.threads.standing import Controlled
    from pytest_keyconform.engine.threads.turns import Turns
    from pytest_keyconform.engine.threads.world import ThreadWorld

CLIENT = "client-"


class ThreadPrograms:
    """Runs programs of plain functions, in a world that is entered."""

    name = "threads"

    def __init__(self, clock: VirtualClock, world: ThreadWorld, *, max_steps: int) -> None:
        """Run them on this clock, in this world."""
        self._clock = clock
        self._world = world
        self._max_steps = max_steps

    def run(self, program: UserProgram, scheduler: Scheduler, *, observed: bool = False) -> Outcome:
        """Run one execution."""
        self._clock.reset()
        moments: list[Moment] = []
        count = len(program.operations)
        results: list[object] = [None] * count
        errors: list[BaseException | None] = [None] * count
        stuck, state = None, NO_STATE

        def client(place: int) -> Callable[[], None]:
            def body() -> None:
                try:
                    results[place] = program.operations[place](*program.arguments(state))
                except Exception as error:  # noqa: BLE001 - whatever an operation raises is judged
                    errors[place] = error
                if observed:
                    told = f"raised {errors[place]!r}" if errors[place] else repr(results[place])
                    moments.append(Moment(place + 1, "return", told))

            return body

        with self._world.turns(scheduler.choose, max_points=self._max_steps) as turns:
            try:
                with program.state() as state:
                    if observed:
                        turns.switched = _observer(moments)
                        moments += [Moment(n, "call", f"{program.named(n)}()") for n in range(1, count + 1)]
                    names = [f"{CLIENT}{number}" for number in range(1, count + 1)]
                    self._world.run(turns, [client(place) for place in range(count)], names, calls=False)
            except Ended:
                stuck = told_of(turns)
        return Outcome(
            state=state,
            results=tuple(results),
            errors=tuple(errors),
            schedule=scheduler.schedule(),
            stuck=stuck,
            moments=tuple(moments),
            overlapped=turns.overlapped,
        )


def _observer(moments: list[Moment]) -> Callable[[Controlled], None]:
    def observe(thread: Controlled) -> None:
        where, line = place(sys._getframe(1))  # noqa: SLF001 - the frames of who gives its turn away
        if where and thread.name.startswith(CLIENT):
            moments.append(Moment(int(thread.name.removeprefix(CLIENT)), "suspend", line, where))

    return observe


def told_of(turns: Turns) -> str:
    """Say who of an execution that could not go on waits for what, and where."""
    if turns.standstill is None:
        return "it was ended"
    frames = sys._current_frames()  # noqa: SLF001 - the only way to see where the others stand
    parts = []
    for thread in turns.standstill.threads:
        where = place(frames.get(thread.ident))[0] or "a place unknown"
        parts.append(f"{thread.name} waits for {turns.standstill.told[thread.number]} at {where}")
    return f"{turns.standstill.kind}: {'; '.join(parts)}"
