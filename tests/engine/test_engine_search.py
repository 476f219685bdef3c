"""The strategies: bugs are found soon, sound programs are not accused, and every schedule can be replayed."""

import asyncio
import itertools
from types import SimpleNamespace

import pytest

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop, Deadlock, Livelock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.search.course import FAIR_AT
from pytest_keyconform.engine.search.pct import PriorityWalk
from pytest_keyconform.engine.search.portfolio import Portfolio
from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.engine.search.replay import Replay
from pytest_keyconform.schedule import Base, Schedule

STAGGER = 3  # awaits that each client makes before it comes to the point, times its number


class Toy:
    """A small pool with one planted bug, and its sound twin: two or three clients and what must hold afterwards."""

    bug = "violation"
    clients = 2

    def __init__(self, *, sound):
        self.sound = sound
        self.lock = asyncio.Lock()
        self.got = []

    async def client(self, number):
        for _ in range(STAGGER * number):
            await asyncio.sleep(0)
        if self.sound:
            async with self.lock:
                await self.use(number)
        else:
            await self.use(number)

    def holds(self):
        return len(set(self.got)) == len(self.got)


class RoundRobin(Toy):
    """A1: the index is read before an await and written after it."""

    index = 0

    async def use(self, number):
        index = self.index
        await asyncio.sleep(0)
        self.index = index + 1
        self.got.append(index)


class LostUpdate(Toy):
    """A2: two counts become one."""

    used = 0

    async def use(self, number):
        seen = self.used
        await asyncio.sleep(0)
        self.used = seen + 1

    def holds(self):
        return self.used == self.clients


class Quota(Toy):
    """A3: the limit is checked before an await, and spent after it."""

    clients = 3
    used = 0

    async def use(self, number):
        if self.used < 2:
            await asyncio.sleep(0)
            self.used += 1

    def holds(self):
        return self.used <= 2


class Released(Toy):
    """A4: a key is picked under the lock, checked without it, and taken under it again."""

    async def client(self, number):
        for _ in range(STAGGER * number):
            await asyncio.sleep(0)
        async with self.lock:
            key = len(self.got)
            if self.sound:
                self.got.append(key)
        await asyncio.sleep(0)
        if not self.sound:
            async with self.lock:
                self.got.append(key)


class Cycle(Toy):
    """A5: looking for a working key ends when the first one comes round, which another caller may take."""

    bug = "livelock"

    def __init__(self, *, sound):
        super().__init__(sound=sound)
        self.keys = itertools.cycle(["k1", "k2"])

    async def client(self, number):
        for _ in range(STAGGER * number):
            await asyncio.sleep(0)
        first = next(self.keys)
        for _ in range(2) if self.sound else itertools.count():
            await asyncio.sleep(0)
            if next(self.keys) == first and not self.sound:
                return


class Crossed(Toy):
    """A6: two locks are taken in opposite order."""

    bug = "deadlock"

    def __init__(self, *, sound):
        super().__init__(sound=sound)
        self.other = asyncio.Lock()

    async def client(self, number):
        for _ in range(STAGGER * number):
            await asyncio.sleep(0)
        first, second = (self.other, self.lock) if number and not self.sound else (self.lock, self.other)
        async with first:
            await asyncio.sleep(0)
            async with second:
                pass


class Window(Toy):
    """A7: another's whole use fits into the window between two looks."""

    used = uses = 0
    free = True

    async def use(self, number):
        if number == 0:
            seen = self.used
            await asyncio.sleep(0)
            if self.free:
                self.used, self.uses = seen + 1, self.uses + 1
        else:
            self.free = False
            await asyncio.sleep(0)
            self.used, self.uses = self.used + 1, self.uses + 1
            await asyncio.sleep(0)
            self.free = True

    def holds(self):
        return self.used == self.uses


TOYS = [RoundRobin, LostUpdate, Quota, Released, Cycle, Crossed, Window]


def execute(toy, choose, *, sound=False):
    """Run one execution; answer what was wrong with it."""
    loop = ControlledLoop(VirtualClock(), max_steps=2500)

    async def main():
        pool = toy(sound=sound)
        loop.exploring = True
        await asyncio.wait([asyncio.ensure_future(pool.client(number)) for number in range(toy.clients)])
        return pool

    try:
        pool = loop.run(main(), choose)
    except Deadlock:
        return "deadlock"
    except Livelock:
        return "livelock"
    return None if pool.holds() else "violation"


def explore(toy, scheduler, budget, *, sound=False):
    """Run until something is wrong; answer what, and how many executions that took."""
    for number in range(1, budget + 1):
        if not scheduler.begin():
            return None, number - 1
        wrong = execute(toy, scheduler.choose, sound=sound)
        if wrong:
            return wrong, number
    return None, budget


def orders(counts, scheduler, *, budget=100_000):
    """Run clients of so many steps until nothing is left to try; answer the order of the steps of each execution."""
    seen = []
    while len(seen) < budget and scheduler.begin():
        log = []

        async def client(number, steps, log=log):
            for step in range(steps):
                if step:
                    await asyncio.sleep(0)
                log.append(number)

        async def main():
            asyncio.get_running_loop().exploring = True
            clients = [client(number, steps) for number, steps in enumerate(counts)]
            await asyncio.wait([asyncio.ensure_future(one) for one in clients])

        ControlledLoop(VirtualClock()).run(main(), scheduler.choose)
        seen.append(tuple(log))
    return seen


@pytest.mark.parametrize("toy", TOYS)
def test_a_planted_bug_is_found_soon(toy):
    """Each toy bug is found within 64 executions, by at most two deviations, and a hundred replays show it again."""
    bounded = Bounded()
    assert explore(toy, bounded, 64)[0] == toy.bug
    schedule = bounded.schedule()
    assert len(schedule.deviations) <= 2
    replay = Replay(Schedule.parse(str(schedule)), times=100)
    shown = 0
    while replay.begin():
        shown += execute(toy, replay.choose) == toy.bug
        assert replay.schedule() == schedule
    assert shown == 100
    assert not replay.diverged


@pytest.mark.parametrize("toy", TOYS)
@pytest.mark.parametrize(
    "strategy",
    [Bounded, lambda: RandomWalk(1), lambda: PriorityWalk(1), lambda: Portfolio(seed=1, budget=300)],
    ids=["bounded", "random", "pct", "portfolio"],
)
def test_a_sound_program_is_not_accused(toy, strategy):
    """No strategy finds anything wrong with the sound twin of a toy."""
    assert explore(toy, strategy(), 300, sound=True)[0] is None


@pytest.mark.parametrize("toy", TOYS)
def test_the_portfolio_finds_every_bug(toy):
    """The strategies in turn find each toy bug, and its schedule replays."""
    portfolio = Portfolio(seed=3, budget=1000)
    assert explore(toy, portfolio, 1000)[0] == toy.bug
    replay = Replay(portfolio.schedule())
    assert replay.begin()
    assert execute(toy, replay.choose) == toy.bug


@pytest.mark.parametrize("toy", [toy for toy in TOYS if toy is not Cycle])
@pytest.mark.parametrize("walk", [RandomWalk, PriorityWalk])
def test_a_walk_finds_races_alone(walk, toy):
    """Random walks and PCT find each race by themselves, and each of their schedules replays."""
    scheduler = walk(5)
    assert explore(toy, scheduler, 2000)[0] == toy.bug
    replay = Replay(Schedule.parse(str(scheduler.schedule())), times=3)
    while replay.begin():
        assert execute(toy, replay.choose) == toy.bug


@pytest.mark.parametrize("counts", [(1, 1, 1), (2, 2), (3, 2), (2, 2, 2), (1, 3, 1)])
def test_every_order_is_tried_and_none_twice(counts):
    """The bounded search runs every interleaving of a small program, and then says that it did."""
    bounded = Bounded()
    seen = orders(counts, bounded)
    steps = [number for number, count in enumerate(counts) for _ in range(count)]
    assert set(seen) == set(itertools.permutations(steps))
    assert bounded.exhausted
    assert bounded.steady


def test_no_sequence_of_choices_runs_twice():
    """Both bases and the fair tails together never make the same choices in two executions."""
    bounded, seen, made = Bounded(), [], []

    class Spy:
        def begin(self):
            if made:
                seen.append(tuple(made))
                made.clear()
            return bounded.begin()

        def choose(self, ready, current):
            made.append(bounded.choose(ready, current))
            return made[-1]

    orders((2, 2, 1), Spy())
    assert len(seen) == len(set(seen)) > 30


def test_fewer_deviations_come_first():
    """Schedules come in the order of their bound, from both bases, with fair tails among them."""
    bounded = Bounded()
    schedules, bounds = [], []
    while bounded.begin() and len(schedules) < 400:
        orders((4, 4), SimpleNamespace(begin=iter([True, False]).__next__, choose=bounded.choose))
        schedules.append(bounded.schedule())
        bounds.append(bounded.bound)
    assert bounds == sorted(bounds)
    assert schedules[0] == Schedule()
    assert {schedule.base for schedule in schedules} == set(Base)
    assert any(schedule.fair_from is not None for schedule in schedules)


def test_a_bound_is_kept_and_can_be_raised():
    """`begin` answers False at the last bound, and goes on where it was once that is raised."""
    bounded = Bounded(last=0)
    first = orders((3, 3), bounded)
    assert not bounded.exhausted
    bounded.last = None
    rest = orders((3, 3), bounded)
    assert bounded.exhausted
    assert len(set(first + rest)) == 20


def test_a_program_without_a_choice_is_exhausted_at_once():
    """One execution is every order of a program of one client."""
    bounded = Bounded()
    assert len(orders((5,), bounded)) == 1
    assert bounded.exhausted


def test_the_portfolio_keeps_its_budget():
    """The portfolio ends with its budget, or sooner where every order was tried."""
    large = Portfolio(seed=0, budget=50)
    assert len(orders((4, 4, 4), large)) == 50
    assert not large.exhausted
    small = Portfolio(seed=0, budget=500)
    assert len(orders((2, 1), small)) < 20
    assert small.exhausted


@pytest.mark.parametrize("walk", [RandomWalk, PriorityWalk, lambda seed: Portfolio(seed=seed, budget=100)])
def test_a_seed_is_a_search(walk):
    """The same seed makes the same schedules, another seed others."""
    same = [orders((3, 3, 3), walk(seed), budget=100) for seed in (7, 7, 8)]
    assert same[0] == same[1] != same[2]


def test_a_program_of_its_own_mind_is_told():
    """Where the same choices lead elsewhere, nobody says that every order was tried."""
    bounded, executions = Bounded(), itertools.count()
    while bounded.begin():
        for _ in range(1 + next(executions) % 3):
            bounded.choose([0, 1], None)
    assert not bounded.steady
    assert not bounded.exhausted


def test_a_replay_of_another_program_is_told():
    """A schedule that names a task that is not ready is followed as far as possible, and told to diverge."""
    replay = Replay(Schedule(deviations=((0, 4),)))
    assert replay.begin()
    assert replay.choose([0, 1], None) == 1
    assert replay.diverged
    assert not replay.begin()


@pytest.mark.parametrize("strategy", [Bounded, lambda: PriorityWalk(0), lambda: RandomWalk(0)])
def test_nobody_starves_for_ever(strategy):
    """A task that spins until another has run is no livelock: each strategy becomes fair in the end."""

    async def main():
        done = []

        async def spinner():
            while not done:
                await asyncio.sleep(0)

        async def other():
            await asyncio.sleep(0)
            done.append(1)

        asyncio.get_running_loop().exploring = True
        await asyncio.gather(spinner(), other())

    scheduler = strategy()
    for _ in range(30):
        assert scheduler.begin()
        loop = ControlledLoop(VirtualClock())
        loop.run(main(), scheduler.choose)
        if loop.steps > FAIR_AT:
            assert scheduler.schedule().fair_from is not None
        replay = Replay(scheduler.schedule())
        again = ControlledLoop(VirtualClock())
        assert replay.begin()
        again.run(main(), replay.choose)
        assert again.steps == loop.steps
