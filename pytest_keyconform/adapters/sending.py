"""What stands for the caller's code behind `call`: it is handed a key, and answers or fails as a script says."""

from __future__ import annotations

import asyncio
import math
import sys
from typing import TYPE_CHECKING, Final, NoReturn

from pytest_keyconform.adapters.raised import is_cancellation
from pytest_keyconform.workload import SLOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ANSWER: Final = "ok"
CallersOwn = type("CallersOwn", (Exception,), {"__module__": "caller", "__doc__": "A mistake in the caller's code."})


class Sending:
    """The script of one call, one line for each time it is asked; after the last line everything is well.

    A line is ``ok``, a status such as ``429`` or ``500 took 4290 ms`` with the message that comes with it, ``own`` (the
    caller's own code raises), ``slow``, or ``hang``. A status is raised as ``httpx.HTTPStatusError``, with the status
    as ``status_code`` on the error too. ``begun`` is told the key of each, and answers whom to tell how it ended;
    ``sleep`` lets time pass in the thread that calls.
    """

    def __init__(
        self,
        script: Iterable[str],
        begun: Callable[[str], Callable[[BaseException | str], None]],
        sleep: Callable[[float], None],
    ) -> None:
        self._sleep = sleep
        self._lines: Iterator[str] = iter(script)
        self._begun = begun

    async def asynchronous(self, key: str) -> str:
        """Answer, or raise, as the next line says."""
        line, ended = next(self._lines, ANSWER), self._begun(key)
        try:
            if line == "slow":
                await _pause(SLOW)
            elif line == "hang":
                await _pause(math.inf)
        except BaseException as error:
            if is_cancellation(error):
                ended(error)
            raise
        return _end(line, ended)

    def synchronous(self, key: str) -> str:
        """Answer likewise, for a backend whose ``call`` is no coroutine; ``hang`` is not for it."""
        line, ended = next(self._lines, ANSWER), self._begun(key)
        if line == "slow":
            self._sleep(SLOW)
        return _end(line, ended)


async def _pause(seconds: float) -> None:
    """Wait so many seconds, infinity: for ever; on trio, where that is what runs."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        await trio.sleep(seconds)
    elif seconds == math.inf:
        await asyncio.get_running_loop().create_future()
    else:
        await asyncio.sleep(seconds)


def _end(line: str, ended: Callable[[BaseException | str], None]) -> str:
    try:
        _meet(line)
    except Exception as error:
        ended(error)
        raise
    ended(ANSWER)
    return ANSWER


def _meet(line: str) -> None:
    if line == "own":
        raise CallersOwn("the caller's own mistake")
    if line[:1].isdigit():
        _refuse(line)


def _refuse(line: str) -> NoReturn:
    import httpx  # half of the time that loading the harness takes, and only for `call`

    status, _, message = line.partition(" ")
    request = httpx.Request("POST", "http://upstream.invalid/")
    response = httpx.Response(int(status), request=request)
    error = httpx.HTTPStatusError(f"{status} {message}".strip(), request=request, response=response)
    error.status_code = int(status)  # type: ignore[attr-defined] # where other libraries have it
    raise error
