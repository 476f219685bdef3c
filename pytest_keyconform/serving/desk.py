"""Answering the requests of the wire protocol with a manager of this process."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pytest_keyconform.adapters.base import OPERATIONS, Lease, Usage
from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.raised import Agreement, message_of
from pytest_keyconform.adapters.replies import unsendable
from pytest_keyconform.adapters.resolve import OpeningFailed
from pytest_keyconform.errors import TargetError, Unsupported
from pytest_keyconform.spec.pool import Pool
from pytest_keyconform.spec.wire import PROTOCOL, UNCARRIED
from pytest_keyconform.workload import Given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_keyconform.adapters.resolve import Opened, Target
    from pytest_keyconform.operation import Claims
    from pytest_keyconform.serving.time import Time

_OWN: Final = ("hello", "open", "clock", "close")
_CARRIED: Final = frozenset(OPERATIONS) - UNCARRIED
_NOT_TOLD: Final = ("errors", "secret_keys")  # policies that are obeyed here


class Refused(Exception):
    """A request that is none; the text says why."""


class Desk:
    """Answers requests, one manager at a time. ``time`` is what its clocks show.

    ``_leases`` has what acquires answered, by the number that stands for it over there.
    """

    def __init__(self, target: Target, time: Time) -> None:
        self._target = target
        self._time = time
        self._claims: Claims | None = None
        self._threaded = False
        self._opened: Opened | None = None
        self._leases: dict[int, object] = {}

    async def start(self) -> None:
        """Open the target once, to learn what it claims; raises `TargetError` where that fails."""
        before = threading.active_count()
        try:
            opened = await self._target.opened(Keyring().pool_of(Given()))
        except OpeningFailed as failure:
            raise TargetError(f"{self._target.text} cannot be opened on an ordinary pool: {failure}") from None
        self._claims = opened.connection.claims
        self._threaded = threading.active_count() > before
        with contextlib.suppress(Exception):  # what closing raises is judged over there
            await opened.close()

    async def answer(self, request: object) -> dict[str, object]:
        """Answer one request; whatever it is, an answer comes."""
        seq = request.get("seq") if isinstance(request, dict) else None
        try:
            answer = _plain(await self._answered(_checked(request)))
            complaint = unsendable(answer)
            if complaint:
                return _mistake(seq, "NotJSON", f"JSON cannot carry {complaint}", typed=False)
        except Unsupported:
            return {"seq": seq, "unsupported": True}
        except Refused as refused:
            return _mistake(seq, "Refused", str(refused), typed=False)
        except OpeningFailed as failure:
            typed = self._target.agreement.is_typed(failure.cause, bad_input=True)
            return _mistake(seq, type(failure.cause).__name__, message_of(failure.cause), typed=typed)
        except Exception as error:  # noqa: BLE001 - whatever the backend raises is told
            return _mistake(seq, type(error).__name__, message_of(error), typed=self._agreed(error))
        return {"seq": seq, "ok": answer}

    async def close(self) -> None:
        """Close the manager, where one is open."""
        opened, self._opened = self._opened, None
        self._leases.clear()
        if opened is not None:
            await opened.close()

    async def _answered(self, request: Mapping[str, Any]) -> object:
        match request["op"]:
            case "hello":
                return self._hello()
            case "open":
                await self._open(request)
            case "clock":
                await self._time.go_to(_instant(request.get("now")))
            case "close":
                await self._closed()
            case _:
                return await self._call(request)
        return None

    def _hello(self) -> dict[str, object]:
        claims = self._claims
        forms = {} if claims is None else claims.operations
        carried = {name: sorted(found[0].parameters) for name, found in forms.items() if name in _CARRIED}
        told = self._target.policies.declared()
        return {
            "protocol": PROTOCOL,
            "name": self._target.name,
            "operations": carried,
            "policies": {name: value for name, value in told.items() if name not in _NOT_TOLD},
            "clock": not self._threaded,  # what sleeps in a thread of its own goes by real time
        }

    async def _open(self, request: Mapping[str, Any]) -> None:
        if self._opened is not None:
            with contextlib.suppress(Exception):  # left open by somebody who broke off
                await self.close()
        try:
            pool = Pool.model_validate(request.get("pool"))
        except ValidationError as error:
            raise Refused(f"expected a pool, but {error.errors()[0]['msg']}") from None
        self._time.begin(_instant(request.get("now")))
        self._opened = await self._target.opened(pool)

    async def _closed(self) -> None:
        opened = self._manager()
        if "close" not in opened.connection.claims.operations:
            await self.close()
            return
        answer = opened.connection.invoke("close", {})  # again is up to the manager
        if inspect.isawaitable(answer):
            await answer

    async def _call(self, request: Mapping[str, Any]) -> object:
        name, opened = str(request["op"]), self._manager()
        forms = opened.connection.claims.forms(name) or opened.connection.claims.forms(name, "vertex")
        if name not in _CARRIED or not forms:
            raise Unsupported(name)
        arguments = {one: self._given(one, request[one]) for one in OPERATIONS.get(name, ()) if one in request}
        self._time.tick()
        if forms[0].is_async:
            answer = opened.connection.invoke(name, arguments)
        else:
            answer = await asyncio.to_thread(opened.connection.invoke, name, arguments)
        if inspect.isawaitable(answer):
            answer = await answer
        self._time.tick()
        return self._leased(answer) if name == "acquire" else answer

    def _manager(self) -> Opened:
        if self._opened is None:
            raise Refused("expected open before any other operation")
        return self._opened

    def _given(self, name: str, value: object) -> object:
        if name != "lease" or not isinstance(value, dict) or "key" not in value:
            return value
        known = self._leases.get(value["handle"]) if isinstance(value.get("handle"), int) else None
        return value["key"] if known is None else known

    def _leased(self, answer: object) -> object:
        if not isinstance(answer, Lease):
            return answer
        number = len(self._leases) + 1
        self._leases[number] = answer
        return {"key": answer.key, "handle": None if answer.handle is None else number}

    def _agreed(self, error: Exception) -> bool:
        packages = frozenset() if self._opened is None else self._opened.connection.packages
        return Agreement(self._target.policies, packages).is_typed(error, bad_input=False)


def _checked(request: object) -> Mapping[str, Any]:
    if not isinstance(request, dict):
        raise Refused(f"expected an object, found {type(request).__name__}")
    if isinstance(request.get("seq"), bool) or not isinstance(request.get("seq"), int):
        raise Refused("expected a whole number as seq")
    op = request.get("op")
    if not isinstance(op, str) or (op not in OPERATIONS and op not in _OWN):
        raise Refused("expected the name of an operation as op")
    return request


def _instant(told: object) -> float:
    try:
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        raise Refused("expected an instant such as 2026-03-01T12:00:00Z as now") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _plain(answer: object) -> object:
    """Answer what can be told of an answer; what JSON has no word for stays as it is."""
    if isinstance(answer, Usage):
        return {"rpm": answer.rpm, "tpm": answer.tpm, "rpd": answer.rpd}
    if isinstance(answer, Lease):
        return answer.key
    if isinstance(answer, dict):
        return {name: _plain(value) for name, value in answer.items()}
    return [_plain(one) for one in answer] if isinstance(answer, list | tuple) else answer


def _mistake(seq: object, kind: str, message: str, *, typed: bool) -> dict[str, object]:
    return {"seq": seq, "error": {"type": kind, "message": message, "typed": typed}}
