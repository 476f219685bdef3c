"""Lines that tell how far a run is."""

from pytest_keyconform.engine.tally import TALLY
from pytest_keyconform.progress import EVERY, Progress


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_short_run_is_silent():
    """Within the first half minute nothing is told."""
    lines, clock = [], Clock()
    progress = Progress("app", 3, lines.append, clock=clock)
    progress.begin("ACQ01")
    clock.now += EVERY - 1
    progress.look()
    progress.end()
    assert lines == []


def test_what_a_line_tells():
    """A line tells what was judged, how long is left, and how many executions the present invariant has had."""
    lines, clock = [], Clock()
    progress = Progress("app", 4, lines.append, clock=clock)
    progress.begin("ACQ01")
    progress.end()
    progress.begin("ACQ02")
    TALLY.add()
    clock.now += 40
    progress.look()
    progress.look()
    assert lines == [
        "keyconform app: 1 of 4 invariants judged in 40 s, about 2 min left; now ACQ02, 1 execution so far"
    ]


def test_before_anything_was_judged():
    """Nobody knows how long is left before one invariant was judged."""
    lines, clock = [], Clock()
    progress = Progress("app", 4, lines.append, clock=clock)
    progress.begin("ACQ01")
    clock.now += EVERY
    progress.look()
    assert lines == ["keyconform app: 0 of 4 invariants judged in 30 s; now ACQ01, 0 executions so far"]
