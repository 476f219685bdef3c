"""Sound twins that wrap, narrow or hand out one of the two bases."""

from __future__ import annotations

import asyncio
import functools
import logging
from contextlib import asynccontextmanager, contextmanager

from managers.poor import NOTHING, PoorManager
from managers.rich import RichManager


class RecordsSilently(PoorManager):
    """Its record promises no answer."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ) -> None:
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        await super().update_usage(*arguments)


class TellsRequestsOnly(PoorManager):
    """Its usage is the requests of the minute alone."""

    async def get_usage_stats(self, api_key, model_name):
        usage = await super().get_usage_stats(api_key, model_name)
        return None if usage is None else {"rpm": usage["rpm"]}


def logged(method):
    """Log a call of a method, without its arguments."""

    @functools.wraps(method)
    async def call(*arguments, **named):
        logging.getLogger(__name__).debug("%s begins", method.__name__)
        try:
            return await method(*arguments, **named)
        finally:
            logging.getLogger(__name__).debug("%s ends", method.__name__)

    return call


class Decorated(RichManager):
    """Its methods are wrapped."""

    get_key = logged(RichManager.get_key)
    update_usage = logged(RichManager.update_usage)
    handle_api_failure = logged(RichManager.handle_api_failure)
    get_keys_by_status = logged(RichManager.get_keys_by_status)
    get_usage_stats = logged(RichManager.get_usage_stats)


class PassesOn(RichManager):
    """Its acquire is a plain method that answers the coroutine of another."""

    def get_key(self, model_name=None, is_vertex_key=False):
        return self._acquire(self._pool(is_vertex_key), model_name)


class Slotted(PoorManager):
    """Slots all the way, no dictionary."""

    __slots__ = ("_decks", "_models", "_settings", "extra")


class Talkative(PoorManager):
    """Prints and logs at every serving, never a key."""

    async def _deal(self, vertex, model, besides=None):
        key = await super()._deal(vertex, model, besides)
        print(f"served {'nothing' if key == NOTHING else 'a key'} for {model!r}")  # noqa: T201 - is the point
        logging.getLogger(__name__).warning("served for %r", model)
        return key


async def from_coroutine(pool):
    """Make one after an await."""
    await asyncio.sleep(0)
    return RichManager(pool)


@contextmanager
def from_context(pool):
    """Make one for a block."""
    yield PoorManager(pool)


@asynccontextmanager
async def from_async_context(pool):
    """Make one for an async block, with something to await on the way out."""
    yield RichManager(pool)
    await asyncio.sleep(0)
