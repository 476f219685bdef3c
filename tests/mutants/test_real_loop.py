"""Managers that need a real event loop: the bugs planted in them are caught."""

import pytest
from judging import started, told
from planted.remote import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.id}-{mutant.name}")
def test_a_planted_bug_is_caught_on_a_real_loop(mutant):
    """A bug between two awaits is found where each await is a socket or a thread, and a replay finds it again."""
    conformance = started(mutant.target, select=(mutant.id,))
    report = conformance.judge(mutant.id)
    assert (report.id, report.status) == (mutant.id, "violated"), f"{mutant.note} {told(report)}"
    assert report.engines == ("delayed-tasks",)
    again = conformance.replay(report.counterexample.replay)
    assert (again.id, again.status) == (mutant.id, "violated"), f"{mutant.note} {told(again)}"
