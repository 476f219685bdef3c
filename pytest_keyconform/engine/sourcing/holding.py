"""What an opening does while the source withholds its answer: whether it blocks the loop, and how long it would wait.

Nothing here goes by how quick the machine is. Who holds the loop up stands in a call that blocks, seen where it stands;
who waits too long does so on the virtual clock, or on a socket whose time-out can be read, or long beyond any doubt.
"""

from __future__ import annotations

import inspect
import queue
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_keyconform.adapters import resolve
from pytest_keyconform.engine.threads.runner import place

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from types import FrameType

SLICE: Final = (
    0.05  # seconds of real time between two looks; counted in looks, so that a stopped machine counts nothing
)
SLACK: Final = 1.0  # seconds beyond the deadline
BEYOND: Final = 3.0  # seconds of real time beyond the deadline
MOST: Final = 11.0  # seconds of real time: a loop on which nothing comes is given up a little later
UNSURE: Final = 400  # looks after which the timers of a loop are taken to go on for ever
STILL: Final = 3  # looks in which who stands in a read of the source's own socket has not moved
BEAT: Final = 40  # looks from one call into the loop to the next: time in which it can see that nothing else comes
WAITING: Final = 10  # looks in which who waits for another thread or process has not moved
STUCK: Final = 60  # looks in which who stands anywhere else has not moved

WAITS: Final = frozenset(module.__file__ for module in (queue, subprocess, threading))

IN_A_FACTORY: Final = "the source is read by a factory that is no coroutine: whether a loop runs then is the caller's"
ON_AND_ON: Final = "an opening goes on and on, in steps of its own, while the source does not answer"


@dataclass(frozen=True, slots=True)
class Opening:
    """An opening that is going on: its thread, its loop if there is one, and since when, in virtual seconds."""

    thread: int
    loop: asyncio.AbstractEventLoop | None
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found, as in `Asked`; ``ended`` tells that the answer need not be withheld any longer."""

    blocked: str = ""
    outlasted: str = ""
    undecided: str = ""
    ended: bool = False

    def joined(self, later: Finding) -> Finding:
        """Answer both, the first one first."""
        return Finding(
            blocked=self.blocked or later.blocked,
            outlasted=self.outlasted or later.outlasted,
            undecided=self.undecided or later.undecided,
        )


class Watch:
    """Looks at an opening every `SLICE`, as long as one answer is withheld."""

    def __init__(self, port: int, deadline: float) -> None:
        self.slices = 0
        self._port = port
        self._deadline = deadline
        self._beats = 0  # those the loop was asked for
        self._heard = 0  # those it answered
        self._stood: tuple[object, ...] = ()
        self._still = 0

    def look(self, opening: Opening, now: float) -> Finding:
        """Look once more, ``now`` in virtual seconds."""
        self.slices += 1
        frames = list(_frames(opening.thread))
        stands = tuple((id(frame), frame.f_lasti) for frame in frames)
        self._still = self._still + 1 if stands == self._stood else 0
        self._stood = stands
        if now - opening.since > self._deadline + SLACK:
            return Finding(ended=True)  # the record of the opening tells
        if opening.loop is None:
            return self._without_loop(frames)
        return self._on_loop(opening.loop, frames)

    def _without_loop(self, frames: list[FrameType]) -> Finding:
        read = next(_sockets(frames, self._port), None) if self._still >= STILL else None
        patience = 0.0 if read is None else read.gettimeout()
        if patience is None or patience > self._deadline + SLACK:
            how = "without a time-out" if patience is None else f"with a time-out of {patience:g} s"
            return Finding(outlasted=f"it reads {how} at {_place(frames)}", ended=True)
        if self.slices * SLICE > self._deadline + BEYOND:
            return Finding(
                outlasted=f"it still waits after {self.slices * SLICE:.0f} s at {_place(frames)}", ended=True
            )
        return Finding()

    def _on_loop(self, loop: asyncio.AbstractEventLoop, frames: list[FrameType]) -> Finding:
        if self._beats == self._heard:
            self._still = 0
            if self.slices % BEAT == 1:
                self._beats += 1
                with suppress(RuntimeError):  # it is closed
                    loop.call_soon_threadsafe(self._beat)
        elif self._blocks(frames):
            if _in_a_factory(frames):
                return Finding(undecided=IN_A_FACTORY, ended=True)
            return Finding(blocked=_place(frames), ended=True)
        seconds = self.slices * SLICE
        if not _timers(loop) and seconds > min(self._deadline + BEYOND, MOST):
            if seconds <= self._deadline + SLACK:
                return Finding(undecided=f"it waits for more than {seconds:.0f} s of real time", ended=True)
            return Finding(outlasted=f"it still waits after {seconds:.0f} s, and has set no time-out", ended=True)
        return Finding(undecided=ON_AND_ON, ended=True) if self.slices > UNSURE else Finding()

    def _beat(self) -> None:
        self._heard += 1

    def _blocks(self, frames: list[FrameType]) -> bool:
        """Tell whether the loop's thread stands in a call that blocks: in a read of our answer, a wait, or for long."""
        if self._still < STILL or not frames:
            return False
        waits = self._still >= WAITING and frames[0].f_code.co_filename in WAITS
        return waits or self._still >= STUCK or next(_sockets(frames, self._port), None) is not None


def _frames(thread: int) -> Iterator[FrameType]:
    """Yield where a thread stands, innermost first."""
    frame = sys._current_frames().get(thread)  # noqa: SLF001 - the only way to see it
    while frame is not None:
        yield frame
        frame = frame.f_back


def _sockets(frames: list[FrameType], port: int) -> Iterator[socket.socket]:
    """Yield the sockets to this port that block and that a function on the way in is about."""
    for frame in frames:
        for value in list(frame.f_locals.values()):
            found = value if isinstance(value, socket.socket) else _held(value)
            if isinstance(found, socket.socket) and found.gettimeout() != 0 and _leads_to(found, port):
                yield found


def _held(value: object) -> object:
    try:
        return object.__getattribute__(value, "_sock")  # runs none of the backend's code
    except AttributeError:
        return None


def _leads_to(found: socket.socket, port: int) -> bool:
    try:
        return bool(found.getpeername()[1] == port)
    except (OSError, IndexError):
        return False


def _place(frames: list[FrameType]) -> str:
    return place(frames[0])[0] if frames else ""


def _timers(loop: asyncio.AbstractEventLoop) -> bool:
    return any(not one.cancelled() for one in list(loop._scheduled))  # type: ignore[attr-defined] # noqa: SLF001 - no public way


def _in_a_factory(frames: list[FrameType]) -> bool:
    """Tell whether the backend was made, not opened, and by plain functions alone."""
    for frame in frames:
        if frame.f_code is resolve.Target.made.__code__:
            return True
        own = frame.f_code.co_filename == resolve.__file__
        if not own and frame.f_code.co_flags & inspect.CO_COROUTINE:
            return False
    return False
