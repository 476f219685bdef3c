"""`explore` finds what goes wrong in a user's own program, tells it, and never passes what it could not judge."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
from programs import HARDER, TOYS

from pytest_keyconform import Broken, Explored, NotJudged, UsageError, explore
from pytest_keyconform.errors import TokenError


def counter():
    """A count and a lock of each kind."""
    return SimpleNamespace(count=0, lock=asyncio.Lock(), mutex=threading.Lock())


async def add(state):
    seen = state.count
    await asyncio.sleep(0)
    state.count = seen + 1


async def add_locked(state):
    async with state.lock:
        await add(state)


def plain_add(state):
    state.count = state.count + 1


def two(state):
    return state.count == 2


@pytest.mark.parametrize("pair", [*TOYS, *HARDER], ids=lambda pair: pair.name)
def test_faults_are_found_and_replayed(pair):
    """Each of the programs that engines are measured on goes wrong as it should, and its token shows it again."""
    faulty = pair.faulty
    with pytest.raises(Broken) as found:
        explore(*faulty.workers, setup=faulty.setup, check=faulty.holds)
    assert str(found.value).startswith("the check answered False" if pair.shows == "broken" else pair.shows)
    with pytest.raises(Broken) as again:
        explore(*faulty.workers, setup=faulty.setup, check=faulty.holds, replay=found.value.token)
    assert again.value.token == found.value.token


@pytest.mark.parametrize("pair", [*TOYS, *HARDER], ids=lambda pair: pair.name)
def test_sound_twins_pass(pair):
    """None of their twins is accused."""
    sound = pair.sound
    done = explore(*sound.workers, setup=sound.setup, check=sound.holds, budget=200)
    assert done.executions <= 200


def test_what_holds_is_told_with_what_was_run():
    """The engine, how many executions, and whether no order is left."""
    assert explore(add_locked, add_locked, setup=counter, check=two).exhausted
    assert explore(plain_add, setup=counter, check=lambda state: state.count == 1) == Explored("threads", 1, True)


def test_without_a_state_operations_take_nothing():
    """Operations may share what they close over; a check then takes nothing either."""
    log = []

    async def one():
        log.append(1)
        await asyncio.sleep(0)

    assert explore(one, check=lambda: bool(log)).executions == 1


def test_a_state_may_be_awaited_or_entered():
    """A coroutine that makes the state is awaited, a context manager left when the execution is over."""
    left = []

    async def made():
        await asyncio.sleep(0)
        return counter()

    @contextlib.contextmanager
    def entered():
        yield counter()
        left.append(True)

    explore(add_locked, add_locked, setup=made, check=two)
    assert explore(plain_add, setup=entered).executions == 1
    assert len(left) == 1


@pytest.mark.parametrize("answer, told", [(False, "answered False"), ("keys differ", "keys differ"), (None, None)])
def test_a_judge_gets_the_whole_outcome(answer, told):
    """Results and errors of the operations, to be taken or not; what it says is on the page."""

    async def fails():
        raise KeyError("k")

    async def works():
        return 7

    def judge(outcome):
        assert (outcome.results, repr(outcome.errors[0])) == ((None, 7), "KeyError('k')")
        return answer

    if told is None:
        explore(fails, works, judge=judge)
        return
    with pytest.raises(Broken, match=told):
        explore(fails, works, judge=judge)


def test_an_operation_that_raises_is_wrong_by_itself():
    """Unless a judge takes it."""

    def fails():
        raise KeyError("k")

    with pytest.raises(Broken, match=r"an operation raised KeyError\('k'\)"):
        explore(fails)


def test_who_waits_for_what_is_told_by_the_columns_of_the_page():
    """A deadlock names its clients as the timeline does."""

    def one(state):
        state.mutex.acquire()
        state.mutex.acquire()

    with pytest.raises(Broken, match=r"deadlock: thread A waits for Lock held by thread A at .*test_exploring.py:\d+"):
        explore(one, setup=counter)


def test_what_cannot_be_put_in_order_is_not_judged():
    """Sockets, chance, and code that is never seen at a choice do not pass."""

    async def connects():
        with socket.socket() as plug:
            await asyncio.get_running_loop().sock_connect(plug, ("localhost", 1))

    async def gambles(state):
        for _ in range(random.SystemRandom().randrange(9)):
            await asyncio.sleep(0)

    with pytest.raises(NotJudged, match="sock_connect needs a real event loop"):
        explore(connects)
    with pytest.raises(NotJudged, match="depends on chance"):
        explore(gambles, gambles, setup=counter)
    with pytest.raises(NotJudged, match="is their code traced"):
        explore(abs, abs, setup=int)


@pytest.mark.parametrize(
    "operations, more, told",
    [
        ((), {}, "expected functions"),
        ((3,), {}, "expected functions"),
        ((add, plain_add), {}, "found both"),
        ((add,), {"check": two, "judge": two}, "check or judge"),
    ],
)
def test_what_cannot_be_run_is_refused(operations, more, told):
    """The message says what was expected and what was found."""
    with pytest.raises(UsageError, match=told):
        explore(*operations, **more)


@pytest.mark.parametrize("token", ["x2:tasks:f", "r1-1", "x1:threads@3.2:f", "x1:threads:f", "x1:tasks:q"])
def test_a_token_of_something_else_is_refused(token):
    """Another version, another engine, another Python, or no schedule at all."""
    with pytest.raises(TokenError, match="explore: "):
        explore(add, add, setup=counter, check=two, replay=token)


def test_nothing_is_left_behind():
    """Locks, threads and trace functions are as they were, also after a program that broke."""
    before = threading.Lock, threading.Thread.start, threading.active_count(), sys.gettrace()
    with pytest.raises(Broken):
        explore(plain_add, plain_add, setup=counter, check=two)
    assert before == (threading.Lock, threading.Thread.start, threading.active_count(), sys.gettrace())


def test_the_fixture_is_the_function(request):
    """Who would rather not import it asks pytest for it."""
    assert request.getfixturevalue("explore") is explore
