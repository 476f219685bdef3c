"""The controlled loop: asyncio's own behaviour in every order, and a name for what hangs."""

import asyncio
import contextlib
import contextvars
import gc
import inspect
import selectors
import socket
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_keyconform.engine.clock import UPTIME, VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop, Deadlock, Livelock, NeedsRealLoop
from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.engine.search.replay import Replay

# Conformance: small programs, run by asyncio and by the controlled loop.


class Timeless(selectors.SelectSelector):
    """A selector that lets its loop's time pass instead of waiting."""

    loop = None

    def select(self, timeout=None):
        assert timeout is not None, "asyncio would wait for ever"
        self.loop.passed += timeout
        return super().select(0)


class AsyncioLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, on a clock that does not wait."""

    def __init__(self):
        self.passed = 0.0
        selector = Timeless()
        selector.loop = self
        super().__init__(selector)

    def time(self):
        return UPTIME + self.passed


class World:
    """What the programs of one run share, and the log of their effects."""

    def __init__(self, loop):
        self.loop = loop
        self.log = []
        self.locks = [asyncio.Lock(), asyncio.Lock()]
        self.queue = asyncio.Queue(1)
        self.event = asyncio.Event()
        self.condition = asyncio.Condition()
        self.semaphore = asyncio.Semaphore(2)
        self.barrier = asyncio.Barrier(2)
        self.variable = contextvars.ContextVar("variable", default=0)

    def note(self, *what):
        self.log.append((round((self.loop.time() - UPTIME) * 1e6), *what))


async def perform(world, program):
    for name, number, *parts in program:
        world.note(name, number, "begins")
        try:
            world.note(name, number, "gives", await OPERATIONS[name](world, number, *parts))
        except BaseException as error:
            world.note(name, number, type(error).__name__)
            raise


async def _yield(world, number):
    await asyncio.sleep(0)


async def _sleep(world, number):
    return await asyncio.sleep(delay(number), number)


async def _lock(world, number, which, body):
    async with world.locks[which]:
        await perform(world, body)


async def _semaphore(world, number, body):
    async with world.semaphore:
        await perform(world, body)


async def _put(world, number):
    await world.queue.put(number)


async def _get(world, number):
    return await world.queue.get()


async def _set(world, number):
    world.event.set()


async def _wait(world, number):
    await world.event.wait()
    world.event.clear()


async def _notify(world, number):
    async with world.condition:
        world.condition.notify()


async def _await_condition(world, number):
    async with world.condition:
        return await world.condition.wait()


async def _barrier(world, number):
    await world.barrier.wait()


async def _gather(world, number, left, right):
    answers = await asyncio.gather(perform(world, left), perform(world, right), return_exceptions=True)
    return [type(answer).__name__ for answer in answers]


async def _strict_gather(world, number, left, right):
    await asyncio.gather(perform(world, left), perform(world, right))


async def _group(world, number, child, body):
    failed = 0
    try:
        # One child: a group cancels its children in the order of a set.
        async with asyncio.TaskGroup() as group:
            group.create_task(perform(world, child))
            await perform(world, body)
    except* ValueError as errors:
        failed = len(errors.exceptions)
    return failed


async def _timeout(world, number, body):
    async with asyncio.timeout(delay(number)):
        await perform(world, body)


async def _wait_for(world, number, body):
    await asyncio.wait_for(perform(world, body), delay(number))


async def _shield(world, number, body):
    task = asyncio.ensure_future(perform(world, body))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(task)


async def _cancelled(world, number, steps, body):
    task = asyncio.create_task(perform(world, body))
    for _ in range(steps):
        await asyncio.sleep(0)
    world.note("cancel", number, task.cancel())
    await asyncio.wait([task])
    return "cancelled" if task.cancelled() else type(task.exception()).__name__


async def _raise(world, number):
    raise ValueError(number)


async def _catch(world, number, body):
    try:
        await perform(world, body)
    except (ValueError, TimeoutError) as error:
        return type(error).__name__
    finally:
        await asyncio.sleep(0)


async def _stream(world, number, body):
    async def stream():
        try:
            for item in range(2):
                yield item
                await asyncio.sleep(0)
        finally:
            world.note("stream", number, "closed")

    async for item in stream():
        world.note("stream", number, item)
        await perform(world, body)


async def _callback(world, number):
    world.variable.set(number)
    future = asyncio.get_running_loop().create_future()

    def call():
        world.note("callback", number, world.variable.get())
        if not future.done():
            future.set_result(number)

    asyncio.get_running_loop().call_soon(call)
    asyncio.get_running_loop().call_later(delay(number), call)
    return await future


OPERATIONS = {
    name.removeprefix("_"): function
    for name, function in list(globals().items())
    if name.startswith("_") and inspect.iscoroutinefunction(function)
}


def delay(number):
    """Microseconds up to a second, scattered: sums of few differ, for asyncio orders timers that tie as it likes."""
    return ((number + 1) * 2654435761 % 2**32) % 1_000_003 / 1_000_000


def program():
    """A program of few operations."""
    plain = ["yield", "sleep", "put", "get", "set", "wait", "notify", "await_condition", "barrier", "raise", "callback"]
    leaves = st.sampled_from(plain).map(lambda name: (name,))

    def compound(inner):
        body = st.lists(inner, max_size=3)
        return st.one_of(
            st.tuples(st.just("lock"), st.integers(0, 1), body),
            st.tuples(st.sampled_from(["semaphore", "timeout", "wait_for", "shield", "catch", "stream"]), body),
            st.tuples(st.sampled_from(["gather", "strict_gather", "group"]), body, body),
            st.tuples(st.just("cancelled"), st.integers(0, 3), body),
        )

    return st.lists(st.recursive(leaves, compound, max_leaves=8), min_size=1, max_size=4)


def clients(least):
    """Several programs; each operation of them all has a number of its own."""
    programs = st.lists(program(), min_size=least, max_size=3)
    return programs.map(lambda found: (numbers := count(), [numbered(one, numbers) for one in found])[1])


def numbered(program, numbers):
    return [
        (name, next(numbers), *(numbered(part, numbers) if isinstance(part, list) else part for part in parts))
        for name, *parts in program
    ]


async def whole(world, clients):
    """Run the clients; whatever is left over afterwards is let go on for a while."""
    try:
        async with asyncio.timeout(3000):
            await asyncio.gather(*(perform(world, client) for client in clients), return_exceptions=True)
    except TimeoutError:
        world.note("the clients hang")
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=1000)
    log, world.log = world.log, []
    return log


def in_asyncio(clients):
    with asyncio.Runner(loop_factory=AsyncioLoop) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda loop, context: None)

        async def main():
            return await whole(World(loop), clients)

        return runner.run(main())


def controlled(clients, choose=None):
    loop = ControlledLoop(VirtualClock())

    async def main():
        loop.exploring = choose is not None
        return await whole(World(loop), clients)

    return loop.run(main(), choose)


@settings(max_examples=300, deadline=None)
@given(clients(1))
def test_first_in_first_out_is_asyncio(clients):
    """Without a chooser every program has the results and the order of effects that it has in asyncio."""
    assert controlled(clients) == in_asyncio(clients)


@settings(max_examples=100, deadline=None)
@given(clients(2), st.integers(0, 2**32))
def test_any_order_can_be_replayed(clients, seed):
    """Under any order a program ends, and the schedule that is told has the same effects again."""
    walk = RandomWalk(seed)
    for _ in range(3):
        if walk.begin():
            log = controlled(clients, walk.choose)
            replay = Replay(walk.schedule())
            assert replay.begin()
            assert controlled(clients, replay.choose) == log
            assert not replay.diverged


# What hangs is named.


@pytest.fixture
def loop():
    return ControlledLoop(VirtualClock())


def named(stuck):
    return {one.task: one.waits_for for one in stuck.pending}


def test_a_deadlock_tells_who_waits_for_whom(loop):
    """Two locks taken in opposite order: each task is named with the lock's holder and the line it waits at."""

    async def take(first, second):
        async with first:
            await asyncio.sleep(0)
            async with second:
                pass

    async def main():
        a, b = asyncio.Lock(), asyncio.Lock()
        one = asyncio.create_task(take(a, b), name="one")
        await asyncio.gather(one, asyncio.create_task(take(b, a), name="two"))

    with pytest.raises(Deadlock) as caught:
        loop.run(main())
    assert named(caught.value) == {
        "main": "gather of one, two",
        "one": "Lock held by two",
        "two": "Lock held by one",
    }
    line = take.__code__.co_firstlineno + 3
    where = {one.task: one.where for one in caught.value.pending}
    assert where["one"] == where["two"]
    assert where["one"].endswith(f"test_engine_loop.py:{line}")
    assert "one waits for Lock held by two at " in str(caught.value)


async def _self_lock():
    lock = asyncio.Lock()
    async with lock, lock:
        pass


async def _bare_lock():
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def _generator():
    async def stream():
        await asyncio.Event().wait()
        yield

    async for _ in stream():
        pass


async def _task():
    await asyncio.create_task(asyncio.Event().wait(), name="other")


async def _task_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.Event().wait(), name="other")


WAITS = {
    "Lock held by main": _self_lock,
    "Lock": _bare_lock,
    "Queue.get": lambda: asyncio.Queue().get(),
    "Event": lambda: asyncio.Event().wait(),
    "Semaphore": lambda: asyncio.Semaphore(0).acquire(),
    "Barrier": lambda: asyncio.Barrier(2).wait(),
    "future": lambda: asyncio.wait_for(asyncio.get_running_loop().create_future(), None),
    "other": _task,
    "TaskGroup of other": _task_group,
}


@pytest.mark.parametrize("words", WAITS)
def test_each_kind_of_wait_has_a_name(words, loop):
    """What a task waits for is told in words."""

    async def main():
        await WAITS[words]()

    with pytest.raises(Deadlock) as caught:
        loop.run(main())
    assert named(caught.value)["main"] == words


def test_a_wait_inside_an_async_generator_is_found(loop):
    """The place is the innermost line of the backend, inside its generator."""
    with pytest.raises(Deadlock) as caught:
        loop.run(_generator())
    assert named(caught.value) == {"main": "Event"}
    assert caught.value.pending[0].where.endswith(f":{_generator.__code__.co_firstlineno + 2}")


def test_a_heartbeat_does_not_hide_a_deadlock(loop):
    """Where only a periodic task goes on, the loop gives up at its horizon and names the waits."""

    async def heart():
        while True:
            await asyncio.sleep(600)

    async def main():
        beating = asyncio.create_task(heart(), name="heart")
        await asyncio.Event().wait()
        beating.cancel()

    with pytest.raises(Livelock) as caught:
        loop.run(main())
    assert named(caught.value) == {"main": "Event", "heart": "sleep until +7800.0 s"}


def test_a_long_wait_that_is_meant_is_no_livelock(loop):
    """A caller that raises the horizon may sleep for a day."""

    async def main():
        loop.horizon += 86400
        await asyncio.sleep(86400)

    loop.run(main())
    assert loop.time() == UPTIME + 86400


def test_a_livelock_is_named(loop):
    """A task that spins for ever is given up after the limit of steps."""

    async def main():
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock) as caught:
        loop.run(main())
    assert named(caught.value) == {"main": "its turn"}
    assert loop.steps <= loop.max_steps + 600


def test_sleeping_for_what_rounding_left_ends(loop):
    """A loop that sleeps until a wall-clock deadline ends, although floats cannot tell the last microsecond."""

    async def main():
        with VirtualClock() as clock:
            inner = ControlledLoop(clock)

            async def nap():
                deadline = time.time() + 0.1
                while time.time() < deadline:
                    await asyncio.sleep(deadline - time.time())

            inner.run(nap())
            return inner.steps

    assert loop.run(main()) < 10


# What needs an operating system is refused.


def _thread_of_its_own():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, 1)).start()
    return future


REFUSED = {
    "create_connection": lambda: asyncio.open_connection("localhost", 1),
    "create_server": lambda: asyncio.start_server(lambda *_: None, "localhost", 0),
    "subprocess_exec": lambda: asyncio.create_subprocess_exec("true"),
    "subprocess_shell": lambda: asyncio.create_subprocess_shell("true"),
    "getaddrinfo": lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1),
    "add_reader": lambda: asyncio.get_running_loop().add_reader(0, print),
    "add_signal_handler": lambda: asyncio.get_running_loop().add_signal_handler(1, print),
    "sock_recv": lambda: asyncio.get_running_loop().sock_recv(socket.socket(), 1),
    "run_in_executor with a pool of processes": lambda: asyncio.get_running_loop().run_in_executor(
        object.__new__(ProcessPoolExecutor), print
    ),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("call", REFUSED)
def test_what_needs_a_real_loop_is_told_at_once(call, loop):
    """A call that only an operating system answers ends the run, also where the backend catches all it can."""

    async def main():
        for _ in range(3):
            with contextlib.suppress(BaseException):
                await REFUSED[call]()
            await asyncio.sleep(0)

    with pytest.raises(NeedsRealLoop) as caught:
        loop.run(main())
    assert caught.value.call == loop.needs_real_loop == call
    assert not isinstance(caught.value, Exception)


def test_a_thread_of_the_backend_is_told(loop):
    """A backend that waits for a thread of its own is no deadlock: it cannot be controlled."""

    async def main():
        await _thread_of_its_own()

    with pytest.raises(NeedsRealLoop, match="thread of the backend's own"):
        loop.run(main())


async def _coroutine_from_an_executor():
    loop, asked = asyncio.get_running_loop(), asyncio.sleep(0)
    with contextlib.closing(asked):
        await loop.run_in_executor(None, lambda: asyncio.run_coroutine_threadsafe(asked, loop).result(9))


def _event_from_an_executor():
    loop, told = asyncio.get_running_loop(), threading.Event()
    return asyncio.to_thread(lambda: loop.call_soon_threadsafe(told.set) and told.wait(9))


@pytest.mark.parametrize("call", [_coroutine_from_an_executor, _event_from_an_executor])
def test_an_executor_function_that_needs_the_loop_is_told_at_once(call, loop):
    """A function that waits in an executor for what the loop does next is refused before it waits."""

    async def main():
        await call()

    with pytest.raises(NeedsRealLoop) as caught:
        loop.run(main())
    assert caught.value.call == "call_soon_threadsafe from a function in an executor"


def test_a_pool_of_threads_is_told_however_fast_it_is(loop):
    """What a pool of the backend's own has answered already is not taken for a step of the loop."""

    async def main():
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(int)
            future.result()
            await asyncio.wrap_future(future)

    with pytest.raises(NeedsRealLoop, match="thread of the backend's own"):
        loop.run(main())


def test_a_thread_that_ends_meanwhile_hides_no_other():
    """A new thread is seen although an old one ended since the loop was made: no deadlock is named."""
    end, ended = threading.Event(), threading.Event()
    old = threading.Thread(target=end.wait)
    new = threading.Thread(target=ended.wait)
    old.start()
    loop = ControlledLoop(VirtualClock())

    async def main():
        end.set()
        old.join()
        new.start()
        await loop.create_future()

    try:
        with pytest.raises(NeedsRealLoop, match="thread of the backend's own"):
            loop.run(main())
    finally:
        ended.set()
        new.join()


# Executors, contexts, hooks, noise.


def test_a_function_in_an_executor_is_a_step_of_its_own(loop):
    """`to_thread` and `run_in_executor` give the turn away, run the function, and hand over what it does."""
    variable = contextvars.ContextVar("variable", default="none")
    log = []

    def work():
        log.append(("works", variable.get()))
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return asyncio.run(asyncio.sleep(0, "done"))

    async def other():
        log.append("other")

    async def main():
        variable.set("main's")
        task = asyncio.create_task(other())
        answers = [await asyncio.to_thread(work)]
        with ThreadPoolExecutor(1) as pool:
            answers.append(await asyncio.get_running_loop().run_in_executor(pool, work))
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        await task
        return answers

    assert loop.run(main()) == ["done", "done"]
    assert log == ["other", ("works", "main's"), ("works", "none")]


def test_nothing_reaches_the_next_execution(loop):
    """Context variables, the running loop, hooks and tasks are as before, whatever the backend left behind."""
    variable = contextvars.ContextVar("variable", default=0)
    hooks = sys.get_asyncgen_hooks()
    closed = []

    async def stream():
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("stream")

    async def stubborn():
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                closed.append("stubborn")

    async def unruly():
        while True:
            with contextlib.suppress(BaseException):
                await asyncio.Event().wait()

    async def polite():
        try:
            await asyncio.sleep(10**6)
        finally:
            await asyncio.sleep(0.5)
            closed.append("polite")

    async def main():
        variable.set(1)
        tasks = [asyncio.ensure_future(work()) for work in (stubborn, unruly, polite)]
        left = stream()
        await anext(left)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(10**5, closed.append, "never")
        return [tasks, left]

    kept = loop.run(main())
    assert closed.count("stubborn") == 3
    assert {"stream", "polite"} <= set(closed)
    assert "never" not in closed
    assert variable.get() == 0
    assert sys.get_asyncgen_hooks() == hooks
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert loop.run(asyncio.sleep(0, "again")) == "again"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del kept
        gc.collect()
    assert loop.noise == []


def test_a_lost_exception_is_noise_at_once(loop):
    """A task that died unseen is in ``noise`` when the run ends, and no later."""

    async def die():
        raise ValueError("lost")

    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        task = asyncio.create_task(die())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.done()

    loop.run(main())
    assert loop.noise[0].startswith("Exception in callback")
    assert loop.noise[1] == "Task exception was never retrieved: ValueError('lost')"
    gc.collect()
    assert len(loop.noise) == 2


def test_a_backend_may_handle_its_own_noise(loop):
    """A handler that the backend set gets the trouble instead."""
    seen = []

    async def main():
        running = asyncio.get_running_loop()
        running.set_exception_handler(lambda loop, context: seen.append(context["message"]))
        assert running.get_exception_handler() is not None
        running.call_exception_handler({"message": "hello"})

    loop.run(main())
    assert (seen, loop.noise) == (["hello"], [])


def test_an_observer_is_told_where_each_task_waits(loop):
    """After each step the observer gets the task, the place it waits at, and that line's text."""
    told = []
    loop.observer = lambda task, where, line: told.append((task.get_name(), where.rpartition(":")[2], line))

    async def main():
        await asyncio.sleep(0)
        await asyncio.sleep(3)

    loop.run(main())
    first = main.__code__.co_firstlineno
    assert told == [
        ("main", str(first + 1), "await asyncio.sleep(0)"),
        ("main", str(first + 2), "await asyncio.sleep(3)"),
        ("main", "", ""),
    ]


def test_a_task_factory_is_asked(loop):
    """A task factory makes the tasks, and gets the context and the name."""
    made = []

    def factory(loop, coro, **options):
        made.append(options)
        return asyncio.Task(coro, loop=loop, **{k: v for k, v in options.items() if k == "context"})

    async def main():
        loop.set_task_factory(factory)
        assert loop.get_task_factory() is factory
        context = contextvars.copy_context()
        task = loop.create_task(asyncio.sleep(0), name="mine", context=context)
        await task
        loop.set_task_factory(None)
        return task.get_name()

    assert loop.run(main()) == "mine"
    assert len(made) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")
def test_eager_tasks_run(loop):
    """The eager task factory works as in asyncio."""

    async def child(log):
        log.append("child")
        await asyncio.sleep(0)
        log.append("child again")

    async def main():
        loop.set_task_factory(asyncio.eager_task_factory)
        log = []
        task = asyncio.create_task(child(log))
        log.append("main")
        await task
        return log

    assert loop.run(main()) == ["child", "main", "child again"]


def test_the_rest_of_a_loop_behaves(loop):
    """Running, stopping and closing follow asyncio's rules."""
    seen = []
    assert (loop.is_running(), loop.is_closed(), loop.get_debug()) == (False, False, False)
    loop.call_soon(seen.append, "soon")
    loop.call_later(2, loop.stop)
    loop.run_forever()
    assert (seen, loop.time()) == (["soon"], UPTIME + 2)
    assert loop.run_until_complete(asyncio.sleep(1, "slept")) == "slept"

    async def main():
        with pytest.raises(RuntimeError, match="already running"):
            loop.run_forever()
        with pytest.raises(RuntimeError, match="running"):
            loop.close()
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() in asyncio.all_tasks()
        await loop.shutdown_default_executor()
        loop.stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="stopped before Future completed"):
        loop.run(main())
    loop.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_soon(print)


def test_what_is_cancelled_is_no_choice(loop):
    """A callback that was taken back is not offered to the chooser, and callbacks of no task keep their order."""
    log, offered = [], []

    def choose(ready, current):
        offered.append(list(ready))
        return len(ready) - 1

    async def main():
        loop.exploring = True
        task = asyncio.create_task(asyncio.sleep(0))
        dropped = loop.call_soon(log.append, "dropped")
        for item in range(3):
            loop.call_soon(log.append, item)
        dropped.cancel()
        assert dropped.cancelled()
        await asyncio.sleep(0)
        loop.exploring = False
        await task

    loop.run(main(), choose)
    assert log == [0, 1, 2]
    assert all(ready.count(-1) <= 1 for ready in offered)
    assert offered[0] == [1, -1, 0]
