"""Sound twins that await a lot, or leave work to a task of their own."""

from __future__ import annotations

import asyncio
import contextlib
import time

from managers.poor import NOTHING, WINDOW, PoorManager

from pytest_keyconform import Policies

DEADLINE = 5.0


class ManyAwaits(PoorManager):
    """Awaits before and after every change, and holds no lock: each change is made between two awaits."""

    async def get_key(self, model_name=None, is_vertex_key=False):
        model = self._name(model_name)
        await asyncio.sleep(0)
        key = await self._deal(is_vertex_key, model)
        await asyncio.sleep(0)
        return key

    async def get_next_key(self, is_vertex_key=False):
        await asyncio.sleep(0)
        key = await super().get_next_key(is_vertex_key)
        await asyncio.sleep(0)
        return key

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        await asyncio.sleep(0)
        stored = await super().update_usage(model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        await asyncio.sleep(0)
        return stored

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        model, card = self._name(model_name), self._card(is_vertex_key, api_key)
        await asyncio.sleep(0)
        if card is not None:
            self._blame(card, model, status_code)
        await asyncio.sleep(0)
        if retries >= self._settings.max_retries:
            return NOTHING
        return await self._deal(is_vertex_key, model, besides=api_key)

    async def get_keys_by_status(self):
        await asyncio.sleep(0)
        groups = self._groups(False)
        await asyncio.sleep(0)
        return groups

    async def get_usage_stats(self, api_key, model_name):
        usage = await super().get_usage_stats(api_key, model_name)
        await asyncio.sleep(0)
        return usage

    async def reset_key_failure_count(self, key):
        await asyncio.sleep(0)
        known = await super().reset_key_failure_count(key)
        await asyncio.sleep(0)
        return known


class NotServing(Exception):
    """The worker is not started yet, or stopped."""


class QueueWorker:
    """An actor: one background task owns the state, callers queue their request and await a future.

    ``_requests`` is None unless the worker runs.
    """

    def __init__(self, pool):
        self._owned = PoorManager(pool)
        self._requests = None
        self._worker = None

    async def init(self):
        if self._worker is None:
            self._requests = asyncio.Queue()
            self._worker = asyncio.create_task(self._serve(self._requests))

    async def shutdown(self):
        worker, requests = self._worker, self._requests
        self._worker = self._requests = None
        if worker is None:
            return
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker
        while not requests.empty():
            _, _, answer = requests.get_nowait()
            if not answer.done():
                answer.set_exception(NotServing("closed"))

    async def _serve(self, requests):
        while True:
            method, arguments, answer = await requests.get()
            try:
                value = await method(*arguments)
            except Exception as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(value)

    async def _ask(self, method, *arguments):
        if self._requests is None:
            message = "the worker is not running"
            raise NotServing(message)
        answer = asyncio.get_running_loop().create_future()
        self._requests.put_nowait((method, arguments, answer))
        return await answer

    async def get_key(self, model_name=None, is_vertex_key=False):
        return await self._ask(self._owned.get_key, model_name, is_vertex_key)

    async def get_next_key(self, is_vertex_key=False):
        return await self._ask(self._owned.get_next_key, is_vertex_key)

    async def get_random_valid_key(self, model_name=None):
        return await self._ask(self._owned.get_random_valid_key, model_name)

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        arguments = (model_name, key_value, is_vertex_key, tokens_used, error, error_type)
        return await self._ask(self._owned.update_usage, *arguments)

    async def handle_api_failure(self, api_key, model_name, retries, is_vertex_key=False, status_code=None):
        arguments = (api_key, model_name, retries, is_vertex_key, status_code)
        return await self._ask(self._owned.handle_api_failure, *arguments)

    async def get_usage_stats(self, api_key, model_name):
        return await self._ask(self._owned.get_usage_stats, api_key, model_name)

    async def get_fail_count(self, key):
        return await self._ask(self._owned.get_fail_count, key)

    async def is_key_valid(self, key):
        return await self._ask(self._owned.is_key_valid, key)

    async def reset_key_failure_count(self, key):
        return await self._ask(self._owned.reset_key_failure_count, key)

    async def reset_failure_counts(self):
        return await self._ask(self._owned.reset_failure_counts)

    async def reset_usage(self):
        return await self._ask(self._owned.reset_usage)

    async def get_keys_by_status(self):
        return await self._ask(self._owned.get_keys_by_status)

    async def get_vertex_keys_by_status(self):
        return await self._ask(self._owned.get_vertex_keys_by_status)


class WindowTask(PoorManager):
    """A background task ends the minute for every key at once; no counter knows a time but the day's."""

    _task = None

    def _meter(self, card, model):
        meter = super()._meter(card, model)
        meter.opened = None
        return meter

    async def init(self):
        if self._task is None:
            self._task = asyncio.create_task(self._end_minutes())

    async def shutdown(self):
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _end_minutes(self):
        while True:
            await asyncio.sleep(WINDOW - time.time() % WINDOW)
            for deck in self._decks.values():
                for card in deck.cards.values():
                    for meter in card.meters.values():
                        meter.rpm, meter.tpm, meter.marked = 0, 0, False


class Blocking(PoorManager):
    """Acquire waits under a condition until a key is usable, at most until the deadline.

    A window that passes wakes nobody, so that a waiter looks again at least every second.
    """

    policies = Policies(exhaustion="blocks", deadline=DEADLINE)
    get_random_valid_key = get_first_valid_key = None

    def __init__(self, pool):
        super().__init__(pool)
        self._changed = asyncio.Condition()

    async def get_key(self, model_name=None, is_vertex_key=False):
        model = self._name(model_name)
        until = time.monotonic() + DEADLINE
        async with self._changed:
            while True:
                key = await self._deal(is_vertex_key, model)
                left = until - time.monotonic()
                if key != NOTHING or left <= 0 or not self._decks[bool(is_vertex_key)].cards:
                    return key
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), min(left, 1.0))

    async def _tell(self):
        async with self._changed:
            self._changed.notify_all()

    async def reset_key_failure_count(self, key):
        known = await super().reset_key_failure_count(key)
        await self._tell()
        return known

    async def reset_vertex_key_failure_count(self, key):
        known = await super().reset_vertex_key_failure_count(key)
        await self._tell()
        return known

    async def reset_failure_counts(self):
        await super().reset_failure_counts()
        await self._tell()

    async def reset_vertex_failure_counts(self):
        await super().reset_vertex_failure_counts()
        await self._tell()

    async def reactivate_key(self, key, model_name=None):
        known = await super().reactivate_key(key, model_name)
        await self._tell()
        return known

    async def reset_usage(self):
        await super().reset_usage()
        await self._tell()

    async def reinitialize(self, api_keys, vertex_api_keys):
        await super().reinitialize(api_keys, vertex_api_keys)
        await self._tell()
