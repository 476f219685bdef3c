"""The Redis store against the one in memory: any program has the same answers and leaves the same views."""

import asyncio
import dataclasses
import random
import types
import uuid
from unittest import mock

import pytest

from keyconform_reference import Limits, Options
from keyconform_reference.keys import FREE, Pool
from keyconform_reference.limits import Model
from keyconform_reference.reports import Effects
from keyconform_reference.stores import MemoryStore, Roster, Rules
from keyconform_reference.windows import Windows

START = 1_772_366_430.0  # 2026-03-01 12:00:30 UTC
KEYS = ("pair-key-0001", "pair-key-0002", "pair-key-0003", "pair-key-0004")
ROSTERS = (Roster(KEYS[:3], KEYS[2:]), Roster(KEYS[::-1], ()), Roster((), KEYS[1:3]), Roster(KEYS[1:], KEYS[:1]))
CONFIGURED = (
    Model("m1", "m1", Limits(rpm=3, tpm=100, rpd=7), configured=True),
    Model("m2", "m2", Limits(rpm=2), configured=True),
    Model("closed", "closed", Limits(tpm=0), configured=True),
)
MODELS = (*CONFIGURED, Model("Fly", "fly", Limits(), configured=False))
STEPS = 60


class Clock:
    """A wall clock that can be set, and a steady one that only goes on; for both stores."""

    def __init__(self):
        self.wall, self.steady = START, 500.0

    def patched(self, *modules):
        stand_in = types.SimpleNamespace(time=lambda: self.wall, monotonic=lambda: self.steady)
        return [mock.patch(f"keyconform_reference.stores.{module}.time", stand_in) for module in modules]


class Followed(MemoryStore):
    """A memory store that serves the key it is told to, if that is a right one."""

    def follow(self, pool, model, *, avoid, told):
        now = self._now()
        side = self._sides[pool]
        if not side.order:
            assert told is None
            return None
        lane = side.lane(model, now)
        usable = {state.key for state in side.order if lane.free_at(state, now) == FREE}
        assert told in ((usable - {avoid} or usable) or {None})
        return None if told is None else self._hand_out(side.keys[told], pool, lane, now)


class Pair:
    """Both stores, one program."""

    def __init__(self, memory, other, clock, chance):
        self.memory, self.other, self.clock, self.chance = memory, other, clock, chance
        self.leases = []

    async def both(self, name, *arguments):
        expected = await getattr(self.memory, name)(*arguments)
        found = await getattr(self.other, name)(*arguments)
        assert found == expected, (name, arguments)

    async def step(self):
        names = (
            ("take",) * 8
            + ("report",) * 8
            + ("wait",) * 3
            + (
                *("take_any", "next_key", "give_back", "give_back", "release", "release", "release"),
                *("restore", "restore_all", "lift_mark", "clear_usage", "replace", "open", "sweep", "set_back"),
            )
        )
        await getattr(self, f"on_{self.chance.choice(names)}")()

    def where(self):
        return self.chance.choice((Pool.REGULAR, Pool.REGULAR, Pool.VERTEX)), self.chance.choice(KEYS)

    async def on_burst(self):
        (pool, _), model = self.where(), self.chance.choice(MODELS)
        for _ in range(5):
            await self.on_take(pool, model)

    async def on_take(self, pool=None, model=None):
        (other, key), another = self.where(), self.chance.choice(MODELS)
        pool, model = pool or other, model or another
        avoid, draw = self.chance.choice((None, key)), self.chance.random() < 0.2
        lease = await self.other.take(pool, model, avoid=avoid, draw=draw)
        told = self.memory.follow(pool, model, avoid=avoid, told=None if lease is None else lease.key)
        if lease is not None:
            assert lease.expires_at == told.expires_at
            self.leases.append((told, lease))

    async def on_take_any(self):
        (pool, key), model = self.where(), self.chance.choice(MODELS)
        expected = await self.memory.take_any(pool, model, avoid=key)
        found = await self.other.take_any(pool, model, avoid=key)
        assert (found and found.key) == (expected and expected.key)
        if found is not None:
            self.leases.append((expected, found))

    async def on_next_key(self):
        await self.both("next_key", self.where()[0])

    async def on_give_back(self):
        for _ in range(min(len(self.leases), 1)):
            expected, found = self.leases.pop(self.chance.randrange(len(self.leases)))
            await self.memory.give_back(expected)
            await self.other.give_back(found)

    async def on_release(self):
        for _ in range(min(len(self.leases), 1)):
            expected, found = self.chance.choice(self.leases)
            first = await self.memory.release(expected.pool, expected.key, expected.token)
            assert await self.other.release(found.pool, found.key, found.token) is first

    async def on_report(self):
        (pool, key), model = self.where(), self.chance.choice(MODELS)
        lease = self.chance.choice(self.leases[-6:]) if self.leases and self.chance.random() < 0.7 else None
        if lease is not None:
            pool, key = lease[0].pool, lease[0].key
            model = next(one for one in MODELS if one.identity == lease[0].model)
        likely = {"strike": 0.15, "mark": 0.08, "remove": 0.03, "clears": 0.1}
        flags = {name: self.chance.random() < share for name, share in likely.items()}
        seen = self.chance.random() < 0.7
        effects = Effects(
            **flags,
            seen=seen,
            requests=int(seen),
            tokens=self.chance.randrange(60) if seen else 0,
            retry_after=self.chance.choice((None, None, 0, 7.5)),
        )
        first = await self.memory.apply(pool, key, model, effects, lease and lease[0].token)
        assert await self.other.apply(pool, key, model, effects, lease and lease[1].token) is first

    async def on_restore(self):
        await self.both("restore", *self.where())

    async def on_restore_all(self):
        await self.both("restore_all", self.where()[0])

    async def on_lift_mark(self):
        await self.both("lift_mark", *self.where(), self.chance.choice(MODELS))

    async def on_clear_usage(self):
        await self.both("clear_usage")

    async def on_replace(self):
        await self.both("replace", self.chance.choice(ROSTERS))

    async def on_open(self):
        await self.both("open", self.chance.choice(ROSTERS))
        await self.both("replace", ROSTERS[0])  # opened on the keys it has, memory begins its plain rotation anew

    async def on_sweep(self):
        await self.both("sweep")

    async def on_wait(self):
        seconds = self.chance.choice((0.5, 4, 5, 10, 13.25, 20, 59, 60, 61, 3_600, 90_000))
        self.clock.wall += seconds
        self.clock.steady += seconds

    async def on_set_back(self):
        self.clock.wall -= self.chance.choice((90, 7_200))
        self.clock.steady += self.chance.choice((0, 5))

    async def compare(self):
        def plain(rows):
            return sorted(dataclasses.astuple(row) for row in rows)

        assert plain(await self.other.rows()) == plain(await self.memory.rows())
        for pool in Pool if self.chance.random() < 0.3 else ():
            await self.both("standings", pool)
            await self.both("size", pool)
            await self.both("standing", pool, self.chance.choice(KEYS))
            await self.both("row", pool, self.chance.choice(KEYS), self.chance.choice(MODELS))


CHOICES = [
    Options(),
    Options(selection="least-used", strike_recovery=(5, 60, 600)),
    Options(selection="most-left", counted_on="acquire", auth_recovery=30),
    Options(selection="random", quota_recovery=(10, 60, 300), failures="immediate"),
    Options(tenure="lease", quota_recovery="day"),
    Options(tenure="lease", release="on-report", lease_ttl=20, selection="least-used", reload="reset"),
    Options(counted_on="none", quota_recovery=None, day_zone="Europe/Berlin"),
    Options(minute_window="rolling", day_zone="rolling", selection="most-left", quota_recovery="day"),
    Options(minute_window="bucket", strike_recovery=90),
    Options(minute_window="bucket", counted_on="acquire", tenure="lease", release="on-report"),
]


@pytest.mark.parametrize("options", CHOICES, ids=range(len(CHOICES)))
def test_any_program_is_answered_as_by_the_memory_store(redis_url, options):
    """Whatever is called in whatever order, usable keys, counts, marks, holds and rotation are those of memory."""
    from keyconform_reference.stores.redis import redis_store

    async def program(seed):
        clock, rules = Clock(), Rules(options, Windows(options), CONFIGURED, 3)
        other = redis_store(redis_url, name=f"pair-{uuid.uuid4().hex}")(rules)
        first, second = clock.patched("memory", "redis.store")
        with first, second:
            pair = Pair(Followed(rules), other, clock, random.Random(seed))
            for store in (pair.memory, other):
                await store.open(ROSTERS[0])
            try:
                for _ in range(STEPS):
                    await pair.step()
                    await pair.compare()
            finally:
                await other.close()

    for seed in range(4):
        asyncio.run(program(seed))
