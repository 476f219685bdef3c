"""The watchdog: whatever a block does, it is interrupted, and nothing of the watching is left behind."""

import _thread
import asyncio
import contextlib
import signal
import threading
import time

import pytest

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop
from pytest_keyconform.engine.watchdog import TimedOut, Watchdog

SOON = 0.03  # seconds of real time
LATE = 30.0


def spin():
    while True:
        pass


def wait_for_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def spin_in_a_task():
    async def main():
        spin()

    ControlledLoop(VirtualClock()).run(main())


HANGS = {
    "a loop": spin,
    "a sleep in C": lambda: time.sleep(LATE),
    "a lock": wait_for_lock,
    "an event": lambda: threading.Event().wait(LATE),
    "a task": spin_in_a_task,
}


@pytest.fixture(autouse=True)
def _nothing_is_left():
    """After each test the handler and the timer are as before, and no thread is left; another's may have ended."""
    before, threads = (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)), _thread._count()
    yield
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == before
    assert _thread._count() <= threads


@pytest.mark.parametrize("hang", HANGS)
def test_a_hang_is_interrupted(hang):
    """Loops and waits in C end with `TimedOut` in the main thread."""
    started = time.monotonic()
    with pytest.raises(TimedOut), Watchdog(SOON) as dog:
        HANGS[hang]()
    assert dog.fired
    assert time.monotonic() - started < LATE / 2


def test_a_block_in_time_is_left_alone():
    """A block that ends in time is not interrupted, and the watchdog can be used again."""
    dog = Watchdog(LATE)
    for _ in range(2):
        with dog:
            pass
        assert not dog.fired


def test_a_swallowed_interruption_comes_again():
    """A block that swallows everything is interrupted again and again, and `fired` tells."""
    swallowed = 0
    with pytest.raises(TimedOut), Watchdog(SOON) as dog:
        while swallowed < 2:
            try:
                spin()
            except BaseException:  # noqa: BLE001 - what a backend may do
                swallowed += 1
        spin()
    assert dog.fired
    assert swallowed == 2


def test_a_block_may_end_after_swallowing():
    """Where the exception does not come out, `fired` tells."""
    with Watchdog(SOON) as dog, contextlib.suppress(BaseException):  # what a backend may do
        spin()
    assert dog.fired


def test_an_exception_of_the_block_comes_out():
    """Errors of the block are none of the watchdog's business."""
    with pytest.raises(ZeroDivisionError), Watchdog(LATE):
        _ = 1 / 0


def test_the_loop_is_clean_after_an_interruption():
    """An interrupted run leaves no running loop, and the next run works."""
    closed = []

    async def main():
        async def hang():
            try:
                spin()
            finally:
                closed.append("hang")

        await asyncio.gather(hang(), asyncio.sleep(10**6))

    with pytest.raises(TimedOut), Watchdog(SOON):
        ControlledLoop(VirtualClock()).run(main())
    assert closed == ["hang"]
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert ControlledLoop(VirtualClock()).run(asyncio.sleep(1, "well")) == "well"


def test_it_works_on_the_virtual_clock():
    """Frozen time does not stop the watchdog."""
    with VirtualClock() as clock, pytest.raises(TimedOut), Watchdog(SOON):
        spin()
    assert clock.now == 0.0


def test_a_timer_set_before_is_back():
    """Another's handler and timer are there afterwards, with what was left of its time."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: None)
    mine = signal.getsignal(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, LATE, 7.0)
    try:
        with pytest.raises(TimedOut), Watchdog(SOON):
            spin()
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert signal.getsignal(signal.SIGALRM) is mine
        assert LATE / 2 < left < LATE
        assert interval == 7.0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_timer_that_is_due_earlier_is_heard():
    """An outer watchdog with less time interrupts the block of an inner one."""
    with pytest.raises(TimedOut), Watchdog(SOON) as outer, Watchdog(LATE) as inner:
        spin()
    assert outer.fired
    assert not inner.fired


def test_a_watchdog_in_a_thread_interrupts_it():
    """Outside of the main thread a running block is interrupted too, and the guarding thread ends with it."""
    seen = []

    def work():
        for block in (spin, lambda: None):
            try:
                with Watchdog(SOON if block is spin else LATE) as dog:
                    block()
                seen.append((dog.fired, "ended"))
            except TimedOut:
                seen.append((dog.fired, "timed out"))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(True, "timed out"), (False, "ended")]


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_senseless_time_out_is_refused(seconds):
    """A time-out must be more than nothing."""
    with pytest.raises(ValueError, match="expected more than 0"):
        Watchdog(seconds)
