"""Several sound instances on one storage are not accused of keeping what others changed to themselves."""

from __future__ import annotations

import managers.several
import pytest
import twins.several
from judging import started, target_of, told


@pytest.mark.parametrize(
    "twin",
    [managers.several.SeveralCached, managers.several.SeveralOnAFile, twins.several.ToldByAThread],
    ids=lambda twin: twin.__name__,
)
def test_who_hears_of_changes_in_time_is_not_accused(twin):
    """A copy with an end, a file that is read at each call, and a thread that watches all obey in time."""
    report = started(target_of(twin), select=("DUR09",)).judge("DUR09")
    assert report.status == "conforms", told(report)
