"""The two locks that the rest of `threading`, `queue` and `concurrent.futures` is made of, under control.

Everything else there is Python on top of them: conditions, events, semaphores, barriers, queues, executors.
"""

from __future__ import annotations

import _thread
import threading
from typing import TYPE_CHECKING, Any

from pytest_keyconform.engine.threads.turns import Ended, running

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_keyconform.engine.threads.standing import Controlled
    from pytest_keyconform.engine.threads.turns import Turns

_real_lock, _real_rlock = _thread.allocate_lock, threading.RLock
FOREVER = -1  # the time-out of who says nothing


class _Held:
    """A lock that threads stand before.

    Outside of an execution, and for threads that are not controlled, a lock is only a mark: nobody waits. ``owner`` is
    the thread that holds it, ``epoch`` the execution in which it was taken: what an earlier one left held is free.
    """

    __slots__ = ("__weakref__", "count", "epoch", "owner")

    def __init__(self) -> None:
        self.owner: Controlled | None = None
        self.count = 0
        self.epoch: Turns | None = None

    def _state(self) -> Turns | None:
        """Answer the turns, where the calling thread takes part in them; forget what another execution left."""
        turns = running[-1] if running else None
        if turns is not self.epoch:
            self.epoch, self.owner, self.count = turns, None, 0
        return turns if turns is not None and turns.mine() else None

    def told(self) -> str:
        """Say what it is, and who holds it."""
        return f"{self.word} held by {self.owner.name}" if self.owner is not None else self.word

    word = "Lock"

    def open_to(self, number: int) -> bool:  # noqa: ARG002 - as asked of what is awaited
        """Tell whether it can be taken."""
        return self.count == 0

    def _take(self, turns: Turns | None, *, blocking: bool, timeout: float) -> bool:
        if turns is not None and not turns.ending:
            if blocking and timeout != 0:
                if not turns.wait(self, None if timeout < 0 else timeout):
                    return False
            else:
                turns.point()
                if not self.open_to(turns.current.number):
                    return False
            self.owner = turns.current
        elif self.count and not blocking:
            return False
        elif self.count and turns is not None:
            raise Ended
        self.count += 1
        return True


class ControlledLock(_Held):
    """Stands for `threading.Lock`."""

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = FOREVER) -> bool:  # noqa: FBT001, FBT002 - as threading has it
        """Take it, waiting in virtual time; False: not within ``timeout`` seconds, or not at once."""
        if not blocking and timeout != FOREVER:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return self._take(self._state(), blocking=blocking, timeout=timeout)

    def release(self) -> None:
        """Let it go; raises RuntimeError if it is not held."""
        turns = self._state()
        if not self.count:
            if turns is not None and turns.ending:
                return
            raise RuntimeError("release unlocked lock")
        self.owner, self.count = None, 0

    def locked(self) -> bool:
        """Tell whether it is held."""
        turns = self._state()
        if turns is not None:
            turns.point()
        return self.count > 0

    def _is_owned(self) -> bool:
        return self._state() is None or self.count > 0

    acquire_lock, release_lock, locked_lock = acquire, release, locked

    def _at_fork_reinit(self) -> None:
        self.owner, self.count = None, 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{'locked' if self.count else 'unlocked'} controlled Lock>"


class ControlledRLock(_Held):
    """Stands for `threading.RLock`, with what `Condition` asks of it."""

    __slots__ = ()
    word = "RLock"

    def open_to(self, number: int) -> bool:
        """Tell whether it can be taken by this thread."""
        return self.count == 0 or (self.owner is not None and self.owner.number == number)

    def acquire(self, blocking: bool = True, timeout: float = FOREVER) -> bool:  # noqa: FBT001, FBT002 - as threading has it
        """Take it, once more if it is held already; False: not within ``timeout`` seconds, or not at once."""
        turns = self._state()
        if turns is not None and self.owner is turns.current:
            self.count += 1
            return True
        return self._take(turns, blocking=blocking, timeout=timeout)

    def release(self) -> None:
        """Let it go once; raises RuntimeError if it is not held by this thread."""
        turns = self._state()
        if not self.count or (turns is not None and self.owner not in (None, turns.current)):
            if turns is not None and turns.ending:
                return
            raise RuntimeError("cannot release un-acquired lock")
        self.count -= 1
        if not self.count:
            self.owner = None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def locked(self) -> bool:
        """Tell whether it is held."""
        return self._state() is None or self.count > 0

    def _release_save(self) -> tuple[int, Controlled | None]:
        self._state()
        saved, self.count, self.owner = (self.count, self.owner), 0, None
        return saved

    def _acquire_restore(self, saved: tuple[int, Controlled | None]) -> None:
        self._take(self._state(), blocking=True, timeout=FOREVER)
        self.count, self.owner = saved

    def _is_owned(self) -> bool:
        turns = self._state()
        return self.count > 0 and (turns is None or self.owner is turns.current)

    def _recursion_count(self) -> int:
        return self.count if self._is_owned() else 0

    def _at_fork_reinit(self) -> None:
        self.owner, self.count = None, 0

    def __repr__(self) -> str:
        return f"<{'locked' if self.count else 'unlocked'} controlled RLock count={self.count}>"


def made_lock(*arguments: Any) -> Any:  # noqa: ANN401 - a lock of either kind
    """Stand for the function that makes a lock: a real one for a thread that is not controlled."""
    return ControlledLock() if running and running[-1].mine() else _real_lock(*arguments)


def made_rlock(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - likewise
    """Stand for the function that makes a reentrant lock."""
    return ControlledRLock() if running and running[-1].mine() else _real_rlock(*arguments, **named)
