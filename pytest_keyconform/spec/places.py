"""Where scenario files are read from and saved to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

BUILTIN = "builtin"
"""The name of the scenarios that are shipped, where a path may stand."""


def place_of(text: str, folder: Path) -> str:
    """Answer a path of scenarios from this folder on; `BUILTIN`, and what is behind it, is a name and no path."""
    return text if text.partition("/")[0] == BUILTIN else str(folder / text)


def made(path: Path, *, said: str) -> Path:
    """Answer a folder that is there, made where it was not; ``said`` is what named it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"{said}: expected a folder to save to, found {path} ({error.strerror}); name another one"
        ) from None
    return path
