"""Orders of choice, and a queue of ready and parked keys."""

import math
import random

import pytest

from keyconform_reference.keys import FREE, KeyState
from keyconform_reference.selection import Lottery, Queue, Ranking, Rotation

CHOICES = {"rotation": Rotation, "lottery": Lottery, "ranking": lambda: Ranking(lambda state, now: (False, 0.0))}


class Bench:
    """A queue whose keys are out until a time of their own."""

    def __init__(self, count, choice="rotation"):
        self.states = [KeyState(f"bench-{number:05}") for number in range(count)]
        self.until = dict.fromkeys(self.states, FREE)
        self.looks = 0
        self.queue = Queue(CHOICES[choice](), self.free_at)
        self.queue.fill(self.states, 0)

    def free_at(self, state, now):
        self.looks += 1
        return self.until[state] if self.until[state] > now else FREE

    def take(self, now, avoid=None):
        state = self.queue.take(now, avoid)
        if state is not None:
            self.queue.served(state, now)
        return state


@pytest.mark.parametrize("choice", CHOICES)
def test_every_key_is_served_sooner_or_later(choice):
    """No usable key is starved."""
    random.seed(0)
    bench = Bench(5, choice)
    rounds = 200 if choice == "lottery" else 5
    assert {bench.take(0) for _ in range(rounds)} == set(bench.states)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_key_that_is_out_is_not_served_until_its_time(choice):
    """A parked key comes back by itself when its wait is over."""
    bench = Bench(2, choice)
    first, second = bench.states
    bench.until[first] = 10
    assert {bench.take(9) for _ in range(8)} == {second}
    assert {bench.take(10) for _ in range(60)} == {first, second}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_avoided_key_is_served_only_if_no_other_is_usable(choice):
    """``avoid`` is the last resort."""
    bench = Bench(2, choice)
    first, second = bench.states
    assert {bench.take(0, avoid=first) for _ in range(8)} == {second}
    bench.until[second] = math.inf
    assert bench.take(0, avoid=first) is first
    bench.until[first] = math.inf
    assert bench.take(0, avoid=first) is None


@pytest.mark.parametrize("choice", CHOICES)
def test_an_avoided_key_does_not_lose_its_turn(choice):
    """A key that was passed over is served in the round."""
    bench = Bench(3, choice)
    bench.take(0, avoid=bench.states[0])
    assert {bench.take(0) for _ in range(60 if choice == "lottery" else 2)} >= {bench.states[0]}


def test_a_key_that_something_happened_to_is_looked_at_again():
    """A key parked by hand is served once it was restored and touched."""
    bench = Bench(1)
    (state,) = bench.states
    bench.until[state] = math.inf
    assert bench.take(0) is None
    bench.until[state] = FREE
    assert bench.take(0) is None
    bench.queue.touch(state, 0)
    assert bench.take(0) is state


def test_the_next_wake_is_that_of_the_first_key_to_come_back():
    """The queue knows how long there is nothing to serve."""
    bench = Bench(3)
    for wait, state in zip((30, 20, math.inf), bench.states, strict=True):
        bench.until[state] = wait
    assert bench.take(0) is None
    assert bench.queue.next_wake() == 20
    assert bench.take(20) is bench.states[1]


@pytest.mark.parametrize("choice", CHOICES)
def test_exhausted_keys_are_not_looked_at_again_and_again(choice):
    """With all keys out, an acquire looks at none."""
    bench = Bench(1_000, choice)
    bench.until = dict.fromkeys(bench.states, 60.0)
    assert bench.take(0) is None
    bench.looks = 0
    assert [bench.take(now) for now in range(59)] == [None] * 59
    assert bench.looks == 0


@pytest.mark.parametrize("choice", CHOICES)
def test_the_end_of_a_minute_is_spread_over_the_acquires(choice):
    """When all keys come back at once, no acquire looks at all of them, and every one is served."""
    bench = Bench(1_000, choice)
    bench.until = dict.fromkeys(bench.states, 60.0)
    assert bench.take(0) is None
    bench.looks = 0
    assert bench.take(60) is not None
    assert bench.looks <= 20
    if choice != "lottery":
        assert {bench.take(60) for _ in range(999)} | {bench.take(60)} == set(bench.states)


def test_leftovers_do_not_pile_up():
    """Parking and touching one key for ever keeps the memory of the queue flat."""
    bench = Bench(2, "ranking")
    for now in range(10_000):
        bench.until[bench.states[0]] = now + 5_000.0
        bench.take(now)
        bench.queue.touch(bench.states[0], now)
        bench.queue.touch(bench.states[1], now)
    assert len(bench.queue._wakes) < 50
    assert len(bench.queue._choice._heap) < 50


class Loads:
    """Loads a test can set."""

    def __init__(self, *loads):
        self.states = [KeyState(f"load-{number:05}") for number in range(len(loads))]
        self.load = dict(zip(self.states, loads, strict=True))
        self.ranking = Ranking(lambda state, now: self.load[state])
        for state in self.states:
            self.ranking.add(state, 0)

    def order(self, now=0):
        popped = []
        while (state := self.ranking.pop(now)) is not None:
            popped.append(self.states.index(state))
        return popped


def test_the_lowest_load_is_first():
    """Keys come in the order of their loads, equals in the order they were added."""
    assert Loads((False, 2.0), (False, 1.0), (False, 1.0)).order() == [1, 2, 0]


def test_unreported_requests_count_before_any_load():
    """A key with an unreported request comes after every key without one, and those by turn, not by load."""
    assert Loads((True, 0.0), (False, 9.0), (True, 5.0)).order() == [1, 0, 2]


def test_a_load_that_grew_unseen_is_seen_when_its_turn_comes():
    """An outdated entry is ranked anew before it is served."""
    loads = Loads((False, 1.0), (False, 2.0))
    loads.load[loads.states[0]] = (False, 3.0)
    assert loads.order() == [1, 0]


def test_a_load_that_fell_is_seen_when_the_key_is_touched():
    """A touched key moves to the front."""
    loads = Loads((False, 1.0), (False, 2.0))
    loads.load[loads.states[1]] = (False, 0.0)
    loads.ranking.touch(loads.states[1], 0)
    assert loads.order() == [1, 0]


def test_loads_that_fell_with_a_minute_are_seen_after_it():
    """After the end of a minute entries are looked at anew, a few with each pop."""
    loads = Loads((False, 1.0), (False, 2.0))
    loads.order(30)
    for state in loads.states:
        loads.ranking.add(state, 30)
    loads.load[loads.states[1]] = (False, 0.0)
    assert loads.order(60) == [1, 0]
