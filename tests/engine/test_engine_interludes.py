"""Steps of the harness' own around openings: new storages, blocked ones, managers that are left."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue.steps import acquire, census, fault, leave, mend, record, reopened, usage
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.tasks import TaskRunner
from pytest_keyconform.operation import Raised, Skipped
from pytest_keyconform.workload import Given, Workload

ROOT = Path(__file__).parents[1] / "mutants"


@pytest.fixture
def responses():
    """A function that runs steps on a stored manager, and answers what came of each of them."""
    clock = VirtualClock()
    target = resolve("managers.stored:AsyncSqliteManager", roots=(ROOT,))
    with clock:

        def run(*steps):
            scheduler = Bounded(last=0)
            scheduler.begin()
            workload = Workload(name="w", given=Given(), setup=steps)
            history = TaskRunner(target, clock, seed=0).run(workload, scheduler).history
            return [operation.response for operation in history.operations[1:]]

        yield run


def test_a_wiped_storage_has_nothing_in_it(responses):
    """What was counted before is gone where the storage is another one."""
    *_, read = responses(record("key-1", tokens=5), reopened(wiped=True), usage("key-1"))
    assert read.value == {"rpm": 0, "tpm": 0, "rpd": 0}


def test_a_blocked_storage_is_there_again_afterwards(responses):
    """Nothing can be opened below a file; what was counted is there once it can."""
    _, _, blocked, _, read = responses(
        record("key-1", tokens=5), leave(), reopened(blocked=True), reopened(), usage("key-1")
    )
    assert (blocked.kind, blocked.typed) == ("StoreFailed", True)
    assert read.value == {"rpm": 1, "tpm": 5, "rpd": 1}


def test_an_opening_fails_at_a_command(responses):
    """The opening after a fault fails; the store works again once it is mended, and the next one goes well."""
    *_, failed, mended, reached, served = responses(
        leave(), fault(after=1, times=1), reopened(wiped=True), mend(), reopened(), acquire()
    )
    assert isinstance(failed, Raised)
    assert [mended.value, reached.value, served.value] == [None, None, "key-1"]


def test_a_fault_that_never_came_about_is_told(responses):
    """Where no touch failed mending is left out, and says why."""
    *_, mended = responses(fault(after=1000), acquire(), mend())
    assert isinstance(mended, Skipped)
    assert "could be made to fail" in mended.why


def test_a_census_counts_connections_where_there_are_faults(responses):
    """One is open while the manager is, and none once it was left."""
    _, _, opened, _, left = responses(fault(times=0), reopened(), census(), leave(), census())
    assert (opened.value["connections"], left.value["connections"]) == (1, 0)


def test_a_pool_without_keys_may_be_refused_as_bad_input():
    """A ValueError of an opening is a refusal where no key was given, and an accident else."""
    clock = VirtualClock()
    with clock:
        scheduler = Bounded(last=0)
        scheduler.begin()
        workload = Workload(name="w", given=Given(), setup=(reopened(empty=True), reopened(keys=1)))
        target = resolve("refusing:make", roots=(Path(__file__).parent,))
        history = TaskRunner(target, clock, seed=0).run(workload, scheduler).history
    assert [operation.response.typed for operation in history.operations[1:]] == [True, False]
