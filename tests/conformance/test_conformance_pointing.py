"""A call that never answers is told by the invariant that is about it, whichever one met it."""

import dataclasses

from pytest_keyconform.conformance.pointing import pointed
from pytest_keyconform.report import InvariantReport

CONFORMS = InvariantReport(id="LIVE01", family="LIVE", title="every call ends", level="must", status="conforms")
MET = dataclasses.replace(
    CONFORMS, id="QUO05", status="inconclusive", reason="record never answered (deadlock: record()); see LIVE01"
)


def test_who_is_pointed_to_does_not_conform():
    """Where another met a deadlock LIVE01 is inconclusive, and says who met it; what it found itself stands."""
    met, live = pointed((MET, CONFORMS))
    assert (met, live.status, live.cut_short) == (MET, "inconclusive", True)
    assert live.reason == "QUO05 met it: record never answered (deadlock: record())"
    violated = dataclasses.replace(CONFORMS, status="violated")
    assert pointed((MET, violated)) == (MET, violated)


def test_nobody_is_pointed_to_where_all_answered():
    """Results without a deadlock stay as they are."""
    other = dataclasses.replace(MET, reason="its clock cannot be moved")
    assert pointed((CONFORMS, other)) == (CONFORMS, other)
