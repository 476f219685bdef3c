"""Small programs for event loops: what they may do, how they are drawn, and both loops to run them on."""

import asyncio
import contextvars
import selectors
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count

import acts
from hypothesis import strategies as st

from pytest_keyconform.engine.clock import UPTIME, VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop

COMPOUND = {  # by how many bodies an act has
    1: ("semaphore", "timeout", "wait_for", "shield", "catch", "stream", "context", "background", "leave"),
    2: ("gather", "strict_gather", "group", "first", "completed", "uncancelled"),
}


class Timeless(selectors.SelectSelector):
    """A selector that lets its loop's time pass instead of waiting."""

    loop = None

    def select(self, timeout=None):
        assert timeout is not None, "asyncio would wait for ever"
        self.loop.passed += timeout
        return super().select(0)


class Inline(ThreadPoolExecutor):
    """Runs a function where it is handed over: the quickest thread there can be."""

    def submit(self, function, /, *args):
        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


class AsyncioLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, on a clock that does not wait."""

    def __init__(self):
        self.passed = 0.0
        selector = Timeless()
        selector.loop = self
        super().__init__(selector)
        self.set_default_executor(Inline(1))

    def time(self):
        return UPTIME + self.passed

    async def shutdown_default_executor(self, timeout=None):  # noqa: ASYNC109 - asyncio's signature
        """Join no threads: there are none, and time that does not wait would be up at once."""


class World:
    """What the programs of one run share, and the log of their effects."""

    def __init__(self, loop):
        self.loop = loop
        self.log = []
        self.locks = [asyncio.Lock(), asyncio.Lock()]
        self.queue = asyncio.Queue(1)
        self.jobs = asyncio.PriorityQueue()
        self.event = asyncio.Event()
        self.condition = asyncio.Condition()
        self.semaphore = asyncio.BoundedSemaphore(2)
        self.barrier = asyncio.Barrier(2)
        self.variable = contextvars.ContextVar("variable", default=0)
        self.background = []
        self.left = None  # an async generator that nobody closes; several would be closed in the order of a set
        loop.set_exception_handler(self.trouble)

    def note(self, *what):
        self.log.append((round((self.loop.time() - UPTIME) * 1e6), *what))

    def trouble(self, loop, context):
        """Note what no caller sees, but for lost exceptions: when asyncio tells of them is the collector's matter."""
        words = context["message"].split()[:3]
        if words != ["Task", "exception", "was"]:
            self.note("trouble", *words, type(context.get("exception")).__name__)

    async def perform(self, program):
        for name, number, *parts in program:
            self.note(name, number, "begins")
            try:
                self.note(name, number, "gives", await getattr(acts, name)(self, number, *parts))
            except BaseException as error:
                self.note(name, number, type(error).__name__)
                raise


def program():
    """A program of few acts."""
    leaves = st.sampled_from(acts.PLAIN).map(lambda name: (name,))

    def compound(inner):
        body = st.lists(inner, max_size=3)
        return st.one_of(
            st.tuples(st.just("lock"), st.integers(0, 1), body),
            st.tuples(st.sampled_from(COMPOUND[1]), body),
            st.tuples(st.sampled_from(COMPOUND[2]), body, body),
            st.tuples(st.just("cancelled"), st.integers(0, 3), body),
        )

    return st.lists(st.recursive(leaves, compound, max_leaves=8), min_size=1, max_size=4)


def clients(least):
    """Several programs; each act of them all has a number of its own."""
    programs = st.lists(program(), min_size=least, max_size=3)
    return programs.map(lambda found: (numbers := count(), [numbered(one, numbers) for one in found])[1])


def numbered(program, numbers):
    return [
        (name, next(numbers), *(numbered(part, numbers) if isinstance(part, list) else part for part in parts))
        for name, *parts in program
    ]


async def whole(world, clients):
    """Run the clients and what they leave over, cancel what hangs, close generators; answer the log."""
    await asyncio.wait([asyncio.create_task(world.perform(client)) for client in clients], timeout=3000)
    world.note("the rest")
    if others():
        await asyncio.wait(others(), timeout=1000)
    while others():  # who swallows a cancellation goes on, to where it is cancelled again
        for task in others():
            world.note("ends", task.cancel())
        await asyncio.wait(others(), timeout=2)
    log, world.log = world.log, []
    await world.loop.shutdown_asyncgens()
    closed, world.log = sorted(world.log, key=str), []  # asyncio closes them in the order of a set
    return log + closed


def others():
    """Answer the tasks that go on besides this one, in the order of their making."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    return sorted(tasks, key=lambda task: int(task.get_name().rpartition("-")[2]))


def in_asyncio(clients):
    """Run clients on asyncio's own loop; answer the log."""
    with asyncio.Runner(loop_factory=AsyncioLoop) as runner:

        async def main():
            return await whole(World(runner.get_loop()), clients)

        return runner.run(main())


def controlled(clients, choose=None):
    """Run clients on the controlled loop; answer the log."""
    loop = ControlledLoop(VirtualClock())

    async def main():
        loop.exploring = choose is not None
        return await whole(World(loop), clients)

    return loop.run(main(), choose)
