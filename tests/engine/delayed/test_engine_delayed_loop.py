"""The real loop under a chooser: order by choice and not by time, jumps of time, and how executions end."""

import asyncio
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress

import pytest

from pytest_keyconform.engine import abandoning
from pytest_keyconform.engine.abandoning import Abandoning
from pytest_keyconform.engine.clock import VirtualClock, real_sleep
from pytest_keyconform.engine.delayed import loop as module
from pytest_keyconform.engine.delayed.loop import DelayedLoop
from pytest_keyconform.engine.delayed.outside import Outside
from pytest_keyconform.engine.loop import ControlledLoop, Deadlock, Livelock, Stalled
from pytest_keyconform.engine.search.bounded import Bounded


@pytest.fixture
def clock():
    """A clock that stands for the process' own; what the loops leave is collected in silence."""
    clock = VirtualClock()
    with clock, Abandoning():
        yield clock
    abandoning._started.clear()  # their threads are no business of other tests


async def answer(seconds):
    """Wait for a thread that answers after so many real seconds."""
    loop = asyncio.get_running_loop()
    answered = loop.create_future()

    def work():
        real_sleep(seconds)
        with suppress(RuntimeError):  # the loop may be closed
            loop.call_soon_threadsafe(lambda: answered.done() or answered.set_result(None))

    threading.Thread(target=work).start()
    await answered


async def turn(_seconds):
    """Wait as long as a memory backend does."""
    await asyncio.sleep(0)


async def clients(loop, wait, told, pauses):
    """Run one client for each list of pauses, which tells its number after each of them."""

    async def client(number, seconds):
        for pause in seconds:
            await wait(pause)
            told.append(number)

    loop.exploring = True
    await asyncio.gather(*(client(number, seconds) for number, seconds in enumerate(pauses, start=1)))


def orders(make, wait, pauses, last=None):
    """Answer what the clients told under each schedule."""
    search, found = Bounded(last=last), []
    while search.begin() and len(found) < 200:
        loop, told = make(), []
        loop.run(clients(loop, wait, told, pauses), search.choose)
        found.append("".join(map(str, told)))
    return found


def test_answers_come_in_every_order_whatever_their_time(clock):
    """Two clients that wait twice each for a thread make the six orders that a memory backend makes."""
    outside = Outside()
    pauses = ((0.004, 0.0), (0.0, 0.003))
    real = orders(lambda: DelayedLoop(clock, outside), answer, pauses)
    assert set(real) == set(orders(lambda: ControlledLoop(clock), turn, pauses))
    assert len(set(real)) == 6


def test_the_same_choices_make_the_same_order(clock):
    """However long each answer takes, a schedule run again tells the same."""
    outside = Outside()
    slow = orders(lambda: DelayedLoop(clock, outside), answer, ((0.003, 0.0), (0.0, 0.002)), last=1)
    quick = orders(lambda: DelayedLoop(clock, outside), answer, ((0.0, 0.001), (0.002, 0.0)), last=1)
    assert slow == quick
    assert len(slow) > 2


def test_what_asyncio_has_works(clock):
    """Sockets, subprocesses, executors, groups and time-outs do what they do on any loop."""

    async def echo(reader, writer):
        writer.write(await reader.readexactly(4))
        writer.close()
        await writer.wait_closed()

    async def main():
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"ping")
        told = [await reader.read()]
        writer.close()
        server.close()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(3)", stdout=asyncio.subprocess.PIPE)
        told.append((await process.communicate())[0].strip())
        told.append(await asyncio.to_thread(threading.current_thread) is threading.main_thread())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(5, "slept"))
        told.append(task.result())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return told

    assert DelayedLoop(clock).run(main()) == [b"ping", b"3", False, "slept"]
    assert 35 <= clock.now < 36


def test_time_jumps_where_nothing_is_on_its_way(clock):
    """An hour passes in no time, on the loop's clock and on the backend's."""

    async def main():
        before = asyncio.get_running_loop().time(), time.monotonic()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - before[0], time.monotonic() - before[1]

    began = module.real_monotonic()
    loop, own = DelayedLoop(clock).run(main())
    assert loop == own == pytest.approx(3600, abs=0.001)
    assert module.real_monotonic() - began < 1


def test_a_time_out_does_not_overtake_what_is_on_its_way(clock):
    """A thread that needs two tenths of a second is answered within a time-out of one virtual second."""
    assert DelayedLoop(clock).run(asyncio.wait_for(answer(0.2), 1)) is None
    assert clock.now < 1


def test_a_job_in_the_loops_own_pool_is_waited_for_too(clock):
    """Nobody awaits it by name, and still no timer comes before it."""

    async def main():
        done = []
        asyncio.get_running_loop().run_in_executor(None, lambda: (real_sleep(0.1), done.append(1)))
        await asyncio.sleep(60)
        return done

    assert DelayedLoop(clock).run(main()) == [1]


def test_a_listener_that_never_hears_anything_stops_nobody(clock, monkeypatch):
    """A background task that waits for a socket for ever delays the first jump of time alone."""
    monkeypatch.setattr(module, "QUIET", 0.1)

    async def listen():
        await asyncio.get_running_loop().create_future()

    async def main():
        task = asyncio.ensure_future(listen())
        await asyncio.sleep(10)
        await asyncio.sleep(10)
        return task.done()

    assert DelayedLoop(clock).run(main()) is False


def test_a_deadlock_is_told_with_who_waits_where(clock):
    """A lock taken twice is a deadlock at once, since nothing can come from outside."""

    async def main():
        lock = asyncio.Lock()
        async with lock, lock:
            pass

    with pytest.raises(Deadlock, match=r"main waits for Lock held by main at .*test_engine_delayed_loop.py"):
        DelayedLoop(clock).run(main())


def test_a_loop_that_never_comes_to_its_end_is_a_livelock(clock):
    """Spinning ends by the number of steps, sleeping for ever by the horizon."""

    async def spin(seconds):
        while True:
            await asyncio.sleep(seconds)

    with pytest.raises(Livelock):
        DelayedLoop(clock, max_steps=500).run(spin(0))
    with pytest.raises(Livelock):
        DelayedLoop(clock).run(spin(1000))


def test_what_never_comes_from_outside_is_no_deadlock(clock, monkeypatch):
    """Who else might answer is not known, so the execution is given up, with the place."""
    monkeypatch.setattr(module, "QUIET", 0.05)
    monkeypatch.setattr(module, "STALLED", 0.1)

    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stalled, match=r"main waits for future at .*test_engine_delayed_loop.py"):
        DelayedLoop(clock).run(main())


def test_what_is_left_is_ended(clock):
    """Tasks, also those that catch a cancellation once, and generators left half-way end with the execution."""
    ended = []

    async def stubborn():
        try:
            await answer(5)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            ended.append("stubborn")

    async def counting():
        try:
            yield 1
        finally:
            ended.append("counting")

    async def main():
        asyncio.ensure_future(stubborn())  # noqa: RUF006 - left behind is the point
        async for _ in counting():
            break
        await answer(0)

    DelayedLoop(clock).run(main())
    assert sorted(ended) == ["counting", "stubborn"]


def test_tasks_that_are_done_are_let_go(clock):
    """A backend that makes a task for each call is not taken for one whose memory grows."""

    async def main():
        seen = []
        for _ in range(50):
            task = asyncio.ensure_future(turn(0))
            seen.append(weakref.ref(task))
            await task
        return sum(one() is not None for one in seen)

    assert DelayedLoop(clock).run(main()) <= 2


def test_trouble_nobody_sees_is_kept(clock):
    """What a callback raises is noise of the execution."""

    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    loop = DelayedLoop(clock)
    loop.run(main())
    assert [text for text in loop.noise if "ZeroDivisionError" in text]


THREAD_LEFT = """
import asyncio, threading
from pytest_keyconform.engine import abandoning
from pytest_keyconform.engine.abandoning import Abandoning
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.delayed.loop import DelayedLoop

async def main():
    threading.Thread(target=threading.Event().wait).start()
    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    await asyncio.sleep(0)

with Abandoning():
    DelayedLoop(VirtualClock()).run(main())
print("over")
"""


def test_a_thread_that_is_left_does_not_keep_the_process():
    """The interpreter ends although a thread and a job of a pool wait for ever."""
    ran = subprocess.run([sys.executable, "-c", THREAD_LEFT], capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout) == (0, "over\n"), ran.stderr


def test_a_callback_that_calls_for_itself_lets_tasks_go_on(clock):
    """Anyio's cancellation is delivered by such a callback, until the task has gone on."""

    async def main():
        loop, stopped = asyncio.get_running_loop(), []

        def again():
            if not stopped:
                loop.call_soon(again)

        again()
        for _ in range(3):
            await asyncio.sleep(0)
        stopped.append(True)
        return "went on"

    assert DelayedLoop(clock).run(main()) == "went on"


def test_no_time_passes_while_an_answer_is_expected(clock):
    """A loop is told of what it cannot see; the timer is due only when that has not come for long."""

    async def main():
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        thread = threading.Thread(target=lambda: (real_sleep(0.1), loop.call_soon_threadsafe(event.set)))
        thread.start()
        loop.expecting = lambda _timed: thread.is_alive()
        async with asyncio.timeout(5):
            await event.wait()
        return clock.now

    assert DelayedLoop(clock).run(main()) < 1
