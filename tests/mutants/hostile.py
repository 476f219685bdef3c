"""Managers that misbehave towards whoever judges them: each has to end in a clear result."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading

from managers.poor import PoorManager
from pydantic import SecretStr

from pytest_keyconform import Policies


class Plain:
    """The least a target has: it serves in turn and tells its status, with plain methods."""

    policies = Policies(counted_on="none")

    def __init__(self, pool):
        self._keys = list(dict.fromkeys(pool.api_keys))
        self._served = 0
        self._lock = threading.Lock()

    def get_next_working_key(self):
        if not self._keys:
            return ""
        with self._lock:
            self._served += 1
            return self._keys[self._served % len(self._keys)]

    def get_keys_by_status(self):
        return {"valid_keys": dict.fromkeys(self._keys, 0), "invalid_keys": {}}


class HangsForever(PoorManager):
    """Acquire awaits what never comes."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        await asyncio.Event().wait()


class HangsWhileOpening(PoorManager):
    """Opening awaits what never comes."""

    async def init(self):
        await asyncio.Event().wait()


class Spins(Plain):
    """Acquire never gives the processor back."""

    def get_next_working_key(self):
        while True:
            pass


class SpinsInACoroutine(PoorManager):
    """Acquire never gives the event loop back, and takes every interruption for an error to go on after."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        while True:
            try:
                self._decks[False].order("m")
            except Exception:
                logging.getLogger(__name__).debug("once more")


class FailsToBeMade(Plain):
    """The constructor raises."""

    def __init__(self, pool):
        message = "no configuration found"
        raise RuntimeError(message)


class ExitsWhenMade(Plain):
    """The constructor ends the process."""

    def __init__(self, pool):
        sys.exit("no configuration found")


class AnswersACoroutine(Plain):
    """A class of plain methods, one of which answers a coroutine."""

    def get_next_working_key(self):
        return self._later()

    async def _later(self):
        return super().get_next_working_key()


class Prints(Plain):
    """It writes to both streams whenever it is asked."""

    def get_next_working_key(self):
        print("serving", file=sys.stderr)  # noqa: T201 - is the point
        print("served", flush=True)  # noqa: T201 - is the point
        return super().get_next_working_key()


class Exits(PoorManager):
    """Acquire ends the process."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        sys.exit(3)


class ExitsPlainly(Plain):
    """A plain acquire ends the process."""

    def get_next_working_key(self):
        raise SystemExit


class IgnoresCancellation(PoorManager):
    """Acquire waits on, whoever cancels it."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue


class Doom(BaseException):
    """What nobody expects."""


class RaisesBase(PoorManager):
    """Acquire raises what is no Exception."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        message = "beyond Exception"
        raise Doom(message)


class RaisesCancelled(PoorManager):
    """Acquire says that it was cancelled, which nobody did."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        raise asyncio.CancelledError


class RaisesGeneratorExit(PoorManager):
    """A failure is answered by what closes coroutines."""

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        raise GeneratorExit


class Name(str):
    """A text of another class."""

    __slots__ = ()


class AnswersNames(PoorManager):
    """Keys are texts of a class of its own."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        return Name(await super().get_key(model_name, is_vertex_key))


class AnswersSecrets(PoorManager):
    """Keys are wrapped."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        return SecretStr(await super().get_key(model_name, is_vertex_key))


class AnswersGenerators(Plain):
    """Acquire is a generator, and the status is one that never ends."""

    def get_next_working_key(self):
        yield from self._keys

    def get_keys_by_status(self):
        while True:
            yield "valid_keys"


class Unprintable:
    """An object that cannot be shown, compared or hashed."""

    __hash__ = None

    def __repr__(self):
        message = "no representation"
        raise ValueError(message)

    def __eq__(self, other):
        message = "no comparison"
        raise ValueError(message)


class AnswersTheUnprintable(PoorManager):
    """Answers are objects that raise when they are looked at."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        return Unprintable()

    async def get_keys_by_status(self):
        return {"valid_keys": {Name("a"): Unprintable()}, "invalid_keys": Unprintable()}


class EmptiesItsArguments:
    """The lists it is given are empty when it is done with them."""

    policies = Policies(counted_on="none")

    def __init__(self, api_keys, vertex_api_keys):
        self._keys = []
        while api_keys:
            self._keys.append(api_keys.pop())
        vertex_api_keys.clear()
        self._served = 0

    async def get_next_working_key(self):
        self._served += 1
        return self._keys[self._served % len(self._keys)] if self._keys else ""

    async def get_keys_by_status(self):
        return {"valid_keys": dict.fromkeys(self._keys, 0), "invalid_keys": {}}

    async def reinitialize(self, api_keys, vertex_api_keys):
        self.__init__(api_keys, vertex_api_keys)


UNOPENED = (FailsToBeMade, ExitsWhenMade, HangsWhileOpening)
"""Those that never open."""

OPENED = (
    HangsForever,
    Spins,
    SpinsInACoroutine,
    AnswersACoroutine,
    Prints,
    Exits,
    ExitsPlainly,
    IgnoresCancellation,
    RaisesBase,
    RaisesCancelled,
    RaisesGeneratorExit,
    AnswersNames,
    AnswersSecrets,
    AnswersGenerators,
    AnswersTheUnprintable,
    EmptiesItsArguments,
)
"""Those that open, and misbehave later."""
