"""Whether a backend uses a source of limits, and what judges it with one."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pytest_keyconform.catalogue.steps import advance
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.survey import sourced
from pytest_keyconform.limits_page import Published
from pytest_keyconform.verdict import NotApplicable
from pytest_keyconform.workload import Given, Workload

if TYPE_CHECKING:
    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.survey import Backend

LATER = 1.0  # seconds after an opening in which the source is asked, where that is done beside it


class Sourcing:
    """A backend on the engines that a source needs; whether it asks one is tried once, when it is first to be known."""

    def __init__(self, backend: Backend, target: Target, clock: VirtualClock, *, seed: int) -> None:
        self.backend = sourced(backend, target, clock, seed=seed)

    @functools.cached_property
    def unused(self) -> NotApplicable | None:
        """Why nothing about a source can be judged: a first opening with a good answer sent no request to it."""
        probe = Workload(name="probe", given=Given(source=Published()), finale=(advance(LATER),))
        scheduler = Bounded(last=0)
        scheduler.begin()
        asked = self.backend.usual.run(probe, scheduler).history.asked
        if asked is not None and asked.requests:
            return None
        return NotApplicable(why="a first opening sends no request to limits_source", lacking=("limits_source",))
