"""What a task waits for, and where: read from the frames of its chain of awaits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import linecache
import os
from dataclasses import dataclass
from pathlib import Path
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import TYPE_CHECKING, Any, TypeAlias

from pytest_keyconform.engine.clock import UPTIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Task: TypeAlias = asyncio.Task[Any]

_ASYNCIO = str(Path(asyncio.__file__).parent)
_NOT_BACKEND = (_ASYNCIO, str(Path(__file__).parents[1]), contextlib.__file__)
_INSTALLED = f"{os.sep}site-packages{os.sep}"
_DEEPEST = 200  # a bound, should what we read by the collector run in a circle
_ATTRIBUTES: dict[type, tuple[str, str]] = {
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
    AsyncGeneratorType: ("ag_frame", "ag_await"),
}
_WORDS = {
    "Barrier.wait": "Barrier",
    "Condition.wait": "Condition",
    "Event.wait": "Event",
    "Lock.acquire": "Lock",
    "Queue.get": "Queue.get",
    "Queue.join": "Queue.join",
    "Queue.put": "Queue.put",
    "Semaphore.acquire": "Semaphore",
    "TaskGroup.__aexit__": "TaskGroup",
    "sleep": "sleep",
    "to_thread": "to_thread",
}


@dataclass(frozen=True, slots=True)
class Pending:
    """A task that is not done: its name, what it waits for, and its innermost backend ``file:line``."""

    task: str
    waits_for: str
    where: str

    def __str__(self) -> str:
        """Show who waits for what and where."""
        return f"{self.task} waits for {self.waits_for} at {self.where or 'a place unknown'}"


def of_asyncio(callback: object) -> bool:
    """Tell whether a callback is asyncio's own: the end of a sleep, a time-out."""
    owner = getattr(callback, "__self__", callback)
    module = getattr(callback, "__module__", None) or type(owner).__module__
    return str(module).partition(".")[0] in ("asyncio", "_asyncio")


def pending(tasks: Sequence[Task]) -> tuple[Pending, ...]:
    """Tell of each task that is not done what it waits for, and where."""
    waiting = [task for task in tasks if not task.done()]
    return tuple(Pending(task.get_name(), _waits_for(task, waiting), place(task)[0]) for task in waiting)


def place(task: Task) -> tuple[str, str]:
    """Answer the ``file:line`` of the innermost backend frame where a task waits, and its source line.

    A library that the backend waits in is passed over, unless the backend itself is installed like one.
    """
    frames = [frame for _, frame in chain(task) if not _skipped(frame.f_code)]
    frames = [frame for frame in frames if _INSTALLED not in frame.f_code.co_filename] or frames
    if not frames:
        return "", ""
    name, line = frames[-1].f_code.co_filename, frames[-1].f_lineno
    with contextlib.suppress(ValueError):  # elsewhere than below the working directory
        return f"{Path(name).relative_to(Path.cwd())}:{line}", linecache.getline(name, line).strip()
    return f"{name}:{line}", linecache.getline(name, line).strip()


def _skipped(code: CodeType) -> bool:
    return code.co_filename.startswith(_NOT_BACKEND)


def chain(task: Task) -> Iterator[tuple[object, FrameType]]:
    """Yield the coroutines and generators that a task is suspended in, and their frames, outermost first."""
    awaited: object = task.get_coro()
    for _ in range(_DEEPEST):
        if awaited is None:
            return
        names = _ATTRIBUTES.get(type(awaited))
        if names is None:
            # What stands between has no attribute to tell: `__anext__` of an async generator, `__await__`.
            awaited = next((held for held in gc.get_referents(awaited) if type(held) in _ATTRIBUTES), None)
            continue
        frame = getattr(awaited, names[0])
        if frame is None:
            return
        yield awaited, frame
        awaited = getattr(awaited, names[1])


def _waits_for(task: Task, tasks: Sequence[Task]) -> str:
    tail: list[FrameType] = []  # what is called by the innermost backend frame
    for _, frame in chain(task):
        tail = [*tail, frame] if _skipped(frame.f_code) else []
    for frame in tail:
        word = _WORDS.get(frame.f_code.co_qualname)
        if word is not None:
            return _detailed(word, frame, tasks)
    return _future(getattr(task, "_fut_waiter", None))


def _detailed(word: str, frame: FrameType, tasks: Sequence[Task]) -> str:
    names = frame.f_locals
    if word == "Lock":
        holder = next((task.get_name() for task in tasks if _holds(task, names["self"])), None)
        return f"Lock held by {holder}" if holder else word
    if word == "sleep":  # one of 0 seconds sets no timer
        return f"sleep until +{names['h'].when() - UPTIME:.1f} s" if "h" in names else "its turn"
    if word == "TaskGroup":
        return f"TaskGroup of {_named(getattr(names['self'], '_tasks', ()))}"
    return word


def _future(waiter: object) -> str:
    if waiter is None:
        return "its turn"
    if isinstance(waiter, asyncio.Task):
        return waiter.get_name()
    children = getattr(waiter, "_children", None)
    return f"gather of {_named(children)}" if children else "future"


def _named(futures: Iterable[object]) -> str:
    left = (future for future in futures if isinstance(future, asyncio.Task) and not future.done())
    return ", ".join(sorted(task.get_name() for task in left)) or "futures"


def _holds(task: Task, lock: object) -> bool:
    """Tell whether a task is inside ``async with lock``: the exit it will call is on a frame's stack.

    Entering, a task has put it there already, too; so those that are still entering do not count.
    """
    inside = entering = 0
    for awaited, frame in chain(task):
        for held in gc.get_referents(awaited):
            exits = getattr(held, "__func__", None)
            if exits is not None and held.__self__ is lock and exits.__name__ == "__aexit__":
                inside += 1
        entering += frame.f_code.co_name == "__aenter__" and frame.f_locals.get("self") is lock
    return inside > entering


def threads_at_work(loop: object) -> bool:
    """Tell whether a function may still be at work in a thread of a loop's own pool, or the pool is about to end."""
    pool = getattr(loop, "_default_executor", None)
    if pool is not None and getattr(loop, "_executor_shutdown_called", False):
        return True
    return pool is not None and pool._idle_semaphore._value < len(pool._threads)  # noqa: SLF001 - no public way
