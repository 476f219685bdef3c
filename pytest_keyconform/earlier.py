"""Counterexamples that earlier runs found, kept in pytest's cache folder: they are tried first."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

Tokens: TypeAlias = "dict[str, dict[str, str]]"
"""Replay tokens: by target, then by id."""

KEY = "keyconform/counterexamples"  # in pytest's cache
FOLDER = ".pytest_cache"


def tokens_in(found: object) -> Tokens:
    """Answer what a cache holds; nothing for what is none of ours, since a cache may be lost at any time."""
    if not isinstance(found, dict):
        return {}
    return {
        target: {id_: token for id_, token in by_id.items() if isinstance(token, str)}
        for target, by_id in found.items()
        if isinstance(by_id, dict)
    }


def read(root: Path) -> Tokens:
    """Read what runs in this folder found, with pytest or without."""
    with suppress(OSError, ValueError):
        return tokens_in(json.loads(_path(root).read_text(encoding="utf-8")))
    return {}


def write(root: Path, tokens: Tokens) -> None:
    """Keep them for the next run, where the disk lets us."""
    with suppress(OSError):
        path = _path(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        ignored = root / FOLDER / ".gitignore"
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
        path.write_text(json.dumps(tokens, indent=2, ensure_ascii=True), encoding="utf-8")


def _path(root: Path) -> Path:
    return root / FOLDER / "v" / KEY
