"""Backends written for trio are judged on trio, in orders that a chooser makes."""

import itertools

import pytest
import trio
import trio.lowlevel
from judging import judged, started, told
from managers import on_trio

from pytest_keyconform.engine.abandoning import Abandoning
from pytest_keyconform.engine.clock import UPTIME, VirtualClock
from pytest_keyconform.engine.loop import Deadlock, Livelock
from pytest_keyconform.engine.on_trio.turns import Turns
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.search.replay import Replay

SOUND = ("ACQ01", "ACQ02", "QUO01", "QUO02", "FAIL03", "FAIL13", "FMT05", "LIVE01", "LIVE04", "TIME01", "LIFE06")


@pytest.fixture
def clock():
    with VirtualClock() as clock, Abandoning():
        yield clock


def clients(turns, steps, log):
    """Run a client for each number of steps, which tells its number after each checkpoint."""

    async def client(number, count):
        for _ in range(count):
            await trio.lowlevel.checkpoint()
            log.append(number)

    async def main():
        turns.exploring = True
        async with trio.open_nursery() as nursery:
            for number, count in enumerate(steps, start=1):
                nursery.start_soon(turns.client, number, f"client-{number}", client(number, count))
        turns.exploring = False
        return "done"

    return main()


def test_clients_take_turns_in_every_order(clock):
    """Two clients of two checkpoints make all six orders, and each schedule makes its order again."""
    search, orders = Bounded(), {}
    while search.begin():
        turns, log = Turns(clock), []
        assert turns.run(clients(turns, (2, 2), log), search.choose) == "done"
        orders[search.schedule()] = tuple(log)
    assert set(orders.values()) == set(itertools.permutations((1, 1, 2, 2)))
    for schedule, order in orders.items():
        replay, log = Replay(schedule), []
        assert replay.begin()
        turns = Turns(clock)
        turns.run(clients(turns, (2, 2), log), replay.choose)
        assert tuple(log) == order


def test_time_only_jumps(clock):
    """A sleep of a day takes none, and time-outs come in the order of their times."""
    told = []

    async def main():
        with trio.move_on_after(3600):
            await trio.sleep(7000)
        told.append(trio.current_time() - UPTIME)
        await trio.sleep(1800)
        told.append(clock.now)

    Turns(clock).run(main())
    assert told == pytest.approx([3600, 5400])


def test_a_thread_is_waited_for(clock):
    """What a thread answers comes before any time passes."""

    async def main():
        with trio.move_on_after(1000):
            return await trio.to_thread.run_sync(sum, (1, 2)), clock.now

    assert Turns(clock).run(main()) == (3, 0)


def test_a_deadlock_is_named(clock):
    """Clients that wait for each other are named, with the lock and the line."""
    turns = Turns(clock)
    locks = [trio.Lock(), trio.Lock()]

    async def take(first, second):
        async with first:
            await trio.lowlevel.checkpoint()
            async with second:
                pass

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(turns.client, 1, "client-1", take(*locks))
            nursery.start_soon(turns.client, 2, "client-2", take(*reversed(locks)))

    with pytest.raises(Deadlock) as caught:
        turns.run(main())
    assert {one.task for one in caught.value.pending} == {"client-1", "client-2"}
    assert {one.waits_for for one in caught.value.pending} == {"Lock.__aenter__"}
    assert all(":" in one.where for one in caught.value.pending)


async def spins():
    while True:
        await trio.lowlevel.checkpoint()


async def shielded():
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()


@pytest.mark.parametrize("hang, kind", [(spins, Livelock), (shielded, Deadlock)])
def test_what_never_ends_is_ended(clock, hang, kind):
    """A task that spins, and one that no cancellation reaches, end the execution with a name."""
    with pytest.raises(kind):
        Turns(clock, max_steps=500).run(hang())
    assert Turns(clock).run(clients(Turns(clock), (), [])) == "done"


def test_what_a_client_raises_comes_out(clock):
    """An error of the program is no verdict of the scheduler's."""

    async def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Turns(clock).run(main())


def test_a_sound_manager_on_trio_is_not_accused():
    """A manager with trio's locks, nurseries and checkpoints conforms, and the report names the engine."""
    reports = judged(started("managers.on_trio:TrioManager", select=SOUND, profile="smoke"))
    wrong = [told(one) for one in reports.values() if one.status in ("violated", "inconclusive")]
    assert not wrong
    assert reports["ACQ01"].status == reports["QUO01"].status == "conforms"
    assert {engine for one in reports.values() for engine in one.engines} == {"delayed-tasks"}


@pytest.mark.parametrize(
    "manager, id",
    [(on_trio.TrioServesTwice, "ACQ01"), (on_trio.TrioLosesCounts, "QUO01"), (on_trio.TrioWaitsForItself, "LIVE01")],
)
def test_a_bug_between_checkpoints_is_found(manager, id):
    """A lost update and a deadlock on trio are found, and a replay finds them again."""
    conformance = started(f"managers.on_trio:{manager.__name__}", select=(id,))
    report = conformance.judge(id)
    assert report.status == "violated", told(report)
    assert conformance.replay(report.counterexample.replay).status == "violated"
