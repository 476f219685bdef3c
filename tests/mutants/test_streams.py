"""Streams of many designs are judged, and none that is sound is accused."""

import pytest
import twins.reference
import twins.streaming
from judging import judged, started, target_of, told

from pytest_keyconform import Adapter

IDS = ("STR01", "STR02", "STR03", "STR04")


class SendsNothing(Adapter):
    """Its stream is made up, so that no provider is asked."""

    async def acquire(self):
        return self.pool.api_keys[0]

    async def stream(self):
        yield "made up"


class ReadsNothing(twins.streaming.StreamsInTurn):
    """It asks the provider, and has another notion of what comes."""

    async def stream(self, model, pool):
        async for chunk in super().stream(model, pool):
            if chunk.startswith("never"):
                yield chunk


@pytest.mark.parametrize("twin", [*twins.streaming.SOUND, *twins.reference.SOUND], ids=lambda twin: twin.__name__)
def test_a_sound_stream_conforms(twin):
    """Each promise about streams is judged, and kept: by the reference, and by designs unlike it."""
    reports = judged(started(target_of(twin), select=IDS, profile="smoke"))
    assert [told(report) for report in reports.values() if report.status != "conforms"] == []
    assert tuple(reports) == IDS


@pytest.mark.parametrize("factory", [SendsNothing, ReadsNothing], ids=lambda factory: factory.__name__)
def test_a_stream_that_is_not_seen_is_inconclusive(factory, monkeypatch):
    """A stream that the provider of the harness has no part in neither passes nor fails, and the reason says why."""
    monkeypatch.setattr(twins.streaming, factory.__name__, factory, raising=False)
    reports = judged(started(f"twins.streaming:{factory.__name__}", select=IDS[:3], profile="smoke"))
    assert {report.status for report in reports.values()} == {"inconclusive"}
    said = "no request of its stream" if factory is SendsNothing else "passes nothing on"
    assert all(said in report.reason for report in reports.values())
