"""What lasts long and ends all the same, and what the harness itself holds on to meanwhile."""

from __future__ import annotations

import sys

import pytest

from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.catalogue.steps import acquire, advance, census, record, reopened
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.survey import survey
from pytest_keyconform.history import Ending
from pytest_keyconform.workload import Given, Workload

HOURS = 18_000
SOURCE = '''
import asyncio
import threading
import weakref

from pytest_keyconform import Adapter, Lease


class Ticking:
    """A thread of its own wakes up each second, until it is closed."""

    def __init__(self, api_keys):
        self.keys, self.over = list(api_keys), threading.Event()
        self.worker = threading.Thread(target=self.work, daemon=True)
        self.worker.start()

    def work(self):
        while not self.over.wait(1.0):
            pass

    def get_key(self, model_name=None):
        return self.keys[0]

    def update_usage(self, model_name, key):
        return True

    def close(self):
        self.over.set()
        self.worker.join()


class Patient:
    """Waits for as long as it declares, and then gives up."""

    policies = {"exhaustion": "blocks", "deadline": 5000.0}

    def __init__(self, api_keys):
        self.keys = list(api_keys)

    async def get_key(self, model_name=None):
        await asyncio.sleep(5000.0)
        return ""

    async def update_usage(self, model_name, key):
        return True


class Ending:
    """Needs a real loop, and leaves a thread at its opening that ends a moment later."""

    def __init__(self, api_keys):
        self.keys, self.moment = list(api_keys), threading.Event()

    async def init(self):
        threading.Thread(target=self.moment.wait, args=(0.02,), daemon=True).start()

    async def get_key(self, model_name=None):
        return self.keys[0]

    async def update_usage(self, model_name, key):
        return True


class Handles(Adapter):
    """Answers a lease with a handle of its own, and knows how many of those are held by anybody."""

    policies = {"tenure": "rotation"}
    most = 0

    def __init__(self, pool):
        super().__init__(pool)
        self.known = weakref.WeakSet()

    async def acquire(self):
        handle = Ending([])
        self.known.add(handle)
        Handles.most = max(Handles.most, len(self.known))
        return Lease(self.pool.api_keys[0], handle)

    async def record(self, lease):
        return lease.handle in self.known
'''


@pytest.fixture
def run(tmp_path):
    """A function that runs steps on one of those managers, on the engine that judges it."""
    (tmp_path / "patient_managers.py").write_text(SOURCE, encoding="utf-8")
    clock = VirtualClock()

    def running(name, *steps, real=False):
        with clock:
            target = resolve(f"patient_managers:{name}", roots=(tmp_path,), targets={})
            backend = survey(target, clock, seed=0, real=real)
            scheduler = Bounded(last=0)
            scheduler.begin()
            with backend.world:
                return backend.usual.run(Workload(name="w", given=Given(), setup=steps), scheduler).history

    return running


def test_a_worker_may_wake_up_each_second_for_hours(run):
    """Hours of a thread that only waits are no livelock."""
    history = run("Ticking", advance(HOURS), acquire())
    assert (history.ending, history.operations[-1].value) == (Ending.FINISHED, "key-1")


def test_calls_may_wait_for_as_long_as_they_declare(run):
    """Two waits that are longer together than a program may last are no livelock."""
    history = run("Patient", acquire(), acquire())
    assert (history.ending, [one.value for one in history.operations[1:]]) == (Ending.FINISHED, ["", ""])


def test_a_thread_that_is_about_to_end_is_not_counted(run):
    """A thread that ends by itself in a moment of real time is nothing that is left."""
    history = run("Ending", reopened(), census(), real=True)
    assert history.operations[-1].value["threads"] == 0


def test_leases_that_are_taken_for_reports_are_not_kept(run):
    """What the harness takes to report on is let go once it has another one: else it would look like a leak."""
    history = run("Handles", *(record("key-1") for _ in range(30)), acquire())
    assert history.operations[-1].value == "key-1"
    assert sys.modules["patient_managers"].Handles.most <= 3
