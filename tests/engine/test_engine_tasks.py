"""The task engine: what a history holds of calls that never end."""

from __future__ import annotations

import pytest

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue.steps import acquire, fail, step
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.survey import survey
from pytest_keyconform.history import Ending
from pytest_keyconform.operation import Answered, Cancelled
from pytest_keyconform.workload import Given, Workload

SOURCE = '''
import asyncio


class Stuck:
    """Acquire takes its lock again where it serves a key; a failure report waits for that lock."""

    def __init__(self, pool):
        self._keys = list(pool.api_keys)
        self._lock = asyncio.Lock()

    async def get_key(self, model_name=None):
        async with self._lock:
            if model_name == "m2":
                return self._keys[0]
            async with self._lock:
                return self._keys[0]

    async def handle_api_failure(self, api_key, model_name, retries):
        async with self._lock:
            return self._keys[0]
'''


@pytest.fixture
def run(tmp_path):
    """A function that runs clients against that manager, under the first schedule."""
    (tmp_path / "stuck_manager.py").write_text(SOURCE, encoding="utf-8")
    clock = VirtualClock()

    def running(*clients, setup=()):
        with clock:
            target = resolve("stuck_manager:Stuck", roots=(tmp_path,), targets={})
            runner = survey(target, clock, seed=0).usual
            scheduler = Bounded(last=0)
            scheduler.begin()
            workload = Workload(name="stuck", given=Given(), setup=setup, clients=clients)
            return runner.run(workload, scheduler).history

    return running


def test_a_call_that_never_ends_stays_pending(run):
    """However its task is ended after the deadlock, the call is told as one that never answered."""
    history = run(setup=(acquire(),))
    assert history.ending is Ending.DEADLOCK
    assert [operation.name for operation in history.operations if operation.pending] == ["acquire"]


def test_who_waits_for_what_is_told(run):
    """Each client that is stuck is named with its call, what it waits for, and the line."""
    history = run((acquire(),), (fail("key-1", status=None),))
    told = {blocked.client: str(blocked) for blocked in history.blocked}
    assert told[1].startswith("acquire(")
    assert told[2].startswith("fail(")
    assert all("waits for Lock held by client-1" in line for line in told.values())
    assert all("stuck_manager.py:" in line for line in told.values())


def test_a_cancelled_call_is_no_pending_one(run):
    """A call that the workload itself cancels is told as cancelled, and what follows is answered."""
    after = acquire(model="m2")
    history = run(setup=(step("acquire", model="m1", cancel=0), after))
    cancelled, answered = history.operations[1:]
    assert isinstance(cancelled.response, Cancelled)
    assert isinstance(answered.response, Answered)
    assert history.ending is Ending.FINISHED
