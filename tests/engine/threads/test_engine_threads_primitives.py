"""What `threading`, `queue` and `concurrent.futures` offer works under control, in virtual time."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
import time
from threading import Lock, RLock
from types import SimpleNamespace

import pytest

BOUND = Lock()  # made and bound before any world was entered
QUEUE = queue.Queue()


def plain():
    """A state with nothing in it."""
    return SimpleNamespace(log=[], lock=Lock(), rlock=RLock())


def test_a_bound_lock_made_at_import_is_controlled(lab):
    """``from threading import Lock`` and a lock of the module exclude each other's holders, and nobody hangs."""

    def client(state):
        with BOUND, state.lock, state.rlock:
            state.log.append("in")
            assert BOUND.locked()
            state.log.append("out")

    wrong, _, scheduler = lab.search(plain, [client, client], lambda s: s.log == ["in", "out"] * 2)
    assert wrong is None
    assert scheduler.exhausted
    assert type(BOUND).__name__ == "ControlledLock"


def test_a_queue_made_at_import_is_controlled(lab):
    """Its conditions share one lock, which is replaced once for all of them."""

    def putter(state):
        QUEUE.put("k")

    def getter(state):
        state.log.append(QUEUE.get(timeout=5))

    wrong, _, _ = lab.search(plain, [getter, putter], lambda s: s.log == ["k"], budget=100)
    assert wrong is None


@pytest.mark.parametrize("wait", ["lock", "condition", "event", "semaphore", "queue", "barrier", "join", "future"])
def test_time_outs_take_virtual_time(lab, wait):
    """A wait that nothing ends lasts as long as it says, and no real time."""

    def client(state):
        begun = time.monotonic()
        if wait == "lock":
            lock = threading.Lock()
            lock.acquire()
            assert not lock.acquire(timeout=100)
        elif wait == "condition":
            condition = threading.Condition()
            with condition:
                assert not condition.wait(100)
        elif wait == "event":
            assert not threading.Event().wait(100)
        elif wait == "semaphore":
            assert not threading.Semaphore(0).acquire(timeout=100)
        elif wait == "queue":
            with pytest.raises(queue.Empty):
                queue.Queue().get(timeout=100)
        elif wait == "barrier":
            with pytest.raises(threading.BrokenBarrierError):
                threading.Barrier(2).wait(100)
        elif wait == "join":
            sleeper = threading.Thread(target=time.sleep, args=(1000,), daemon=True)
            sleeper.start()
            sleeper.join(100)
            assert sleeper.is_alive()
        else:
            with pytest.raises(concurrent.futures.TimeoutError):
                concurrent.futures.Future().result(timeout=100)
        state.log.append(time.monotonic() - begun)

    wrong, _, _ = lab.search(plain, [client], lambda s: s.log == [pytest.approx(100)], budget=1)
    assert wrong is None


def test_workers_of_a_backend_take_turns_too(lab):
    """A thread that a client starts, and an executor's, are interleaved: both lose counts without a lock."""

    def client(state):
        def add():
            state.used = state.used + 1

        state.used = 0
        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        state.log.append(state.used)

    wrong, _, _ = lab.search(plain, [client], lambda s: s.log == [2], budget=500)
    assert wrong == "broken"


def test_executors_map_submit_and_shut_down(lab):
    """Results, exceptions and the end of an executor are those of `concurrent.futures`."""

    def client(state):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            state.log += pool.map(str, range(3))
            failed = pool.submit(int, "x")
            state.log.append(type(failed.exception()).__name__)

    wrong, _, _ = lab.search(plain, [client], lambda s: s.log == ["0", "1", "2", "ValueError"], budget=30)
    assert wrong is None


def test_a_timer_rings_in_virtual_time(lab):
    """`threading.Timer` runs its function when its time has come, and not when it was cancelled."""

    def client(state):
        threading.Timer(30, state.log.append, ("rung",)).start()
        stopped = threading.Timer(10, state.log.append, ("never",))
        stopped.start()
        stopped.cancel()
        time.sleep(60)
        state.log.append("woken")

    wrong, _, _ = lab.search(plain, [client], lambda s: s.log == ["rung", "woken"], budget=50)
    assert wrong is None


def test_a_thread_that_dies_tells_the_hook(lab, monkeypatch):
    """What a thread of the backend dies of reaches `threading.excepthook`, as ever."""
    seen = []
    monkeypatch.setattr(threading, "excepthook", lambda dying: seen.append(dying.exc_type))

    def client(state):
        thread = threading.Thread(target=int, args=("x",))
        thread.start()
        thread.join()
        with pytest.raises(RuntimeError, match="only be started once"):
            thread.start()

    wrong, _, _ = lab.search(plain, [client], budget=1)
    assert (wrong, seen) == (None, [ValueError])


def test_current_thread_is_the_one_that_was_started(lab):
    """Names, daemons and thread-local values are kept apart, though OS threads are used again."""
    local = threading.local()

    def client(state):
        def work():
            state.log.append((threading.current_thread().name, hasattr(local, "value")))
            local.value = 1

        for _ in range(2):
            thread = threading.Thread(target=work, name="mine")
            thread.start()
            thread.join()

    wrong, _, _ = lab.search(plain, [client], lambda s: s.log == [("mine", False)] * 2, budget=1)
    assert wrong is None
