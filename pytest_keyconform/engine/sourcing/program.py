"""One execution on a pool that names a source of limits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, get_args

from pytest_keyconform.engine.delayed.loop import DelayedLoop
from pytest_keyconform.engine.program import Program
from pytest_keyconform.engine.sourcing.holding import SLACK
from pytest_keyconform.engine.sourcing.server import Source
from pytest_keyconform.history import Ending
from pytest_keyconform.limits_page import Published, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.adapters.resolve import Opened
    from pytest_keyconform.history import History
    from pytest_keyconform.limits_page import Asked
    from pytest_keyconform.workload import Given

OUT_OF_EARSHOT: Final = frozenset({"eliot", "logbook", "loguru", "picologging", "structlog", "twisted"})


class SourcedProgram(Program):
    """A program whose workload may name a source: it is served from the first opening to the end.

    Its own steps beside those of `Program`: ``source`` changes what is answered, ``asked`` tells what was seen so far.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - those of a Program
        """Make the source, which serves while `listening` goes on."""
        super().__init__(*arguments, **named)
        self.source: Source | None = None
        self.interludes.calls |= {"source": self._changed, "asked": self._told}

    async def instance(self, *, opened: bool = True, given: Given | None = None) -> Opened:
        """Make one more manager on the workload's pool, storage and source, and open it; raises `OpeningFailed`."""
        if self.source is None:
            return await super().instance(opened=opened, given=given)
        pool = self.keyring.pool_of(given or self.given, storage=self.storage, limits_source=self.source.url)
        loop, source = _loop(), self.source
        if isinstance(loop, DelayedLoop):
            loop.expecting = lambda timed: source.expecting(loop, timed=timed)
        with source.opening(loop):
            return await (self.target.opened(pool) if opened else self.target.made(pool))

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Do as `Program` does, and serve the source."""
        published = self.workload.given.source
        with contextlib.ExitStack() as stack:
            if published is not None:
                deadline = self.target.policies.deadline
                self.source = stack.enter_context(Source(published, deadline=deadline, now=lambda: self.clock.now))
            stack.enter_context(super().listening())
            yield

    def history(self, ending: Ending, **more: Any) -> History:  # noqa: ANN401 - the other fields of a history
        """Answer what there is to judge, with what the source saw."""
        history = super().history(ending, **more)
        if self.source is None:
            return history
        asked = self.source.asked(self._heard())
        if self.opening is None and ending is not Ending.FINISHED:
            asked = self._endless(asked, ending)
        return replace(history, asked=asked)

    def _endless(self, asked: Asked, ending: Ending) -> Asked:
        """Say of an opening that never ended whether that is certain."""
        if ending is Ending.DEADLOCK or self.clock.now > self.target.policies.deadline + SLACK:
            return replace(asked, outlasted=asked.outlasted or "it never ends")
        return replace(asked, undecided=asked.undecided or f"opening never ended ({ending.value})")

    async def _changed(self, _name: str, arguments: dict[str, object]) -> None:
        """Answer otherwise from now on."""
        if self.source is None:
            return
        before = self.source.published
        wanted = arguments.get("state", "up")
        state: State = next(one for one in get_args(State) if one == wanted)
        self.source.becomes(Published(state=state, page=str(arguments.get("page", before.page))))

    async def _told(self, *_: object) -> dict[str, Any]:
        return {} if self.source is None else self.source.asked(self._heard()).told()

    def _heard(self) -> int | None:
        """Count the warnings so far: records, warnings, and what was printed; None where they cannot all be heard."""
        if self.overhearing is None or any(map(_deaf_to, self.target.modules())):
            return None
        printed = (getattr(stream, "getvalue", str)() for stream in {sys.stdout, sys.stderr})
        return self._warnings() + sum(text.count("\n") for text in printed)


def _loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _deaf_to(module: ModuleType) -> bool:
    """Tell whether a module logs in a way that the root logger is not told of."""
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else str(type(value).__module__)
        if name.partition(".")[0] in OUT_OF_EARSHOT or (isinstance(value, logging.Logger) and _silent(value)):
            return True
    return False


def _silent(logger: logging.Logger) -> bool:
    found: logging.Logger | None = logger
    while found is not None and found.parent is not None:
        if not found.propagate:
            return True
        found = found.parent
    return not logger.isEnabledFor(logging.WARNING)
