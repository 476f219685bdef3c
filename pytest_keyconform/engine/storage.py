"""The folder that a backend whose state lasts is given: of one execution alone, gone after it."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.adapters.resolve import Target


def new_storage(target: Target) -> Path | None:
    """Make a folder, where the target declares that its state lasts; None elsewhere."""
    if target.policies.durability == "none":
        return None
    return Path(tempfile.mkdtemp(prefix="keyconform-", dir=_quick_folder()))


def tear(storage: Path | None, how: str) -> None:
    """Damage each file of a storage: cut it to ``half``, overwrite it (``garbled``), or leave it ``empty``."""
    for path in sorted(storage.rglob("*")) if storage is not None else ():
        if path.is_file():
            kept = path.read_bytes()
            torn = {"half": kept[: len(kept) // 2], "garbled": b"\xff\x00" * (len(kept) // 2), "empty": b""}
            path.write_bytes(torn[how])


def wipe(storage: Path | None) -> None:
    """Remove all that is in a storage."""
    for path in storage.iterdir() if storage is not None else ():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@contextmanager
def blocked(storage: Path | None) -> Iterator[None]:
    """Put a plain file in the place of a storage, while inside: nothing can be opened below it."""
    if storage is None:
        yield
        return
    aside = storage.with_name(f"{storage.name}-aside")
    storage.rename(aside)
    storage.write_bytes(b"")
    try:
        yield
    finally:
        storage.unlink()
        aside.rename(storage)


def remove(storage: Path | None) -> None:
    """Remove such a folder, whatever is in it."""
    if storage is not None:
        shutil.rmtree(storage, ignore_errors=True)


@contextmanager
def lent(target: Target) -> Iterator[Path | None]:
    """Make a folder for as long as the block lasts."""
    storage = new_storage(target)
    try:
        yield storage
    finally:
        remove(storage)


@functools.cache
def _quick_folder() -> str | None:
    """Answer a folder in memory where there is one, so that a store's flushing costs nothing; None: the usual one."""
    memory = "/dev/shm"  # noqa: S108 - the folder made there has a random name, and is this user's own
    return memory if os.access(memory, os.W_OK) else None
