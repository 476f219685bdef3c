"""From the address of a backend in another process to a conversation with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.adapters.launching import Launched, placed
from pytest_keyconform.adapters.wire import Dialogue
from pytest_keyconform.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_keyconform.adapters.registered import Entry
    from pytest_keyconform.adapters.wire import Line


def reach(entry: Entry, roots: Sequence[Path]) -> Dialogue:
    """Start what is to be started, and answer the conversation; raises `TargetError` where there is none."""
    settings, address = placed(entry.settings, entry.address)
    kind, _, rest = address.partition(":")
    if kind == "https":
        raise TargetError(f"{address!r}: https is not spoken; name http://host:port, on this machine")
    folder = roots[0] if roots else None
    line: Line
    if kind == "stdio":
        from pytest_keyconform.adapters.stdio import Stdio

        line = Stdio(rest, folder=folder)
    else:
        from pytest_keyconform.adapters.http import Http

        line = Http(address, network=bool(settings.get("network")))
    launched = None
    if settings.get("start"):
        launched = Launched(settings, address, folder=folder)
    return Dialogue(line, address, launched)
