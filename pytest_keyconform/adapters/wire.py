"""What `stdio:` and `http:` targets share: the protocol, spoken by one conversation over many executions."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_keyconform.adapters.base import OPERATIONS, Adapter, Lease, nearest
from pytest_keyconform.adapters.replies import BACKEND, answer_in, checked, read, unsendable
from pytest_keyconform.errors import TargetError, Unsupported, WireError
from pytest_keyconform.spec.wire import PROTOCOL, UNCARRIED, Hello

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

    from pytest_keyconform.adapters.launching import Launched
    from pytest_keyconform.spec.pool import Pool

CLOCK: Final = "clock"


class Line(Protocol):
    """The way to a backend: it carries one object there and the answer to it back."""

    async def ask(self, request: dict[str, object]) -> object:
        """Send a request, and answer the object that came for it; raises `WireError`.

        Without a running event loop it never suspends, and an answer has to come within `HELLO` seconds.
        """

    def end(self) -> None:
        """Break off: nothing of what is under way comes back. The next request begins anew."""

    def said(self) -> str:
        """Answer what the backend said beside its answers since this was asked last, where it can be heard."""

    @property
    def heard(self) -> bool:
        """Whether what it says beside its answers can be heard."""


class Dialogue:
    """One conversation: a hello, then any number of openings and closings, one manager at a time.

    ``launched`` is the service that was started for it. ``now`` answers the time to tell, in seconds since 1970.
    ``_open`` holds from an opening to its closing: where one never came, or an answer did not, it is begun anew.
    """

    def __init__(self, line: Line, address: str, launched: Launched | None = None) -> None:
        self.line = line
        self.launched = launched
        self.address = address
        self.now: Callable[[], float] = time.time
        self._hello: Hello | None = None
        self._numbers = itertools.count(1)
        self._greeted = self._open = False

    @property
    def hello(self) -> Hello:
        """What the backend said of itself; raises `TargetError` where it cannot be asked, or said what is no hello."""
        if self._hello is None:
            try:
                drive(self._greet())
            except WireError as error:
                raise TargetError(f"{self.address}: {error}") from None
        if self._hello is None:
            raise RuntimeError("a greeting ends with a hello, or raises")
        return self._hello

    @property
    def clocked(self) -> bool:
        """Whether the backend can be told what time it is."""
        return self.hello.clock

    async def ask(self, op: str, **arguments: object) -> object:
        """Ask for an operation and answer what came of it; raises the backend's error, `Unsupported`, `WireError`."""
        complaint = unsendable(arguments)
        if complaint:
            raise Unsupported(f"JSON cannot carry {complaint}")
        request = {"seq": next(self._numbers), "op": op, **arguments}
        try:
            reply = await self.line.ask(request)
            checked(reply, request)
        except WireError as error:
            self._break_off()
            raise WireError(f"{op}: {error}") from None
        except BaseException:
            self._break_off()  # given up: what came later would be taken for the answer to something else
            raise
        return answer_in(reply)

    async def open(self, pool: Pool) -> None:
        """Let the backend make a fresh manager on a pool."""
        if self._open:
            self._break_off()
        if not self._greeted:
            await self._greet()
        self._open = True
        await self.ask("open", pool=pool.model_dump(mode="json"), now=self.told_now())

    async def close(self, *, again: bool = False) -> None:
        """Let it close the manager, unless that was done; ``again``: in any case."""
        if self._open or again:
            await self.ask("close")
            self._open = False

    def told_now(self) -> str:
        """Answer the time as it is told: ISO 8601, UTC, in microseconds."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def end(self) -> None:
        """End the conversation, and the service that was started for it."""
        self._break_off()
        if self.launched is not None:
            self.launched.end()

    def _break_off(self) -> None:
        self._greeted = self._open = False
        self.line.end()

    async def _greet(self) -> None:
        answer = await self.ask("hello", protocol=PROTOCOL)
        try:
            hello = read(Hello, answer, "its hello")
            claimed(hello)
            self._compare(hello)
        except WireError:
            self._break_off()
            raise
        self._hello, self._greeted = hello, True

    def _compare(self, hello: Hello) -> None:
        if self._hello not in (None, hello):
            raise WireError("its second hello says something else than its first")


class WireFactory:
    """The factory of a target elsewhere: ``open`` makes a fresh manager, ``close`` ends it."""

    def __init__(self, dialogue: Dialogue) -> None:
        self.__module__ = BACKEND  # errors of a package like this are the backend's own
        self.dialogue = dialogue
        self.policies = dict(dialogue.hello.policies)

    def __call__(self, pool: Pool) -> AbstractAsyncContextManager[Wire]:
        """Answer the manager, to be entered."""
        return self._opened(pool)

    @contextlib.asynccontextmanager
    async def _opened(self, pool: Pool) -> AsyncIterator[Wire]:
        await self.dialogue.open(pool)
        try:
            yield Wire(pool, self.dialogue)
        finally:
            await self.dialogue.close()


class Wire(Adapter):
    """A manager in another process: the operations that its hello names, each a request.

    ``hidden`` is what cannot be seen of it (`Claims`).
    """

    def __init__(self, pool: Pool, dialogue: Dialogue) -> None:
        super().__init__(pool)
        self.dialogue = dialogue
        self.hidden = frozenset({"inside"} if dialogue.line.heard else {"inside", "log"})
        for name, parameters in claimed(dialogue.hello).items():
            setattr(self, name, _Asking(dialogue, name, parameters))


Wire.__module__ = BACKEND


class _Asking:
    """One operation of a manager elsewhere, as a method."""

    def __init__(self, dialogue: Dialogue, name: str, parameters: tuple[str, ...]) -> None:
        self._dialogue = dialogue
        self._name = name
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        self.__signature__ = inspect.Signature([inspect.Parameter(one, kind) for one in parameters])

    async def __call__(self, *placed: object, **named: object) -> object:
        arguments = self.__signature__.bind(*placed, **named).arguments
        sent = {name: _sent(value) for name, value in arguments.items()}
        if self._name == "close":
            await self._dialogue.close(again=True)
            return None
        answer = await self._dialogue.ask(self._name, **sent)
        return _lease_of(answer) if self._name == "acquire" else answer


def claimed(hello: Hello) -> dict[str, tuple[str, ...]]:
    """Answer the operations that a hello claims and that can cross a wire, with their parameters, in the usual order.

    Raises `WireError` for one that there is not, with the nearest that there is.
    """
    listed = hello.operations
    named = {name: tuple(taken) for name, taken in listed.items()} if isinstance(listed, dict) else None
    named = {name: _usual(name) for name in listed} if named is None else named
    for name, parameters in named.items():
        if name not in OPERATIONS:
            raise WireError(f"its hello names {name!r}, which is no operation{nearest(name, OPERATIONS)}")
        strange = next((one for one in parameters if one not in OPERATIONS[name]), None)
        if strange is not None:
            raise WireError(f"its hello: {strange!r} is no parameter of {name}{nearest(strange, OPERATIONS[name])}")
    found = {name: named[name] for name in OPERATIONS if name in named and name not in UNCARRIED}
    return found | ({CLOCK: OPERATIONS[CLOCK]} if hello.clock else {})


def _usual(name: str) -> tuple[str, ...]:
    return tuple(one for one in OPERATIONS.get(name, ()) if one != "retry_after")


def _sent(value: object) -> object:
    return {"key": value.key, "handle": value.handle} if isinstance(value, Lease) else value


def _lease_of(answer: object) -> object:
    if isinstance(answer, dict) and "key" in answer:
        return Lease(answer["key"], answer.get("handle"))
    return answer


def drive(main: Coroutine[Any, Any, object]) -> None:
    """Run what never suspends, since it finds no event loop."""
    try:
        main.send(None)
    except StopIteration:
        return
    main.close()
    raise RuntimeError("a request suspended without an event loop")
