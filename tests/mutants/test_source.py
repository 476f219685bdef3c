"""No sound manager that reads limits from a source is accused, whatever way it does so."""

import os

import pytest
from judging import judged, started, target_of, told
from twins import sourced
from twins.declared import FallsBack

TWINS = sourced.TWINS if "PROOF_SEEDS" in os.environ else sourced.TWINS[::3]  # a proof judges all of them
HIDDEN = {"SRC02", "SRC05"}  # limits do not show where what is over them is served


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.__name__)
def test_a_sound_reader_of_a_source_is_not_accused(twin):
    """Every rule about a source is judged, and kept."""
    reports = judged(started(target_of(twin), select=("SRC",), profile="smoke"))
    expected = {"not-applicable", "conforms"} if twin.policies == FallsBack.policies else {"conforms"}
    assert [told(report) for report in reports.values() if report.status not in expected] == []
    assert {name for name, report in reports.items() if report.status == "not-applicable"} <= HIDDEN


@pytest.mark.parametrize(
    "target", ["managers.stored:SqliteManager", "managers.rich:RichManager", "twins.shapes:VersionOne"]
)
def test_who_asks_no_source_is_not_judged_by_it(target):
    """A backend that sends no request, or cannot be told the address, is told what it lacks."""
    reports = judged(started(target, select=("SRC",)))
    assert {report.status for report in reports.values()} == {"not-applicable"}
    assert {report.lacking for name, report in reports.items() if name not in HIDDEN} == {("limits_source",)}
