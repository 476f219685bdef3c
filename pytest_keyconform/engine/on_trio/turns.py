"""A run of trio in which clients go on one at a time, as a chooser says, on a clock that only jumps."""

from __future__ import annotations

import importlib
import math
import types
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_keyconform.engine.clock import MICROSECONDS, real_monotonic
from pytest_keyconform.engine.delayed.loop import LONGEST, QUIET, STALLED
from pytest_keyconform.engine.loop import Deadlock, Livelock, Stalled, Stuck
from pytest_keyconform.engine.waiting import Pending, chain, place

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable

    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.search import Chooser

trio: Any = importlib.import_module("trio")
testing: Any = importlib.import_module("trio.testing")

T = TypeVar("T")

LOOKS = 0.02  # seconds between two looks at what comes from outside
CLEANING = 200  # turns in which what is left has to end
_FAR = 999_999_999.0  # seconds: trio need not wait by itself


class Client:
    """A client's coroutine; ``get_coro`` and ``get_name`` are those of a task of asyncio, for what tells of waits."""

    def __init__(self, name: str, coroutine: object) -> None:
        self.name = name
        self._coroutine = coroutine

    def get_coro(self) -> object:
        """Answer what it runs."""
        return self._coroutine

    def get_name(self) -> str:
        """Answer its name."""
        return self.name


class Turns:
    """Runs one execution on trio; clients stop before each step and go on as the chooser says.

    A client is asked for only when all tasks are blocked, which trio tells; the backend's own tasks go on by
    themselves, in an order that is seeded. ``exploring``, ``horizon``, ``max_steps``, ``observer``, ``ending``,
    ``noise`` are those of `ControlledLoop`; ``main`` is the task that runs the program.
    """

    def __init__(self, clock: VirtualClock, *, max_steps: int = 20_000) -> None:
        self.clock = clock
        self.max_steps = max_steps
        self.horizon = 7200.0
        self.exploring = False
        self.observer: Callable[[Any, str, str], None] | None = None
        self.ending: Callable[[], None] | None = None
        self.noise: list[str] = []
        self.main: Any = None
        self._chooser: Chooser | None = None
        self._clients: dict[int, Client] = {}
        self._arrived: dict[int, Any] = {}  # the tasks that stand before a step, in no order
        self._queue: list[int] = []  # their numbers, the one that stands longest first
        self._last = -1
        self._steps = self._waited = 0
        self._stuck: Stuck | None = None
        self._whole = trio.CancelScope()
        self._began = self._moved = real_monotonic()

    def run(self, main: Coroutine[Any, Any, T], chooser: Chooser | None = None) -> T:
        """Run until ``main`` is done and answer its result; what is still going on then is cancelled.

        Raises what ``main`` raises, and `Deadlock`, `Livelock` or `Stalled` where it cannot finish.
        """
        self._chooser = chooser
        answers: list[T] = []
        with suppress(AttributeError):  # in which order trio takes the backend's own tasks; there is no other way
            trio._core._run._r.seed(0)  # noqa: SLF001
        try:
            counter = type("Counter", (trio.abc.Instrument,), {"before_task_step": lambda _, task: self.count(task)})()
            trio.run(self._root, main, answers, clock=_Clock(self.clock), instruments=[counter])
        except BaseException:
            # What breaks at the end, such as a nursery that was left open, is no answer of any call.
            if not answers and self._stuck is None:
                raise
        if self._stuck is not None:
            raise self._stuck
        return answers[0]

    async def _root(self, main: Coroutine[Any, Any, T], answers: list[T]) -> None:
        self.main = trio.lowlevel.current_task()
        trio.lowlevel.spawn_system_task(self._conduct)
        with self._whole:
            answers.append(await main)
        if self.ending is not None:
            self.ending()

    async def client(self, number: int, name: str, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine as a client, that waits for its turn before each step."""
        self._clients[number] = Client(name, coroutine)
        try:
            await stepwise(coroutine, lambda: self._turn(number))
        finally:
            del self._clients[number]

    def count(self, _task: object) -> None:
        """Count a step of any task."""
        self._steps += 1
        self._moved = real_monotonic()
        late = self._moved - self._began > LONGEST
        if (self._steps > self.max_steps or late) and self._stuck is None:
            self._give_up(Stalled if late else Livelock)

    def _turn(self, number: int) -> Generator[Any, Any, None]:
        """Wait for the turn of a client."""
        if self.observer is not None and self._clients[number].get_coro() is not None:
            self.observer(self._clients[number], *place(self._clients[number]))  # type: ignore[arg-type] # has what is read
        if self.exploring:
            self._arrived[number] = trio.lowlevel.current_task()
            # A cancellation that comes meanwhile is delivered where it waits next, as to any task that is ready.
            yield from trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED).__await__()

    async def _conduct(self) -> None:
        """Let one client go on whenever all tasks are blocked; where none can, let time pass."""
        while True:
            await testing.wait_all_tasks_blocked(LOOKS if _outside() else 0.0)
            if self._arrived:
                self._next()
            elif not _outside() or real_monotonic() - self._moved > (QUIET if _due() < math.inf else STALLED):
                self._pass_time()

    def _next(self) -> None:
        self._queue += sorted(number for number in self._arrived if number not in self._queue)
        queue, index = self._queue, 0
        if len(queue) > 1 and self._chooser is not None and self._stuck is None:
            index = self._chooser(queue, queue.index(self._last) if self._last in queue else None)
        self._last = queue.pop(index)
        trio.lowlevel.reschedule(self._arrived.pop(self._last))

    def _pass_time(self) -> None:
        seconds = _due()
        if seconds == math.inf:
            self._give_up(Stalled if _outside() else Deadlock)
            return
        ticks = max(1, math.ceil(seconds * MICROSECONDS))
        self._waited += ticks
        self.clock.ticks += ticks
        if self._waited > self.horizon * MICROSECONDS:
            self._give_up(Livelock)

    def _give_up(self, kind: type[Stuck]) -> None:
        """End the execution; what does not end when it is cancelled is thrown out of where it waits."""
        if self._stuck is None:
            clients = self._clients.values() or [Client("main", self.main.coro)]
            self._stuck = kind(tuple(map(_pending, clients)))
            if self.ending is not None:
                self.ending()
            self._waited, self._steps, self.max_steps = 0, 0, CLEANING
            self._whole.cancel()
            return
        for task in tasks_below(self.main):
            if task._abort_func is not None:  # noqa: SLF001 - parked
                trio.lowlevel.reschedule(task, importlib.import_module("outcome").Error(RuntimeError("ended")))


class _Clock:
    """The virtual clock, as trio asks for it."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def start_clock(self) -> None:
        """Do nothing: it goes on from where it stands."""

    def current_time(self) -> float:
        """Answer the same virtual seconds as `time.monotonic`."""
        return self._clock.monotonic()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Answer how long trio has to wait by itself: not at all, or until it is told."""
        return 0.0 if deadline <= self._clock.monotonic() else _FAR


@types.coroutine
def stepwise(coroutine: Any, turn: Callable[[], Iterable[Any]]) -> Generator[Any, Any, Any]:  # noqa: ANN401
    """Run a coroutine with a turn before each of its steps."""
    resume: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        yield from turn()
        try:
            trap = resume(value)
        except StopIteration as stop:
            return stop.value
        try:
            value, resume = (yield trap), coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is woken by
            value, resume = error, coroutine.throw


def _due() -> float:
    """Answer in how many seconds the next timer is due, infinity: there is none."""
    return float(trio.lowlevel.current_statistics().seconds_to_next_deadline)


def _outside() -> bool:
    """Tell whether a socket or a thread may be about to answer."""
    io = trio.lowlevel.current_statistics().io_statistics
    sockets = getattr(io, "tasks_waiting_read", 0) + getattr(io, "tasks_waiting_write", 0)
    # One is trio's own, which wakes it.
    return sockets > 1 or trio.to_thread.current_default_thread_limiter().borrowed_tokens > 0


def tasks_below(main: Any) -> list[Any]:  # noqa: ANN401 - a task of trio
    """Answer a task and all that it, and they, have started and not ended."""
    found = [main]
    for task in found:  # grows meanwhile
        found += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return found


def _pending(client: Client) -> Pending:
    frames = [frame for _, frame in chain(client)]  # type: ignore[arg-type] # has what is read
    inside = next((frame for frame in frames if frame.f_globals.get("__name__", "").startswith("trio.")), None)
    words = "its turn" if inside is None else inside.f_code.co_name
    if inside is not None and "self" in inside.f_locals:
        words = f"{type(inside.f_locals['self']).__name__}.{words}"
    return Pending(client.name, words, place(client)[0])  # type: ignore[arg-type] # likewise
