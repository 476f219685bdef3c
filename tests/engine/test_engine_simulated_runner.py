"""Simulated processes over one store: races between their commands, and deaths at each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue.steps import advance, crash, record, restart, usage
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.simulated.runner import SimulatedRunner
from pytest_keyconform.engine.threads.world import ThreadWorld
from pytest_keyconform.operation import Answered
from pytest_keyconform.workload import Given, Workload

ROOT = Path(__file__).parents[1] / "mutants"
ONE, SEVEN = record("key-1", tokens=1), record("key-1", tokens=7)


@pytest.fixture
def runner_of():
    """A factory of runners for targets among the stored managers, in a world that is entered."""
    clock = VirtualClock()
    target = resolve("managers.stored:SqliteManager", roots=(ROOT,))
    with clock, ThreadWorld(clock, target.modules) as world:

        def make(text):
            found = resolve(text, roots=(ROOT,))
            return SimulatedRunner(found, clock, seed=0, world=world, is_async="Async" in text or "Copy" in text)

        yield make


def counts(runner, budget=60, **parts):
    """What `usage` answers at the end of each execution, as requests and tokens, and whether every order was tried."""
    scheduler = Bounded(last=2)
    seen = set()
    for _ in range(budget):
        if not scheduler.begin():
            break
        workload = Workload(name="w", given=Given(), finale=(usage("key-1"),), apart=True, **parts)
        last = runner.run(workload, scheduler).history.operations[-1]
        answer = last.value if isinstance(last.response, Answered) else {}
        seen.add((answer["rpm"], answer["tpm"]))
    return seen


@pytest.mark.parametrize("text", ["managers.stored:SqliteManager", "managers.stored:AsyncSqliteManager"])
def test_one_statement_loses_nothing_in_any_order(runner_of, text):
    """Two instances that add in the store count both reports, whoever's command comes first."""
    assert counts(runner_of(text), clients=((ONE,), (SEVEN,))) == {(2, 8)}


def test_a_row_that_is_read_and_written_is_lost_in_some_order(runner_of):
    """Between the two commands of one instance another one's can come."""
    assert counts(runner_of("planted.durability:ReadThenWritten"), clients=((ONE,), (SEVEN,))) > {(2, 8)}


@pytest.mark.parametrize("at, kept", [(0, (2, 2)), (1, (3, 9))])
def test_a_kill_at_a_command_loses_that_call_alone(runner_of, at, kept):
    """The call dies before its command of that number; what was recorded before and after is kept."""
    killed = record("key-1", tokens=7, kill=at)
    assert counts(runner_of("managers.stored:SqliteManager"), budget=1, clients=((ONE, killed, ONE),)) == {kept}


def test_restarts_crashes_and_pauses_are_steps(runner_of):
    """Each of them is followed by an instance on the same storage; time passes virtually."""
    steps = (ONE, restart(), ONE, advance(1), crash(), ONE)
    assert counts(runner_of("managers.stored:SqliteManager"), budget=1, setup=steps, clients=(steps,)) == {(6, 6)}


def test_it_tells_whether_it_controls_a_backend(runner_of):
    """Commands of SQLite are choice points; writes to files are not, and are left to real processes."""
    assert runner_of("managers.stored:SqliteManager").controls()
    assert runner_of("managers.stored:AsyncSqliteManager").controls()
    assert not runner_of("managers.filed:FileManager").controls()
