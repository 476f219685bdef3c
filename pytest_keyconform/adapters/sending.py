"""What stands for the caller's code behind `call`: it is handed a key, and answers or fails as a script says."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, TypeAlias

from pytest_keyconform.adapters.raised import is_cancellation
from pytest_keyconform.operation import Answered, Cancelled, Invocation, Raised, Response
from pytest_keyconform.workload import SLOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Beside: TypeAlias = Callable[[Invocation], Callable[[Response], object]]
"""Records that something begins within a call, and answers whom to tell how it ended."""

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


class Concealing(Protocol):
    """Puts labels in the place of keys; ``key``: the value is expected to be one."""

    def __call__(self, value: object, *, key: bool = False) -> object:
        """Answer the plain value."""


def sending_of(
    invocation: Invocation,
    beside: Beside,
    conceal: Concealing,
    failed: Callable[[BaseException], Raised],
    sleep: Callable[[float], None],
) -> Sending:
    """Answer the caller's code that a step's script stands for; what it is asked is recorded beside the call."""
    about = tuple(pair for pair in invocation.arguments if pair[0] in ("model", "pool"))

    def begun(key: str) -> Callable[[BaseException | str], None]:
        over = beside(Invocation("send", (("key", conceal(key, key=True)), *about)))

        def ended(end: BaseException | str) -> None:
            left = is_cancellation(end)
            came = failed(end) if isinstance(end, BaseException) else Answered(end)
            over(Cancelled() if left else came)

        return ended

    script = invocation.get("send")
    return Sending(map(str, script) if isinstance(script, list | tuple) else (), begun, sleep)


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
