"""Small faulty programs are found out within few executions, and their sound twins never."""

from __future__ import annotations

import programs.threads
import programs.threads_harder
import pytest
from programs import HARDER, TOYS

PAIRS = [pair for pair in (*TOYS, *HARDER) if pair.threads]
ROOTS = [programs.threads, programs.threads_harder]
ENDLESS = {"U5 executor"}  # twins with more orders than a test should run


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_fault_is_found_and_replayed(lab, pair):
    """Within 200 executions and two deviations, as what it is, and 100 replays of 100 show it again."""
    program = pair.faulty
    wrong, count, scheduler = lab.search(program.setup, program.workers, program.holds, budget=200)
    assert wrong == pair.shows
    assert count <= 200
    assert len(scheduler.schedule().deviations) <= 2
    assert lab.replayed(program.setup, program.workers, program.holds, scheduler) == {pair.shows: 100}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_a_sound_twin_is_never_accused(lab, pair):
    """Every order of the twin is tried, or some hundred of them, and nothing is wrong with any."""
    program = pair.sound
    wrong, _, scheduler = lab.search(program.setup, program.workers, program.holds, budget=300, last=None)
    assert wrong is None
    assert lab.turns.overlapped
    assert scheduler.exhausted or pair.name in ENDLESS


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair.name[0] in "TD"], ids=lambda pair: pair.name)
def test_a_twin_under_one_lock_has_an_order_for_each_order_of_its_clients(lab, pair):
    """Who stands before a lock that is held is no choice, so that nothing is tried twice."""
    program = pair.sound
    _, count, scheduler = lab.search(program.setup, program.workers, program.holds, last=None)
    assert scheduler.exhausted
    assert count == {2: 2, 3: 6}[len(program.workers)]
