"""The controlled loop's executors, contexts, hooks and handlers, and what it leaves behind."""

import asyncio
import contextlib
import contextvars
import gc
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_keyconform.engine.clock import UPTIME


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
    """Context variables, the running loop and hooks are as before, and a timer left behind never rings."""
    variable = contextvars.ContextVar("variable", default=0)
    hooks = sys.get_asyncgen_hooks()
    rang = []

    async def main():
        variable.set(1)
        asyncio.get_running_loop().call_later(10**5, rang.append, "never")

    loop.run(main())
    assert variable.get() == 0
    assert sys.get_asyncgen_hooks() == hooks
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert loop.run(asyncio.sleep(10**3, "again")) == "again"
    assert rang == []


async def stubborn(ended):
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            ended.append("stubborn")


async def unruly(ended):
    while True:
        with contextlib.suppress(BaseException):
            await asyncio.Event().wait()


async def polite(ended):
    try:
        await asyncio.sleep(10**6)
    finally:
        await asyncio.sleep(0.5)
        ended.append("polite")


async def stream(ended):
    try:
        while True:
            yield 1
    finally:
        await asyncio.sleep(0)
        ended.append("stream")


def test_what_a_backend_leaves_behind_is_ended(loop):
    """Tasks are cancelled, those that go on several times, generators are closed, and all of it is quiet."""
    ended = []

    async def main():
        tasks = [asyncio.ensure_future(work(ended)) for work in (stubborn, unruly, polite)]
        left = stream(ended)
        await anext(left)
        await asyncio.sleep(0)
        return [tasks, left]

    kept = loop.run(main())
    assert ended.count("stubborn") == 3
    assert {"stream", "polite"} <= set(ended)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del kept
        gc.collect()
    assert loop.noise == []


def test_generators_are_closed_in_the_order_of_their_beginning(loop):
    """What is closed at the end is closed in an order that repeats, and what its closing raises is told."""
    closed = []

    async def counted(number):
        try:
            yield number
        finally:
            closed.append(number)
            if number == 7:
                raise ValueError(number)

    async def main():
        begun = [counted(number) for number in range(20)]
        for one in begun:
            await anext(one)
        await loop.shutdown_asyncgens()

    loop.run(main())
    assert closed == list(range(20))
    assert [text.partition(" <")[0] for text in loop.noise] == [
        "an error occurred during closing of asynchronous generator"
    ]


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
