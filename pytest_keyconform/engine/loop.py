"""An event loop without a selector, on a virtual clock, where a chooser decides which task runs next."""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import sys
from _thread import get_ident
from asyncio import _get_running_loop, _set_running_loop
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from pytest_keyconform.engine.abandoning import threads_left
from pytest_keyconform.engine.callbacks import Callbacks
from pytest_keyconform.engine.clock import MICROSECONDS
from pytest_keyconform.engine.handles import NeedsRealLoop
from pytest_keyconform.engine.waiting import Pending, of_asyncio, pending, place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence

    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.search import Chooser

__all__ = ["ControlledLoop", "Deadlock", "Livelock", "NeedsRealLoop", "Pending", "Stalled", "Stuck"]

T = TypeVar("T")

_CLEANING_STEPS = 500  # in which the tasks of one execution have to end once they are cancelled


class Stuck(Exception):
    """The main task will not finish. ``pending`` are the tasks that are not done, and what each waits for."""

    def __init__(self, tasks: tuple[Pending, ...]) -> None:
        super().__init__("; ".join(map(str, tasks)))
        self.pending = tasks


class Deadlock(Stuck):
    """Nothing is ready and no timer is set."""


class Livelock(Stuck):
    """More steps were taken, or more time was let pass, than any sound execution needs."""


class Stalled(Stuck):
    """What comes from outside of the loop did not come. ``pending`` are the tasks that wait for it."""


class ControlledLoop(Callbacks):
    """Runs what an asyncio backend in memory does; one loop serves one execution.

    ``exploring``: only while it is True is the chooser asked; otherwise the one ready longest runs, as in
    asyncio. ``max_steps``: callbacks that one call of `run` may take. ``horizon``: virtual seconds that the
    loop may let pass by itself, waiting for timers, before it says `Livelock`; raise it before a wait that is
    meant to be long. ``observer`` is told after each step of a task: the task, the backend ``file:line`` where
    it waits now, and that source line; both are empty once it is done. ``ending`` is
    called before what is still going on is ended. ``noise``: messages of the default exception handler.
    ``steps``: callbacks that were run.
    """

    def __init__(self, clock: VirtualClock, *, max_steps: int = 20_000, horizon: float = 7200.0) -> None:
        super().__init__(clock)
        self.max_steps = max_steps
        self.horizon = horizon
        self.exploring = False
        self.observer: Callable[[asyncio.Task[Any], str, str], None] | None = None
        self.ending: Callable[[], None] | None = None
        self.steps = 0
        self._waited = 0  # ticks of the clock
        self._last = -1

    def run(self, main: Coroutine[Any, Any, T], chooser: Chooser | None = None) -> T:
        """Run until ``main`` is done and answer its result; whatever is still going on then is ended.

        Raises what ``main`` raises, `Deadlock` or `Livelock` if it cannot finish, and `NeedsRealLoop`.
        """
        outside = self._enter()
        try:
            task: asyncio.Task[T] = self.create_task(main, name="main")
            result = self._finished(task, chooser)
        finally:
            try:
                self._clear()
            finally:
                self._leave(*outside)
        return result

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """Run until a future or a coroutine is done, the one ready longest first; leaves other tasks alone.

        Raises what it raises, `Deadlock`, `Livelock` and `NeedsRealLoop`.
        """
        outside = self._enter()
        try:
            return self._finished(asyncio.ensure_future(cast("Awaitable[T]", future), loop=self), None)
        finally:
            self._leave(*outside)

    def run_forever(self) -> None:
        """Run until `stop` is called; raises `Deadlock` if there is nothing to run before that."""
        outside = self._enter()
        try:
            self._drive(lambda: False, None)
        finally:
            self._leave(*outside)

    def end(self) -> None:
        """End whatever is still going on, as `run` does when its main task is done."""
        outside = self._enter()
        try:
            self._clear()
        finally:
            self._leave(*outside)

    def stop(self) -> None:
        """Stop after this round."""
        self._stopping = True

    def is_running(self) -> bool:
        """Whether a run is going on."""
        return self._running

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Drop what is scheduled; raises RuntimeError while running."""
        if self._running:
            raise RuntimeError("Cannot close a running event loop")
        self._closed = True
        self.ready.clear()
        self.keys.clear()
        self._timers.clear()

    def _enter(self) -> tuple[asyncio.AbstractEventLoop | None, Any]:
        if self._running or self._closed:
            raise RuntimeError(f"This event loop is {'closed' if self._closed else 'already running'}")
        outside = _get_running_loop(), sys.get_asyncgen_hooks()
        self._running, self._stopping, self._quiet = True, False, False
        self._thread = get_ident()
        _set_running_loop(self)
        sys.set_asyncgen_hooks(firstiter=self._begun, finalizer=self._finalize)
        return outside

    def _leave(self, outer: asyncio.AbstractEventLoop | None, hooks: Any) -> None:  # noqa: ANN401 - of no public type
        _set_running_loop(outer)
        sys.set_asyncgen_hooks(*hooks)
        self._running, self._quiet = False, True

    def _finished(self, task: asyncio.Future[T], chooser: Chooser | None) -> T:
        self._drive(task.done, chooser)
        if self.needs_real_loop is not None:
            raise NeedsRealLoop(self.needs_real_loop)
        if not task.done():
            raise RuntimeError("Event loop stopped before Future completed.")
        return task.result()

    def _drive(self, done: Callable[[], bool], choose: Chooser | None, limit: int | None = None) -> None:
        """Run callbacks until ``done``, in rounds as asyncio does; timers and the end are looked for between.

        ``limit`` is how many; None: ``max_steps``, which may be raised meanwhile.
        """
        before = self.steps
        while not (done() or self._stopping):
            if self._timers or not self.ready:
                self._pass_time()
            self._round(choose)
            if self.steps - before > (self.max_steps if limit is None else limit):
                raise Livelock(self.pending())

    def _round(self, choose: Chooser | None) -> None:
        """Run as many callbacks as are ready now. Written for speed: this is most of the time of a search."""
        ready, keys, observer = self.ready, self.keys, self.observer
        self.steps += len(ready)
        for _ in range(len(ready)):
            index = self._chosen(choose) if choose is not None and len(ready) > 1 and self.exploring else 0
            handle, key = ready.pop(index), keys.pop(index)
            if key >= 0:
                self._last = key
            try:
                handle.context.run(handle.callback, *handle.arguments)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - as asyncio does; no task's own
                message = f"Exception in callback {handle.callback!r}"
                self.call_exception_handler({"message": message, "exception": error, "handle": handle})
            if observer is not None and key >= 0:
                observer(self._tasks[key], *place(self._tasks[key]))
            if not ready:  # some were cancelled meanwhile, or this was the last
                return

    def _chosen(self, choose: Chooser) -> int:
        keys, last = self.keys, self._last
        if -1 not in keys or keys.count(-1) == 1:
            return choose(keys, keys.index(last) if last in keys else None)
        # Callbacks of no task keep their order, as asyncio promises: only the first of them is offered.
        first = keys.index(-1)
        places = [place for place, key in enumerate(keys) if key >= 0 or place == first]
        offered = [keys[place] for place in places]
        current = offered.index(last) if last in offered else None
        return places[choose(offered, current)] if len(offered) > 1 else first

    def _pass_time(self) -> None:
        """Make due timers ready; where nothing is ready, let time pass until one is due."""
        timers, clock = self._timers, self._clock
        while timers and timers[0][2].over:
            heapq.heappop(timers)
        if not self.ready:
            if not timers or self._has_threads():  # what a thread is about to answer must not be overtaken
                self._give_up()
            self._waited += max(0, timers[0][0] - clock.ticks)
            clock.ticks = max(clock.ticks, timers[0][0])
            if self._waited > self.horizon * MICROSECONDS:
                raise Livelock(self.pending())
        while timers and timers[0][0] <= clock.ticks:
            handle = heapq.heappop(timers)[2]
            if not handle.over:
                self.ready.append(handle)
                self.keys.append(self._number_of(getattr(handle.callback, "__self__", None)))

    def _give_up(self) -> NoReturn:
        if self._has_threads() or threads_left():
            self._refuse("waiting for a thread of the backend's own")
        if self.needs_real_loop is not None:  # the thread told it between the round and here, and ended
            self._refuse(self.needs_real_loop)
        raise Deadlock(self.pending())

    def timers_of_others(self) -> int:
        """Count the timers that are set, but for those that asyncio itself sets for a sleep or a time-out."""
        return sum(not timer.over and not of_asyncio(timer.callback) for _, _, timer in self._timers)

    def pending(self) -> tuple[Pending, ...]:
        """Tell of each task that is not done what it waits for, and where."""
        return pending(self._tasks)

    def _clear(self) -> None:
        """End every task in a bounded number of steps: nothing of this execution reaches the next."""
        left = [task for task in self._tasks if not task.done() or getattr(task, "_log_traceback", False)]
        self._note_unretrieved(left)
        if self.ending is not None:
            self.ending()
        self._quiet, self.observer, self.exploring = True, None, False
        if left or self._asyncgens is not None:
            for _ in range(3):  # who catches a cancellation and goes on is cancelled again
                self._cancel([task for task in self._tasks if not task.done()])
            self._end(self.create_task(self.shutdown_asyncgens()).done)
            for task in self._tasks:
                _retire(task)
        for scheduled in (self.ready, self.keys, self._timers, self._tasks, self._numbers):
            scheduled.clear()

    def note_dead(self) -> None:
        """Report each task that has died of an exception nobody has looked at, before its cancelling hides it."""
        self._note_unretrieved([task for task in self._tasks if task.done() and getattr(task, "_log_traceback", False)])

    def _note_unretrieved(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """Report now what asyncio reports when a task is collected, maybe many executions later."""
        for task in tasks:
            if task.done():
                message = "Task exception was never retrieved"
                trouble = {"message": message, "exception": task.exception(), "future": task}
                self.call_exception_handler(trouble)

    def _cancel(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        self._end(lambda: all(task.done() for task in tasks))

    def _end(self, done: Callable[[], bool]) -> None:
        self._stopping, self._waited = False, 0
        with suppress(Exception, NeedsRealLoop, SystemExit):
            self._drive(done, None, _CLEANING_STEPS)


def _retire(task: asyncio.Task[Any]) -> None:
    """See to it that a task neither runs again nor is reported when it is collected."""
    if task.done():
        task._log_traceback = False  # noqa: SLF001 - nobody will retrieve it
        return
    task._log_destroy_pending = False  # type: ignore[attr-defined] # noqa: SLF001 - as asyncio.gather does
    coroutine = task.get_coro()
    try:
        if coroutine is not None:
            coroutine.close()
    except (Exception, SystemExit):  # noqa: BLE001 - it awaits again, or its `finally` raises
        # Collected, it would be closed again, outside of any loop; and a backend's `while True` around `except
        # BaseException` then never ends, not even at the interpreter's exit. So it is never collected.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))
