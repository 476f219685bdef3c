"""Managers written for trio: locks, a nursery, checkpoints; one is sound."""

from __future__ import annotations

import trio

from managers.poor import NOTHING, PoorManager


class TrioManager(PoorManager):
    """Sound: each operation under one lock, with checkpoints inside; reports are written by tasks of a nursery."""

    def __init__(self, pool):
        super().__init__(pool)
        self._lock = trio.Lock()

    async def _deal(self, vertex, model, besides=None):
        async with self._lock:
            await trio.sleep(0)
            return await super()._deal(vertex, model, besides)

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        answers = []

        async def write():
            async with self._lock:
                await trio.sleep(0)
                answers.append(
                    await PoorManager.update_usage(
                        self, model_name, key_value, is_vertex_key, tokens_used, error, error_type
                    )
                )

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
        return answers[0]


class TrioServesTwice(TrioManager):
    """ACQ01: the key is chosen before a checkpoint and goes to the end of the order after it."""

    async def _deal(self, vertex, model, besides=None):
        deck = self._decks[bool(vertex)]
        usable = [key for key in deck.order(model) if self._usable(deck.cards[key], model)]
        others = [key for key in usable if key != besides]
        for key in (*others, *usable):
            await trio.sleep(0)
            deck.dealt(model, key)
            return key
        return NOTHING


class TrioLosesCounts(TrioManager):
    """QUO01: the new sum is made before a checkpoint and stored after it."""

    async def update_usage(
        self, model_name, key_value, is_vertex_key=False, tokens_used=0, error=False, error_type=None
    ):
        model, card = self._name(model_name), self._card(is_vertex_key, key_value)
        if card is None or type(tokens_used) is not int or tokens_used < 0:
            return False
        meter = self._open_meter(card, model)
        tokens, requests = meter.tpm + tokens_used, meter.rpm + 1
        await trio.lowlevel.checkpoint()
        meter.rpm, meter.rpd, meter.tpm = requests, requests, tokens
        if error and error_type in ("429", "permanent"):
            self._blame(card, model, 429 if error_type == "429" else 401)
        return True


class TrioWaitsForItself(TrioManager):
    """LIVE01: a report takes the lock that an acquire holds, the other way round than the acquire."""

    def __init__(self, pool):
        super().__init__(pool)
        self._other = trio.Lock()

    async def _deal(self, vertex, model, besides=None):
        async with self._other:
            await trio.sleep(0)
            async with self._lock:
                return await PoorManager._deal(self, vertex, model, besides)

    async def update_usage(self, *arguments, **named):
        async with self._lock:
            await trio.sleep(0)
            async with self._other:
                return await PoorManager.update_usage(self, *arguments, **named)
