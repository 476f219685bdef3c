"""A real event loop on which the tasks still take turns as a chooser says, on a clock that only jumps."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from pytest_keyconform.engine.clock import MICROSECONDS, real_monotonic
from pytest_keyconform.engine.delayed.outside import Outside, forget_workers
from pytest_keyconform.engine.loop import Deadlock, Livelock, Stalled
from pytest_keyconform.engine.waiting import of_asyncio, pending, place, threads_at_work

if TYPE_CHECKING:
    import contextvars
    import socket
    from collections.abc import Callable, Coroutine

    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.delayed.outside import Place, Task
    from pytest_keyconform.engine.search import Chooser

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

HELD = 0.03  # seconds that all wait for the one that was chosen, while what it waits for is on its way
QUIET = 1.0  # seconds without anything from outside, after which nothing is taken to be on its way
STALLED = 12.0  # seconds without anything from outside, where nothing else can go on: beyond any busy time-out
LONGEST = 30.0  # seconds of one execution
IN_A_ROW = 20  # callbacks, after which a task goes on: one may call for itself again until a task has gone on
CLEANING = 2.0  # seconds in which what is left over has to end


class DelayedLoop(asyncio.SelectorEventLoop):
    """Runs one execution of a backend that needs sockets, threads or subprocesses.

    Delays are choices: a task that waits for the outside is offered to the chooser like one that is ready, and where
    it is chosen, all others are held until its answer is there. So the order does not depend on how long an answer
    takes, and a schedule can be run again. Time is virtual: it stands still while anything is on its way, and jumps
    to the next timer where nothing is.

    ``expecting`` tells whether more is on its way (given: timers are set); the others are those of `ControlledLoop`.
    """

    def __init__(self, clock: VirtualClock, outside: Outside | None = None, *, max_steps: int = 20_000) -> None:
        super().__init__()
        self.max_steps = max_steps
        self.horizon = 7200.0
        self.exploring = False
        self.observer: Callable[[Task, str, str], None] | None = None
        self.ending: Callable[[], None] | None = None
        self.noise: list[str] = []
        self.expecting: Callable[[bool], bool] = lambda _timed: False
        self._virtual = clock
        self._outside = Outside() if outside is None else outside
        self._chooser: Chooser | None = None
        self._steps = self._waited = self._called = 0
        self._over = float("inf")
        self._callbacks: deque[asyncio.Handle] = deque()
        self._runnable: dict[int, asyncio.Handle] = {}  # by the number of the task
        self._since: dict[int, int] = {}  # the places of those that may be chosen, in the order of getting so
        self._offered = 0
        self._away: dict[int, Place] = {}  # those that wait for the outside
        self._idle: set[int] = set()  # of `_away`: nothing came for them for long
        self._numbers: dict[int, int] = {}
        self._tasks: dict[int, Task] = {}  # those that are not done: a backend may make one for each call
        self._met = 0
        self._last = -1
        self.set_exception_handler(self._trouble)

    def time(self) -> float:
        """Answer the same virtual seconds as `time.monotonic`."""
        return self._virtual.monotonic()

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Set a timer: who does goes by the clock."""
        self._virtual.readings += 1
        return super().call_at(when, callback, *args, context=context)

    def timers_of_others(self) -> int:
        """Count the timers that are set, but for those that asyncio itself sets for a sleep or a time-out."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined] # the loop's own
        return sum(not one.cancelled() and not of_asyncio(one._callback) for one in timers)  # type: ignore[attr-defined] # noqa: SLF001

    def run(self, main: Coroutine[Any, Any, T], chooser: Chooser | None = None) -> T:
        """Run until ``main`` is done and answer its result; whatever is still going on then is ended.

        Raises what ``main`` raises, `Deadlock` or `Livelock` if it cannot finish, and `Stalled`.
        """
        self._chooser = chooser
        self._over = real_monotonic() + LONGEST
        try:
            return self.run_until_complete(self.create_task(main, name="main"))
        finally:
            self._chooser, self._over = None, real_monotonic() + CLEANING
            self._end()

    # -- sockets: asyncio does not wait where an answer is quick, so that time would decide what is a choice

    async def sock_recv(self, sock: socket.socket, nbytes: int) -> bytes:
        """Receive, once there is something."""
        await self._readable(sock)
        return await super().sock_recv(sock, nbytes)

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:  # noqa: ANN401 - any buffer
        """Receive into a buffer, once there is something."""
        await self._readable(sock)
        return await super().sock_recv_into(sock, buf)

    async def _readable(self, sock: socket.socket) -> None:
        readable: asyncio.Future[None] = self.create_future()

        def told() -> None:
            self.remove_reader(sock)  # or it would be told at each look, as long as the task is held
            if not readable.done():
                readable.set_result(None)

        self.add_reader(sock, told)
        try:
            await readable
        finally:
            self.remove_reader(sock)

    # -- one step

    def _run_once(self) -> None:
        self._steps += 1
        if real_monotonic() > self._over:
            raise Stalled(pending(tuple(self._tasks.values())))
        self._poll(0)
        if self._callbacks and (self._called < IN_A_ROW or not self._runnable):
            self._called += 1
            self._perform(self._callbacks.popleft())
            return
        self._called = 0
        numbers = sorted(
            {*self._runnable, *(one for one in self._away if one not in self._idle)}, key=self._since.__getitem__
        )
        if not numbers:
            self._rest()
            return
        if self._steps > self.max_steps:
            raise Livelock(pending(tuple(self._tasks.values())))
        number = self._chosen(numbers)
        if number in self._runnable or self._held_for(number):
            self._step(number)

    def _chosen(self, numbers: list[int]) -> int:
        if self._chooser is None or not self.exploring:
            return next((number for number in numbers if number in self._runnable), numbers[0])
        if len(numbers) == 1:
            return numbers[0]
        return numbers[self._chooser(numbers, numbers.index(self._last) if self._last in numbers else None)]

    def _held_for(self, number: int) -> bool:
        """Let all others wait until what a task waits for is there; False: it does not come, or others are to run."""
        until = real_monotonic() + HELD
        while number not in self._runnable and (left := until - real_monotonic()) > 0:
            self._poll(left)
            while (
                self._callbacks and real_monotonic() < until
            ):  # all of them: those of a future's come before the task that it wakes
                self._perform(self._callbacks.popleft())
                self._gather()
        came = number in self._runnable
        self._outside.learn(self._away[number], came=came)
        if not came:
            self._idle.add(number)
        return came

    def _step(self, number: int) -> None:
        handle, task = self._runnable.pop(number), self._tasks[number]
        self._away.pop(number, None)
        self._idle.discard(number)
        self._since.pop(number, None)
        self._last = number
        self._perform(handle)
        if self.observer is not None:
            self.observer(task, *place(task))
        self._gather()
        if task.done():
            del self._tasks[number], self._numbers[id(task)]
        if number in self._runnable or task.done():
            return
        waits = self._outside.waited_for(task)
        if waits is not None:
            self._away[number] = waits
            self._offer(number)

    def _perform(self, handle: asyncio.Handle) -> None:
        if not handle.cancelled():
            handle._run()  # noqa: SLF001 - as the loop it is

    # -- what gets ready

    def _poll(self, seconds: float) -> None:
        """Take in what comes from outside within so many seconds, and what is due."""
        self._gather()
        events = self._selector.select(0 if self._callbacks else seconds)  # type: ignore[attr-defined] # the loop's own
        self._process_events(events)  # type: ignore[attr-defined] # the loop's own
        self._due()
        self._gather()

    def _due(self) -> None:
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined] # the loop's own
        while timers and (timers[0].cancelled() or timers[0].when() <= self.time()):
            handle = heapq.heappop(timers)
            handle._scheduled = False  # type: ignore[attr-defined] # noqa: SLF001 - as the loop it is
            if not handle.cancelled():
                self._ready.append(handle)  # type: ignore[attr-defined] # the loop's own

    def _gather(self) -> None:
        """Part what is ready into steps of tasks and other callbacks, which are never held."""
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined] # the loop's own
        while ready:
            handle = ready.popleft()
            owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined] # noqa: SLF001 - as the loop it is
            if handle.cancelled():
                continue
            if not isinstance(owner, asyncio.Task):
                self._callbacks.append(handle)
                continue
            number = self._number_of(owner)
            self._runnable[number] = handle
            self._offer(number)

    def _offer(self, number: int) -> None:
        """Line a task up, behind those that may be chosen already."""
        self._offered += 1
        self._since.setdefault(number, self._offered)

    def _number_of(self, task: Task) -> int:
        """Answer the number of a task, in the order of their first getting ready."""
        number = self._numbers.get(id(task))
        if number is None:
            number = self._numbers[id(task)] = self._met
            self._tasks[number] = task
            self._met += 1
        return number

    # -- where nobody can go on

    def _rest(self) -> None:
        """Wait for the outside; where nothing is on its way, let time pass until a timer is due."""
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined] # the loop's own
        sure = not (self._away or threads_at_work(self) or self.expecting(bool(timers)))
        over = real_monotonic() + (0 if sure else QUIET if timers else STALLED)
        self._poll(0)  # what was expected a moment ago may be there
        while not (self._callbacks or self._runnable) and real_monotonic() < over:
            self._poll(QUIET / 4)
        if self._callbacks or self._runnable:
            return
        if timers:
            self._jump(timers[0].when())
        else:
            raise (Deadlock if sure else Stalled)(pending(tuple(self._tasks.values())))

    def _jump(self, when: float) -> None:
        clock = self._virtual
        ticks = max(clock.ticks, clock.ticks_at(when))
        self._waited += ticks - clock.ticks
        clock.ticks = ticks
        if self.time() < when:
            clock.tick()
        if self._waited > self.horizon * MICROSECONDS:
            raise Livelock(pending(tuple(self._tasks.values())))

    # -- the end

    def _end(self) -> None:
        """End every task, within a bound; nothing of this execution reaches the next."""
        if self.ending is not None:
            self.ending()
        self.exploring, self.observer, self._steps, self._waited = False, None, 0, 0
        try:
            asyncio.set_event_loop(self)
            with suppress(Exception):
                for _ in range(3):  # who catches a cancellation and goes on is cancelled again
                    left = [task for task in asyncio.all_tasks(self) if not task.done()]
                    for task in left:
                        task.cancel()
                    if left:
                        self.run_until_complete(asyncio.wait(left, timeout=60))
                self.run_until_complete(self.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self.set_exception_handler(lambda _loop, _context: None)
            forget_workers(getattr(self, "_default_executor", None))
            self.close()

    def _trouble(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error, message = context.get("exception"), str(context.get("message", "no message"))
        self.noise.append(message if error is None else f"{message}: {error!r}")
