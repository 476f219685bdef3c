"""The SQL stores do what the memory store does: the same steps at the same times, and then the same view of it all.

Which of the usable keys is served may differ; the memory store is made to serve the same one, if it has it usable.
"""

import asyncio
import random
import types
import uuid
from unittest import mock

import pytest

from keyconform_reference import Limits, Options
from keyconform_reference.keys import FREE, Pool
from keyconform_reference.limits import ModelTable
from keyconform_reference.reports import Failure, Outcome, effects_of_failure, effects_of_record
from keyconform_reference.stores import MemoryStore, Roster, Rules
from keyconform_reference.stores.sql import SqlStore
from keyconform_reference.stores.sql.postgres import Postgres
from keyconform_reference.stores.sql.sqlite import Sqlite
from keyconform_reference.windows import Windows

KEYS = tuple(f"twin-key-{letter * 6}" for letter in "abcd")
LIMITS = {"m1": Limits(rpm=3, tpm=40, rpd=9), "m2": Limits(rpd=2), "closed": Limits(rpm=0)}
CHOICES = {
    "defaults": {},
    "leases": {"tenure": "lease", "lease_ttl": 30.0, "release": "on-report", "strike_recovery": (20.0, 90.0)},
    "acquires": {"counted_on": "acquire", "minute_window": "rolling", "quota_recovery": "day", "success": "clears"},
    "buckets": {"minute_window": "bucket", "day_zone": "rolling", "selection": "most-left", "auth_recovery": 300.0},
    "least": {"selection": "least-used", "failures": "immediate", "quota_recovery": (5.0, 70.0), "reload": "reset"},
    "random": {"selection": "random", "counted_on": "none", "tenure": "lease"},
}


class Twins:
    """Two stores on one clock, and what was handed out by both."""

    def __init__(self, seed, options, store):
        self.random = random.Random(seed)
        self.options = Options(**options, deadline=30.0)
        self.wall, self.steady = 1_772_366_430.25, 100.0
        self.models = ModelTable(LIMITS, "m1", self.options)
        rules = Rules(self.options, Windows(self.options), self.models.configured, 2)
        self.memory, self.sql = MemoryStore(rules), SqlStore(rules, store)
        self.leases = []

    def time(self):
        return types.SimpleNamespace(time=lambda: self.wall, monotonic=lambda: self.steady)

    async def play(self, steps):
        roster = Roster(KEYS[:3], KEYS[1:2])
        await self.memory.open(roster)
        await self.sql.open(roster)
        try:
            for _ in range(steps):
                step = self.random.choices(*zip(*STEPS, strict=True))[0]
                await step(self)
                passed = self.random.choice((0, 0, 0.5, 7, 40, 61))
                self.wall += passed
                self.steady += passed
                assert await self.views(self.memory) == await self.views(self.sql), step.__name__
        finally:
            await self.sql.close()

    async def views(self, store):
        rows = sorted(await store.rows(), key=lambda row: (row.pool, row.model.identity, row.label))
        return rows, [await store.standings(pool) for pool in Pool], [await store.size(pool) for pool in Pool]

    def pool(self):
        return self.random.choice((Pool.REGULAR, Pool.REGULAR, Pool.VERTEX))

    def model(self):
        return self.models.resolve(self.random.choice(("m1", "m1", "m2", "closed", "other")))

    async def take(self):
        pool, model = self.pool(), self.model()
        avoid = self.random.choice((None, None, *KEYS))
        lease = await self.sql.take(pool, model, avoid=avoid, draw=self.random.random() < 0.2)
        now = self.memory._now()
        side = self.memory._sides[pool]
        lane = side.lane(model, now)
        usable = {state.key for state in side.order if lane.free_at(state, now) == FREE}
        if lease is None:
            assert not usable
            return
        assert lease.key in usable
        assert lease.key != avoid or usable == {avoid}
        state = side.keys[lease.key]
        twin = self.memory._hand_out(state, pool, lane, now)
        side.touch(state, now)
        assert (twin.expires_at, twin.model) == (lease.expires_at, lease.model)
        self.leases.append((twin, lease))

    async def back(self):
        if self.leases:
            twin, lease = self.leases.pop(self.random.randrange(len(self.leases)))
            await self.memory.give_back(twin)
            await self.sql.give_back(lease)

    async def release(self):
        if self.leases:
            twin, lease = self.random.choice(self.leases)
            answers = [
                await store.release(one.pool, one.key, one.token)
                for store, one in ((self.memory, twin), (self.sql, lease))
            ]
            assert answers[0] == answers[1]

    async def report(self):
        status = self.random.choice((429, 401, 500, None, 400))
        told = self.random.choice((None, None, 3.5, 100.0))
        effects = self.random.choice(
            (
                effects_of_record(self.random.choice(list(Outcome)), self.random.choice((0, 5, 30)), self.options),
                effects_of_record(Outcome.SUCCESS, 11, self.options),
                effects_of_failure(Failure(0, status, told), self.options),
            )
        )
        model, pool, key = self.model(), self.pool(), self.random.choice(KEYS)
        tokens = [None, None]
        mine = [pair for pair in self.leases if pair[0].key == key and pair[0].pool == pool]
        if mine and self.random.random() < 0.7:
            tokens = [one.token for one in self.random.choice(mine)]
        answers = [
            await store.apply(pool, key, model, effects, token)
            for store, token in zip((self.memory, self.sql), tokens, strict=True)
        ]
        assert answers[0] == answers[1]

    async def repair(self):
        name, arguments = self.random.choice(
            (
                ("restore", (self.pool(), self.random.choice(KEYS))),
                ("restore_all", (self.pool(),)),
                ("lift_mark", (self.pool(), self.random.choice(KEYS), self.model())),
                ("clear_usage", ()),
                ("sweep", ()),
            )
        )
        assert await getattr(self.memory, name)(*arguments) == await getattr(self.sql, name)(*arguments)

    async def reload(self):
        roster = Roster(*(tuple(self.random.sample(KEYS, self.random.randint(1, 3))) for _ in range(2)))
        await self.memory.replace(roster)
        await self.sql.replace(roster)

    async def reopen(self):
        await self.sql.close()
        roster = Roster(*(tuple(self.memory._sides[pool].keys) for pool in Pool))
        await self.memory.open(roster)
        await self.sql.open(roster)

    async def set_back(self):
        # Reservations are kept by whole seconds in a database.
        self.wall -= self.random.choice((10, 3_600, 90_000))

    async def walk(self):
        # An opening begins the plain rotation anew in memory, and goes on with it in a database.
        pool = self.pool()
        assert await self.sql.next_key(pool) in self.memory._sides[pool].keys


STEPS = (
    (Twins.take, 30),
    (Twins.report, 40),
    (Twins.release, 8),
    (Twins.back, 4),
    (Twins.repair, 4),
    (Twins.reload, 2),
    (Twins.reopen, 2),
    (Twins.set_back, 1),
    (Twins.walk, 3),
)


def compared(seed, options, store, steps):
    """Play the steps of a seed on both."""
    twins = Twins(seed, options, store)
    with (
        mock.patch("keyconform_reference.stores.memory.time", twins.time()),
        mock.patch("keyconform_reference.stores.sql.clock.time", twins.time()),
    ):
        asyncio.run(twins.play(steps))


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("seed", range(2))
def test_sqlite_does_what_memory_does(choice, seed, tmp_path):
    """Random steps leave the same usage, strikes and groups, and serve keys that are usable in memory."""
    compared(f"{choice} {seed}", CHOICES[choice], Sqlite(tmp_path), steps=60)


@pytest.mark.parametrize("choice", CHOICES)
def test_postgres_does_what_memory_does(choice, postgres_server):
    """The same holds on PostgreSQL."""
    compared(choice, CHOICES[choice], Postgres(postgres_server.url, uuid.uuid4().hex), steps=40)
