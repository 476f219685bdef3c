"""A controlled loop."""

import pytest

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop


@pytest.fixture
def loop():
    return ControlledLoop(VirtualClock())
