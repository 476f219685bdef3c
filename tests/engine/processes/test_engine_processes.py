"""Real processes on one storage: what each did is put in one order, kills leave what they should, nobody stays."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue.steps import acquire, crash, record, restart, usage
from pytest_keyconform.engine.processes.pool import Unforked, Zygote
from pytest_keyconform.engine.processes.runner import ProcessRunner, ranked
from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.operation import Answered, Invocation, Operation, Raised
from pytest_keyconform.workload import Given, Workload

ROOT = Path(__file__).parents[2] / "mutants"
READ = (usage("key-1"),)


def runner_of(text):
    """The runner of a target among the stored managers."""
    return ProcessRunner(resolve(text, roots=(ROOT,)), seed=0)


@pytest.fixture(scope="module")
def counting():
    """The runner of a manager over SQLite; its processes are forked from one interpreter."""
    return runner_of("managers.stored:SqliteManager")


def ran(runner, **parts):
    """The operations of one execution, as name and answer."""
    scheduler = RandomWalk(0)
    scheduler.begin()
    execution = runner.run(Workload(name="w", given=Given(), apart=True, **parts), scheduler)
    return [(one.client, one.name, told(one.response)) for one in execution.history.operations]


def told(response):
    """A value, what was raised, or that nothing came back."""
    if isinstance(response, Raised):
        return response.kind
    return "pending" if response is None else response.value


def children():
    """How many processes this one has started and not ended."""
    numbers = [path.name for path in Path("/proc").iterdir() if path.name.isdigit()]
    return sum(_parent(number) == os.getpid() for number in numbers)


def test_a_storage_is_shared_by_setup_clients_and_finale(counting):
    """Each has a process of its own; what was answered as recorded by one is read by the next."""
    done = ran(counting, setup=(record("key-1"),), clients=((record("key-1"),), (record("key-1"),)), finale=READ)
    assert done[-1] == (0, "usage", {"rpm": 3, "tpm": 3, "rpd": 3})
    assert sorted(done[2:-2]) == [
        (client, name, value) for client in (1, 2) for name, value in (("open", None), ("record", True))
    ]


def test_a_killed_call_stays_pending_and_another_process_goes_on(counting):
    """The kill at the first touch loses the report, one beyond the last touch kills nobody."""
    done = ran(counting, clients=((record("key-1", kill=0), record("key-1")),), finale=READ)
    assert [one[1:] for one in done if one[0]] == [
        ("open", None),
        ("record", "pending"),
        ("crash", None),
        ("record", True),
    ]
    assert done[-1][2]["rpm"] == 1
    done = ran(counting, clients=((record("key-1", kill=50), record("key-1")),), finale=READ)
    assert done[-1][2]["rpm"] == 2


def test_restarts_and_crashes_between_calls_keep_what_was_recorded(counting):
    """A store that is written through loses nothing by either."""
    steps = (record("key-1"), restart(), record("key-1"), crash(), record("key-1"))
    assert ran(counting, clients=(steps,), finale=READ)[-1][2]["rpm"] == 3


def test_coroutines_are_awaited_in_a_worker():
    """An asynchronous backend has an event loop in each process."""
    done = ran(runner_of("managers.stored:AsyncSqliteManager"), clients=((acquire("a"),),) * 2, finale=READ)
    assert sorted(one for one in done if one[1] == "acquire") == [(1, "acquire", "key-1"), (2, "acquire", "key-1")]


def test_a_file_is_half_written_where_the_kill_comes_within_a_write():
    """Writing over a file is found out: the next process cannot read what is left of it."""
    steps = (record("key-1"), record("key-1", kill=2))
    done = ran(runner_of("planted.durability:WritesOver"), clients=(steps,))
    assert [one[1:] for one in done if one[0]] == [
        ("open", None),
        ("record", True),
        ("record", "pending"),
        ("crash", "JSONDecodeError"),
    ]


def test_no_process_is_left_behind(counting):
    """The interpreter that workers are forked from ends with its runner, and its workers with it."""
    runner = runner_of("managers.stored:SqliteManager")
    ran(runner, clients=((record("key-1"),),))
    gc.collect()  # what earlier tests left is not counted
    before = children()
    del runner
    gc.collect()
    assert children() == before - 1


def _parent(name):
    try:
        return int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_target_that_cannot_be_imported_there_is_named(monkeypatch):
    """What a fresh interpreter cannot import is said, not waited for."""
    target = resolve("managers.stored:SqliteManager", roots=(ROOT,))
    monkeypatch.setattr("sys.path", [path for path in sys.path if "mutants" not in path])
    with pytest.raises(Unforked, match=r"managers\.stored:SqliteManager cannot be imported"):
        Zygote(target).fork()


def test_stamps_become_places_in_one_order():
    """Calls and returns of all processes are numbered by their time; what never returned has none."""

    def operation(called, returned, client):
        return Operation(
            invocation=Invocation("status"),
            response=None if returned is None else Answered({}),
            called=called,
            returned=returned,
            at=0.0,
            until=0.0,
            client=client,
        )

    told = ranked([operation(500, 900, 1), operation(100, None, 2), operation(600, 700, 3)])
    assert [(one.client, one.called, one.returned) for one in told] == [(2, 1, None), (1, 2, 5), (3, 3, 4)]
