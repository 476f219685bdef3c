"""Sound twins that hand keys out for exclusive use."""

from __future__ import annotations

import asyncio
import itertools
import time

from managers.poor import NOTHING, PoorManager

from pytest_keyconform import Adapter, Lease, Policies, Usage


class LeaseDesk(Adapter):
    """Keys are held under a numbered ticket until it is given back; books are kept by another object.

    ``_holders`` maps vertex or not, and the key, to the ticket it is held under.
    """

    policies = Policies(tenure="lease")

    def __init__(self, pool):
        super().__init__(pool)
        self._books = PoorManager(pool)
        self._tickets = itertools.count(1)
        self._holders = {}

    async def acquire(self, model, pool):
        await asyncio.sleep(0)
        vertex, model = pool == "vertex", self._books._name(model)
        deck = self._books._decks[vertex]
        for key in deck.order(model):
            if (vertex, key) not in self._holders and self._books._usable(deck.cards[key], model):
                deck.dealt(model, key)
                ticket = self._holders[vertex, key] = next(self._tickets)
                return Lease(key, handle=(vertex, ticket))
        return NOTHING

    async def release(self, lease) -> None:
        await asyncio.sleep(0)
        self._give_back(lease)

    def _give_back(self, lease):
        vertex, ticket = lease.handle or (False, None)
        if ticket is not None and self._holders.get((vertex, lease.key)) == ticket:
            del self._holders[vertex, lease.key]

    async def record(self, lease, model, pool, tokens, outcome):
        await asyncio.sleep(0)
        error_type = {"quota": "429", "auth": "permanent"}.get(outcome)
        return await self._books.update_usage(
            model, lease.key, pool == "vertex", tokens, outcome != "success", error_type
        )

    async def fail(self, lease, model, pool, status) -> None:
        await asyncio.sleep(0)
        card = self._books._card(pool == "vertex", lease.key)
        if card is not None:
            self._books._blame(card, self._books._name(model), status)

    async def usage(self, key, model, pool):
        card = self._books._card(pool == "vertex", key)
        if card is None:
            return None
        meter = self._books._meter(card, self._books._name(model))
        return Usage(rpm=meter.rpm, tpm=meter.tpm, rpd=meter.rpd)

    async def failures(self, key, pool):
        card = self._books._card(pool == "vertex", key)
        return card.strikes if card else 0

    async def is_valid(self, key, pool):
        card = self._books._card(pool == "vertex", key)
        return card is not None and self._books._valid(card)

    async def reset(self, key):
        return await self._books.reset_key_failure_count(key)

    async def status(self, pool):
        return self._books._groups(pool == "vertex")


class LeaseDeskWithEnds(LeaseDesk):
    """A ticket that was not given back after a minute holds nothing any more. ``_since`` are times of tickets."""

    policies = Policies(tenure="lease", lease_ttl=60.0)

    def __init__(self, pool):
        super().__init__(pool)
        self._since = {}

    async def acquire(self, model, pool):
        ended = [held for held, ticket in self._holders.items() if time.monotonic() - self._since[ticket] >= 60.0]
        for held in ended:
            del self._holders[held]
        self._since = {ticket: self._since[ticket] for ticket in self._holders.values()}
        answer = await super().acquire(model, pool)
        if isinstance(answer, Lease):
            self._since[answer.handle[1]] = time.monotonic()
        return answer


class LeaseUntilReport(Adapter):
    """A key is held until its call is reported, well or badly; nothing but failures is counted."""

    policies = Policies(tenure="lease", release="on-report", counted_on="none")

    def __init__(self, pool):
        super().__init__(pool)
        self._strikes = {
            "regular": dict.fromkeys(pool.api_keys, 0),
            "vertex": dict.fromkeys(pool.vertex_api_keys, 0),
        }
        self._free = {name: list(keys) for name, keys in self._strikes.items()}
        self._tickets = itertools.count(1)
        self._held = {}

    def _is_valid(self, pool, key):
        return self._strikes[pool][key] < self.pool.max_failures

    async def acquire(self, pool):
        for key in self._free[pool]:
            if self._is_valid(pool, key):
                self._free[pool].remove(key)
                ticket = next(self._tickets)
                self._held[ticket] = pool, key
                return Lease(key, handle=ticket)
        return NOTHING

    def _end(self, lease):
        pool, key = self._held.pop(lease.handle, (None, None))
        if pool is not None:
            self._free[pool].append(key)

    async def record(self, lease, pool):
        self._end(lease)
        return lease.key in self._strikes[pool]

    async def fail(self, lease, pool) -> None:
        if lease.key in self._strikes[pool]:
            self._strikes[pool][lease.key] += 1
        self._end(lease)

    async def status(self, pool):
        groups = {"valid_keys": {}, "invalid_keys": {}}
        for key, count in self._strikes[pool].items():
            groups["valid_keys" if self._is_valid(pool, key) else "invalid_keys"][key] = count
        return groups
