"""Serving a target of this process to others: the far end of `http:` and `stdio:`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.errors import TargetError
from pytest_keyconform.serving import http, stdio
from pytest_keyconform.serving.desk import Desk
from pytest_keyconform.serving.time import ServingLoop, Time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pytest_keyconform.adapters.resolve import Target


def over_http(target: Callable[[], Target], *, host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve a target until interrupted; ``ready`` is told where. Raises `TargetError` where that cannot be done."""

    async def main(desk: Desk) -> None:
        try:
            await http.serve(desk, host=host, port=port, ready=ready)
        except OSError as error:
            raise TargetError(f"{host}:{port} cannot be listened at: {error.strerror or error}") from None

    _serve(target, main)


def over_stdio(target: Callable[[], Target]) -> None:
    """Serve a target until the end of standard input. Raises `TargetError` where it cannot be opened."""
    _serve(target, stdio.serve)


def _serve(target: Callable[[], Target], main: Callable[[Desk], Coroutine[None, None, None]]) -> None:
    """Serve on a clock that goes as it is told; the target is imported while that is in place."""
    clock = VirtualClock()

    async def served() -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, ServingLoop):
            raise TypeError("the runner has a loop of its own")
        desk = Desk(found, Time(clock, loop))
        await desk.start()
        try:
            await main(desk)
        finally:
            with contextlib.suppress(Exception):  # nobody is there to be told
                await desk.close()

    with clock:
        found = target()
        if found.dialogue is not None:
            raise TargetError(f"{found.text} lives in another process already: serve what a factory makes here")
        clock.watch(found.modules())
        with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=lambda: ServingLoop(clock)) as runner:
            runner.run(served())
