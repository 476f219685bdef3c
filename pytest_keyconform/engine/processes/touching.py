"""What a call does to the storage: dying at one of these touches, and pausing at some, in a worker process."""

from __future__ import annotations

import builtins
import fcntl
import io
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    import random
    import sqlite3
    from collections.abc import Callable

OFTEN = 0.25  # the share of touches at which the process pauses
LONGEST = 0.002  # seconds of such a pause: others get as far as a whole call meanwhile
PAUSE = 0.002  # seconds between two attempts at a lock of another process
_real_open = io.open
_real_sleep = time.sleep
REPLACED = ("fsync", "rename", "replace", "truncate", "unlink", "write")


def die() -> NoReturn:
    """End this process as SIGKILL does: nothing is flushed, nothing is said."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # never reached


class Touches:
    """Counts down to the touch to die at; None: live. Also whom the connections of SQLite tell of commands.

    ``chance`` draws the pauses, while it is set: between a reading and a writing, and while a lock is held, others have
    the time to come in between, which they hardly ever do in the few microseconds that it takes a quick machine.
    """

    def __init__(self) -> None:
        self.dies_at: int | None = None
        self.storage = ""
        self.chance: random.Random | None = None

    def touch(self, half: Callable[[], object] | None = None) -> None:
        """Be told of a touch; where the process dies at it, do ``half`` of it first."""
        self.pause()
        if self.dies_at is None:
            return
        self.dies_at -= 1
        if self.dies_at < 0:
            if half is not None:
                half()
            die()

    def pause(self) -> None:
        """Let others come first, or do not."""
        if self.chance is not None and self.chance.random() < OFTEN:
            _real_sleep(self.chance.random() * LONGEST)

    def install(self) -> None:
        """Replace what writes files, for the rest of this process."""
        builtins.open = io.open = self._open
        for name in REPLACED:
            setattr(os, name, self._told(getattr(os, name)))
        for name in ("flock", "lockf"):
            setattr(fcntl, name, self._holding(getattr(fcntl, name)))

    def _holding(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def locked(*arguments: Any) -> Any:  # noqa: ANN401 - as the function it stands for
            answer = function(*arguments)
            self.pause()
            return answer

        return locked

    def _told(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def told(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the function it stands for
            self.touch()
            return function(*arguments, **named)

        return told

    def _open(self, file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as open
        ours = not isinstance(file, int) and str(Path(os.fsdecode(file)).absolute()).startswith(self.storage)
        if not self.storage or not ours or not set(mode) & set("wax+"):
            return _real_open(file, mode, *more, **named)
        self.touch()
        return Written(_real_open(file, mode, *more, **named), self)

    # -- `simulated.sqlite.Commands`

    def begin(self, command: str) -> None:  # noqa: ARG002 - told, and not needed
        """Be told of a store command."""
        self.touch()

    def check(self) -> None:
        """Do nothing: who is dead does not ask."""

    def wait(self, seconds: float) -> bool:
        """Wait a little for another process to let the lock go."""
        _real_sleep(min(PAUSE, seconds))
        return seconds > PAUSE

    def opened(self, connection: sqlite3.Connection) -> None:
        """Do nothing: connections end with the process."""


class Written:
    """A file of the storage that is written; dying within a write leaves half of it there."""

    def __init__(self, file: Any, touches: Touches) -> None:  # noqa: ANN401 - text or bytes
        self._file = file
        self._touches = touches

    def write(self, text: Any) -> int:  # noqa: ANN401 - text or bytes
        """Write, in two touches: before it, and in the middle."""

        def half() -> None:
            self._file.write(text[: len(text) // 2])
            self._file.flush()

        self._touches.touch()
        self._touches.touch(half)
        return int(self._file.write(text))

    def writelines(self, lines: Any) -> None:  # noqa: ANN401 - text or bytes
        """Write one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush."""
        self._touches.touch()
        self._file.flush()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a file has
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._touches.touch()
        finally:
            self._file.close()

    def __iter__(self) -> Any:  # noqa: ANN401 - its lines
        return iter(self._file)
