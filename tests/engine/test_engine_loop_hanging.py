"""What hangs on the controlled loop is named: who waits for what, and where."""

import asyncio
import time

import pytest

from pytest_keyconform.engine.clock import UPTIME, VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop, Deadlock, Livelock


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
    assert where["one"].endswith(f"test_engine_loop_hanging.py:{line}")
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
