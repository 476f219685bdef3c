"""What asyncio asks of an event loop besides running: callbacks, timers, tasks, executors, handlers."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import heapq
import threading
import weakref
from asyncio import _set_running_loop
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, TypeVarTuple, cast

from pytest_keyconform.engine.handles import Handle, NeedsRealLoop, new

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping

    from pytest_keyconform.engine.clock import VirtualClock

    Task = asyncio.Task[Any]
    # To the type checker the loop also has the methods that are made at the end of this file, to refuse.
    _AnyLoop = asyncio.BaseEventLoop
else:
    _AnyLoop = asyncio.AbstractEventLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TASKS: tuple[type, ...] = (asyncio.Task, vars(asyncio.tasks)["_PyTask"])  # in C and in Python


class Callbacks(_AnyLoop):
    """The surface of an event loop without a selector.

    ``ready`` are the callbacks that may run, the one ready longest first; ``keys`` are the numbers of the tasks
    that they belong to, -1 for none. Timers are on the virtual clock.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.ready: list[Handle] = []
        self.keys: list[int] = []  # of the ready ones, in the same order
        self.needs_real_loop: str | None = None
        self.noise: list[str] = []
        self._clock = clock
        self._timers: list[tuple[int, int, Handle]] = []
        self._timers_set = 0
        self._numbers: dict[int, int] = {}
        self._tasks: list[Task] = []  # held, so that no id is used twice, and none is lost to the collector
        self._factory: Callable[..., Any] | None = None
        self._handler: Callable[..., object] | None = None
        # In the order in which they were begun: asyncio closes them in the order of a set, which nobody could repeat.
        self._asyncgens: weakref.WeakValueDictionary[int, AsyncGenerator[Any, Any]] | None = None
        self._running = self._stopping = self._closed = self._quiet = False
        self._thread = _thread.get_ident()
        self._working = False  # whether a function runs as if in an executor
        self._threads = _thread._count(), frozenset(threading.enumerate())  # noqa: SLF001 - counts what is not listed

    # Callbacks and timers

    def time(self) -> float:
        """Answer the same virtual seconds as `time.monotonic`."""
        return self._clock.monotonic()

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> Handle:
        """Make a callback ready; raises RuntimeError once the loop is closed."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        owner = getattr(callback, "__self__", None)
        key = -1 if owner is None else self._numbers.get(id(owner))
        if key is None:
            key = self._number_of(owner)
        handle = new(Handle)
        handle.callback = callback
        handle.arguments = args
        handle.context = contextvars.copy_context() if context is None else context
        handle.loop = self
        handle.over = False
        self.ready.append(handle)
        self.keys.append(key)
        return handle

    def forget(self, handle: Handle) -> None:
        """Take a callback out of those that are ready, if it is one of them."""
        if handle in self.ready:
            index = self.ready.index(handle)
            del self.ready[index], self.keys[index]

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> Handle:
        """Make a callback ready; where threads are at work, remember that this loop cannot control the backend."""
        if self._working:  # it may wait for what the loop does next, and the loop waits for it
            self._refuse("call_soon_threadsafe from a function in an executor")
        if _thread.get_ident() != self._thread or self._has_threads():
            self.needs_real_loop = "call_soon_threadsafe from a thread of the backend's own"
            self._stopping = True
        return self.call_soon(callback, *args, context=context)

    def _has_threads(self) -> bool:
        """Tell whether a thread was started since; not by number alone, as others may have ended meanwhile."""
        count, known = self._threads
        return _thread._count() > count or not known.issuperset(threading.enumerate())  # noqa: SLF001 - as above

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Set a timer, in seconds from now."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Handle:
        """Set a timer; ``when`` is on the scale of `time`."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        self._clock.readings += 1  # who sets a timer goes by the clock
        handle = new(Handle)
        handle.callback = callback
        handle.arguments = args
        handle.context = contextvars.copy_context() if context is None else context
        handle.loop = self
        handle.over = False
        handle.time = when
        ticks = self._clock.ticks_at(when)
        if ticks <= self._clock.ticks and when > self.time():
            ticks = self._clock.ticks + 1  # or a loop that sleeps for what rounding left over would never end
        self._timers_set += 1
        heapq.heappush(self._timers, (ticks, self._timers_set, handle))
        return handle

    def _number_of(self, owner: object) -> int:
        """Answer the number of a task, in the order of their first getting ready; -1 for anything else."""
        if not isinstance(owner, _TASKS):
            return -1
        key = self._numbers.get(id(owner))
        if key is None:
            key = self._numbers[id(owner)] = len(self._tasks)
            self._tasks.append(cast("Task", owner))
        return key

    # Futures, tasks, executors

    def create_future(self) -> asyncio.Future[Any]:
        """Make a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override] # takes more
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
        **options: Any,  # noqa: ANN401 - `eager_start` and whatever later versions add, for asyncio to check
    ) -> Task:
        """Make a task; without a name it is called ``task-N``, N counting from 0 in this loop."""
        name = f"task-{len(self._tasks)}" if name is None else name
        if self._factory is None:
            return asyncio.Task(coro, loop=self, name=name, context=context, **options)
        if context is not None:
            options["context"] = context
        task: Task = self._factory(self, coro, **options)
        with suppress(AttributeError):  # a factory may answer a future of another kind
            task.set_name(name)
        return task

    def set_task_factory(self, factory: Callable[..., Any] | None) -> None:
        """Set what makes the tasks; None: as usual."""
        self._factory = factory

    def get_task_factory(self) -> Callable[..., Any] | None:
        """Answer what makes the tasks, or None."""
        return self._factory

    def run_in_executor(self, executor: object, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function in one step, in its turn, and not in a thread; a pool of processes is refused."""
        if any(kind.__name__ == "ProcessPoolExecutor" for kind in type(executor).__mro__):
            self._refuse("run_in_executor with a pool of processes")
        future = self.create_future()
        # A worker's context is not the caller's; `to_thread` brings its own along.
        self.call_soon(self._work, future, func, args, context=contextvars.Context())
        return future

    def _work(self, future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        if future.cancelled():
            return
        self._working = True
        _set_running_loop(None)  # a worker has none: it may call `asyncio.run`
        try:
            result = func(*args)
        except StopIteration as error:
            future.set_exception(RuntimeError(f"the function raised {error!r}"))
        except Exception as error:  # noqa: BLE001 - as asyncio does
            future.set_exception(error)
        else:
            future.set_result(result)
        finally:
            self._working = False
            _set_running_loop(self)

    def set_default_executor(self, executor: object) -> None:
        """Ignore it: functions are run in the loop."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's
        """Do nothing: there is no executor."""

    # Async generators, trouble, debug mode

    async def shutdown_asyncgens(self) -> None:
        """Close the async generators that were left half-way."""
        generators = list((self._asyncgens or {}).values())
        self._asyncgens = None
        closed = await asyncio.gather(*(generator.aclose() for generator in generators), return_exceptions=True)
        for generator, error in zip(generators, closed, strict=True):
            if isinstance(error, Exception):
                message = f"an error occurred during closing of asynchronous generator {generator!r}"
                self.call_exception_handler({"message": message, "exception": error, "asyncgen": generator})

    def _begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._asyncgens is None:
            self._asyncgens = weakref.WeakValueDictionary()
        self._asyncgens[id(generator)] = generator

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        if self._asyncgens is not None:
            self._asyncgens.pop(id(generator), None)
        if self._running:
            self.call_soon(self.create_task, generator.aclose())

    def set_exception_handler(self, handler: Callable[..., object] | None) -> None:
        """Set what `call_exception_handler` calls; None: the default."""
        self._handler = handler

    def get_exception_handler(self) -> Callable[..., object] | None:
        """Answer the handler that was set, or None."""
        return self._handler

    def call_exception_handler(self, context: Mapping[str, Any]) -> None:
        """Hand trouble that no caller sees to the handler."""
        try:
            handler = self._handler or Callbacks.default_exception_handler
            handler(self, context)
        except Exception as error:  # noqa: BLE001 - as asyncio does
            message = "Unhandled error in exception handler"
            Callbacks.default_exception_handler(self, {"message": message, "exception": error})

    def default_exception_handler(self, context: Mapping[str, Any]) -> None:
        """Keep it in ``noise``, as "message: exception"."""
        if not self._quiet:
            error = context.get("exception")
            message = str(context.get("message", "no message"))
            self.noise.append(message if error is None else f"{message}: {error!r}")

    def get_debug(self) -> bool:
        """Debug mode is off: it would take a traceback for each handle."""
        return False

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's signature
        """Leave debug mode off."""

    # What needs an operating system

    def __init_subclass__(cls) -> None:
        """Refuse what the finished loop does not have: sockets, pipes, processes, signals."""
        for name in dir(asyncio.AbstractEventLoop):
            if not name.startswith("_") and vars(asyncio.AbstractEventLoop)[name] is getattr(cls, name):
                setattr(cls, name, _refusal(name))

    def _refuse(self, call: str) -> NoReturn:
        self.needs_real_loop = self.needs_real_loop or call
        self._stopping = True
        raise NeedsRealLoop(call)

    def remove_reader(self, fd: object) -> bool:  # noqa: ARG002 - asyncio's signature
        """Tell that there was none."""
        return False

    remove_writer = remove_reader

    def remove_signal_handler(self, sig: int) -> bool:  # noqa: ARG002 - asyncio's signature
        """Tell that there was none."""
        return False


def _refusal(call: str) -> Callable[..., NoReturn]:
    def refuse(self: Callbacks, *_: object, **__: object) -> NoReturn:
        self._refuse(call)

    return refuse
