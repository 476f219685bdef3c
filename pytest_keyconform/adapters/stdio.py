"""`stdio:` targets: a child process that reads requests from its standard input, and answers line by line."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import tempfile
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from freezegun import api

from pytest_keyconform.adapters.keys import without_canaries
from pytest_keyconform.adapters.spawning import end_group, spawned, without_keys
from pytest_keyconform.adapters.streams import PATIENCE, running_loop, too_long, wait_for
from pytest_keyconform.errors import TargetError, WireError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path

_MOST: Final = 1 << 16
_SHOWN: Final = 12  # lines of what a process said last, as a message shows them
_ENDING: Final = 2.0  # seconds in which a process whose output has ended should end too


class Stdio:
    """A line to a child process, started with the first request and again after each `end`.

    It leads a process group of its own, which ends as a whole. Its standard error is kept in a file, cut now and then.
    ``_asked`` are the numbers of the requests under way, ``_waiting`` their futures, ``_found`` the answers that came.
    ``_outgoing`` is what is still to be written, ``_incoming`` the begin of a line.
    """

    heard = True

    def __init__(
        self, command: str, *, folder: Path | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as error:
            raise TargetError(f"stdio:{command}: expected a command line, but {error}") from None
        if not self._command:
            raise TargetError("stdio: expected a command line after the colon, such as 'stdio:node app.js'")
        self._folder = folder
        self._environment = without_keys(environment)
        self._errors = _file_without_a_name()
        weakref.finalize(self, os.close, self._errors)
        self._process: subprocess.Popen[bytes] | None = None
        self._last: Callable[[], object] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[object, asyncio.Future[object]] = {}
        self._asked: set[object] = set()
        self._found: dict[object, object] = {}
        self._outgoing, self._incoming = bytearray(), bytearray()

    async def ask(self, request: dict[str, object]) -> object:
        """Send a request and answer what came for it; raises `WireError` where none will come."""
        process = self._started()
        self._outgoing += json.dumps(request, separators=(",", ":")).encode() + b"\n"
        loop, number = running_loop(), request["seq"]
        self._asked.add(number)
        if loop is None:
            return self._awaited(process, number)
        self._attach(process, loop)
        future = self._waiting[number] = loop.create_future()
        self._flush()
        return await future

    def end(self) -> None:
        """End the process, and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        self._detach(process)
        for future in self._waiting.values():
            if not future.done() and not future.get_loop().is_closed():
                future.set_exception(WireError("another request broke the conversation off"))
        self._waiting.clear()
        self._last()

    def said(self) -> str:
        """Answer what came on standard error since this was asked last."""
        text = os.pread(self._errors, os.fstat(self._errors).st_size, 0).decode(errors="replace")
        os.ftruncate(self._errors, 0)
        return text

    # -- the process ---------------------------------------------------------------------------------------------

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._outgoing, self._incoming = bytearray(), bytearray()
            self._asked, self._found, self._loop = set(), {}, None
            process = self._process = self._spawned()
            self._last = weakref.finalize(self, end_group, process, os.getpid())
        return self._process

    def _spawned(self) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        process = spawned(self._command, self._environment, folder=self._folder, **pipes)
        for pipe in _pipes(process):
            os.set_blocking(pipe, False)
        return process

    def _lost(self, process: subprocess.Popen[bytes]) -> WireError:
        """Say how a process ended that closed its output."""
        try:
            status = process.wait(timeout=_ENDING)
        except subprocess.TimeoutExpired:
            return WireError(f"it closed its output and goes on{self._tail()}")
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        return WireError(f"the process ended ({how}){self._tail()}")

    def _tail(self) -> str:
        lines = without_canaries(self.said()).split("\n")
        told = [line.rstrip() for line in lines if line.strip()][-_SHOWN:]
        return "; it said:\n  " + "\n  ".join(told) if told else "; it said nothing on standard error"

    # -- lines ---------------------------------------------------------------------------------------------------

    def _awaited(self, process: subprocess.Popen[bytes], number: object) -> object:
        """Wait without an event loop."""
        until = api.real_monotonic() + PATIENCE
        entry, exit_ = _pipes(process)
        try:
            while self._outgoing:
                wait_for(entry, writing=True, until=until)
                self._write(process)
            while number not in self._found:
                wait_for(exit_, until=until)
                self._take(process)
        except WireError as error:
            raise error if "ended" in str(error) else WireError(f"{error}{self._tail()}") from None
        return self._found.pop(number)

    def _attach(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            self._loop = loop
            loop.add_reader(_pipes(process)[1], self._readable)

    def _detach(self, process: subprocess.Popen[bytes]) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and not loop.is_closed():
            entry, exit_ = _pipes(process)
            loop.remove_reader(exit_)
            loop.remove_writer(entry)

    def _flush(self) -> None:
        """Write what can be written; the rest as soon as the process reads."""
        process, loop = self._process, self._loop
        if process is None or loop is None:
            return
        try:
            self._write(process)
        except WireError as error:
            self._fail(error)
            return
        entry = _pipes(process)[0]
        if self._outgoing:
            loop.add_writer(entry, self._flush)
        else:
            loop.remove_writer(entry)

    def _write(self, process: subprocess.Popen[bytes]) -> None:
        try:
            with suppress(BlockingIOError):
                while self._outgoing:
                    del self._outgoing[: os.write(_pipes(process)[0], self._outgoing[:_MOST])]
        except BrokenPipeError:
            raise self._lost(process) from None

    def _readable(self) -> None:
        if self._process is None:
            return
        try:
            self._take(self._process)
        except WireError as error:
            self._fail(error)
            return
        for number in [number for number in self._found if number in self._waiting]:
            future, reply = self._waiting.pop(number), self._found.pop(number)
            if not future.done():
                future.set_result(reply)

    def _fail(self, error: WireError) -> None:
        """Tell everyone who waits; the conversation is over."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(WireError(str(error)))
        self.end()

    def _take(self, process: subprocess.Popen[bytes]) -> None:
        """Read what is there; raises `WireError` where that is no answer, or the end."""
        content = b""
        with suppress(BlockingIOError):
            content = os.read(_pipes(process)[1], _MOST)
            if not content:
                raise self._lost(process)
        self._incoming += content
        if too_long(len(self._incoming)):
            raise WireError("its answer has no end")
        *lines, rest = self._incoming.split(b"\n")
        self._incoming = bytearray(rest)
        for line in lines:
            self._keep(bytes(line))

    def _keep(self, line: bytes) -> None:
        if not line.strip():
            return
        reply = parsed(line)
        number = reply.get("seq") if isinstance(reply, dict) else None
        if isinstance(number, bool) or number not in self._asked:
            raise WireError(f"expected an answer with the seq of a request, found {_line(line)}{self._tail()}")
        self._asked.discard(number)
        self._found[number] = reply


def _file_without_a_name() -> int:
    """Open a file that is gone with its descriptor, and that can be cut while another process appends to it."""
    descriptor, path = tempfile.mkstemp()
    os.unlink(path)  # noqa: PTH108 - beside its descriptor
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    return descriptor


def parsed(content: bytes) -> object:
    """Read one JSON value; raises `WireError` for what is none."""
    try:
        return json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise WireError(f"expected a line of JSON, found {_line(content)}") from None


def _refuse(name: str) -> object:
    raise ValueError(name)


def _line(content: bytes) -> str:
    text = without_canaries(content.decode(errors="replace")).strip()
    return repr(text if len(text) <= 120 else f"{text[:120]}…")  # noqa: PLR2004 - what fits on a line


def _pipes(process: subprocess.Popen[bytes]) -> tuple[int, int]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a process is started with pipes")
    return process.stdin.fileno(), process.stdout.fileno()
