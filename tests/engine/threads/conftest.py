"""Running small programs in threads under control."""

from __future__ import annotations

import sys

import pytest

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.search.replay import Replay
from pytest_keyconform.engine.threads.turns import Ended
from pytest_keyconform.engine.threads.world import ThreadWorld


class Lab:
    """Runs clients on a state, under one schedule after the other. ``turns`` are those of the last execution."""

    def __init__(self):
        self.clock = VirtualClock()
        self.roots = [sys.modules[__name__]]
        self.world = ThreadWorld(self.clock, lambda: self.roots)
        self.turns = None

    def once(self, setup, workers, scheduler, *, calls=False, max_points=20_000):
        """Run one execution; answer the state and how it ended: None, deadlock, livelock, or what a client raised."""
        self.clock.reset()
        raised = []

        def guarded(worker, state):
            def body():
                try:
                    worker(state)
                except Exception as error:  # noqa: BLE001 - whatever a client raises
                    raised.append(error)

            return body

        with self.world.turns(scheduler.choose, max_points=max_points) as self.turns:
            state = setup()
            try:
                bodies = [guarded(worker, state) for worker in workers]
                names = [f"client-{number}" for number in range(1, len(bodies) + 1)]
                self.world.run(self.turns, bodies, names, calls=calls)
            except Ended:
                return state, self.turns.standstill.kind
        return state, raised[0] if raised else None

    def search(self, setup, workers, holds=None, *, budget=2000, last=3, **more):
        """Search until something is wrong; answer what, after how many executions, and the scheduler."""
        scheduler = Bounded(last=last)
        count = 0
        while count < budget and scheduler.begin():
            count += 1
            state, ended = self.once(setup, workers, scheduler, **more)
            wrong = ended or (None if holds is None or holds(state) else "broken")
            if wrong:
                return wrong, count, scheduler
        return None, count, scheduler

    def replayed(self, setup, workers, holds, scheduler, *, times=100, **more):
        """Replay what a search found; answer how often each end came."""
        replay = Replay(scheduler.schedule(), times=times)
        ends = []
        while replay.begin():
            state, ended = self.once(setup, workers, replay, **more)
            ends.append(ended or ("fine" if holds(state) else "broken"))
        return {end: ends.count(end) for end in ends}


@pytest.fixture
def lab(request):
    """A world that is entered; everything is as it was afterwards."""
    lab = Lab()
    lab.roots = getattr(request.module, "ROOTS", [request.module])
    with lab.clock, lab.world:
        yield lab
