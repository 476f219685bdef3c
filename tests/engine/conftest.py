"""A controlled loop, and no threads of other tests."""

import weakref

import pytest

from pytest_keyconform.engine import abandoning
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop


@pytest.fixture
def loop():
    return ControlledLoop(VirtualClock())


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """No thread that a backend of another test has left: a loop that stands still would wait for its answer."""
    monkeypatch.setattr(abandoning, "_started", weakref.WeakSet())
