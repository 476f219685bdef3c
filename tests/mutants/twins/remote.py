"""Sound managers that need a real event loop."""

from __future__ import annotations

from managers.remote import InAThread, OverSockets
from managers.rich import RichManager


class SoundOverSockets(OverSockets, RichManager):
    """Each command of the store waits for a socket."""


class SoundInAThread(InAThread, RichManager):
    """Each command of the store waits for a thread."""
