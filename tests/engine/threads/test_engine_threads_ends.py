"""Deadlocks and livelocks are named, and nothing is left behind, however an execution ends."""

from __future__ import annotations

import _thread
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.threads import patching
from pytest_keyconform.engine.threads.turns import running
from pytest_keyconform.engine.threads.world import ThreadWorld
from pytest_keyconform.engine.watchdog import TimedOut, Watchdog


def state_of_two():
    """Two locks and a flag."""
    return SimpleNamespace(a=threading.Lock(), b=threading.Lock(), flag=False, log=[])


def traces():
    """What could be left behind: trace functions, tools, replaced names, turns."""
    tools = [sys.monitoring.get_tool(number) for number in range(6)] if sys.version_info >= (3, 12) else []
    held = (threading.Lock, threading.RLock, _thread.allocate_lock, threading.Thread.start, threading.Thread.join)
    return sys.gettrace(), tools, held, threading._allocate_lock, list(running)


def test_a_deadlock_names_who_waits_for_what(lab):
    """The client, the lock it waits for, and who holds it."""

    def one(state):
        with state.a, state.b:
            pass

    def other(state):
        with state.b, state.a:
            pass

    wrong, count, _ = lab.search(state_of_two, [one, other], budget=50)
    assert (wrong, count) == ("deadlock", 2)
    told = lab.turns.standstill.told
    assert sorted(told.values()) == ["Lock held by client-1", "Lock held by client-2"]


def test_a_lock_taken_twice_by_its_holder_is_a_deadlock(lab):
    """One client alone is enough."""

    def client(state):
        with state.a, state.a:
            pass

    assert lab.search(state_of_two, [client], budget=1)[0] == "deadlock"


def test_a_loop_that_nobody_ends_is_a_livelock(lab):
    """Named under a schedule that is fair, so that it is no starvation."""

    def spinner(state):
        while not state.flag:
            state.log.clear()

    def starter(state):
        state.flag = False

    assert lab.search(state_of_two, [spinner, starter], budget=1, max_points=3000)[0] == "livelock"


def test_a_loop_that_another_ends_is_none(lab):
    """A client that waits actively is not accused where the other one, in its fair turn, lets it go on."""

    def spinner(state):
        while not state.flag:
            state.log.clear()

    def setter(state):
        state.flag = True

    wrong, _, _ = lab.search(state_of_two, [spinner, setter], budget=20, last=1, max_points=5000)
    assert wrong is None


def test_a_worker_that_waits_for_ever_is_no_deadlock(lab):
    """A daemon that the clients leave behind is ended with the execution."""
    before = threading.active_count()

    def client(state):
        threading.Thread(target=state.a.acquire, daemon=True).start()
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    assert lab.search(state_of_two, [client], budget=20)[0] is None
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_everything_is_put_back_after_an_abort(error):
    """Whatever is raised inside, trace functions, tool ids, names and turns are as they were."""
    before = traces()
    clock = VirtualClock()
    world = ThreadWorld(clock, list)
    with pytest.raises(error), clock, world, world.turns(None) as turns:
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        time.sleep(1)
        turns.exploring = True
        raise error
    assert traces() == before


def test_a_client_that_hangs_is_left_in_time():
    """A watchdog in the main thread ends an execution whose client never comes to a choice point."""
    before = traces()
    clock, stop = VirtualClock(), []
    world = ThreadWorld(clock, list)

    def spins():
        while not stop:
            pass

    try:
        with pytest.raises(TimedOut), clock, world, Watchdog(0.2), world.turns(Bounded().choose) as turns:
            world.run(turns, [spins, spins], ["client-1", "client-2"])
    finally:
        stop.append(True)
    assert traces() == before
    assert not turns.leaked


def test_a_client_that_swallows_its_end_is_named():
    """What cannot be ended is given up after a bounded time, and told."""
    clock, stop = VirtualClock(), []
    world = ThreadWorld(clock, list)

    def spin():
        while not stop:
            pass

    def stubborn():
        while not stop:
            try:
                spin()
            except BaseException:  # noqa: BLE001, S112 - on purpose
                continue

    try:
        with pytest.raises(TimedOut), clock, world, Watchdog(0.2), world.turns(Bounded().choose) as turns:
            world.run(turns, [stubborn], ["client-1"])
    finally:
        stop.append(True)
    assert turns.leaked == ["client-1"]


def test_worlds_may_be_entered_within_each_other(lab):
    """An entry inside of an entry changes nothing, and leaving it neither."""
    inside = threading.Lock
    with lab.world, ThreadWorld(lab.clock, list):
        assert threading.Lock is inside is patching.made_lock
    assert threading.Lock is inside


def test_other_threads_of_the_process_go_on(lab):
    """A thread that is not of the execution uses locks and sleeps as ever, and takes no turn."""
    done = []

    def outside():
        lock = threading.Lock()
        with lock:
            done.append(threading.get_ident())

    def client(state):
        _thread.start_new_thread(outside, ())
        while not done:
            state.log.clear()

    assert lab.search(state_of_two, [client], budget=1, max_points=10_000_000)[0] is None
