"""The SQL stores: several managers on one database, calls that are cancelled, databases that are lost or damaged."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import time
import types
import uuid
from pathlib import Path
from unittest import mock

import pytest

from keyconform_reference import ConfigurationError, KeyManager, Limits, Options, StoreError, embedded
from keyconform_reference.servers import postgres

A, B = "sql-store-key-aaaa", "sql-store-key-bbbb"
FILE = "keyconform.sqlite"


def on_postgres(request):
    """What makes stores on one space of its own."""
    return postgres.store_on(request.getfixturevalue("postgres_server").url, uuid.uuid4().hex)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    """What `KeyManager(store=...)` takes; all managers made from it share one database."""
    return embedded.store_in(tmp_path) if request.param == "sqlite" else on_postgres(request)


@contextlib.asynccontextmanager
async def opened(store, *keys, limits=None, **options):
    """An open manager."""
    manager = KeyManager(
        keys or (A, B),
        limits=limits or {},
        default_model="m1",
        options=Options(**{"deadline": 30.0, **options}),
        store=store,
    )
    await manager.init()
    try:
        yield manager
    finally:
        await manager.shutdown()


def test_reports_of_several_managers_add_up(store):
    """Two managers that report at once lose none, and a third one that opens later sees them all."""

    async def run():
        async with opened(store) as one, opened(store) as two:
            await asyncio.gather(
                *(manager.update_usage("m1", A, tokens_used=3) for manager in (one, two) for _ in range(10))
            )
            assert (await one.get_usage_stats(A, "m1"))["rpm"] == 20
        async with opened(store) as third:
            assert (await third.get_usage_stats(A, "m1"))["tpm"] == 60

    asyncio.run(run())


def test_several_managers_share_one_quota(store):
    """However many ask at once, no more keys are served than the limit allows."""

    async def run():
        limits = {"m1": Limits(rpm=3)}
        async with opened(store, A, limits=limits) as one, opened(store, A, limits=limits) as two:
            served = await asyncio.gather(*(manager.get_key() for manager in (one, two) for _ in range(5)))
            assert sorted(served) == [""] * 7 + [A] * 3

    asyncio.run(run())


def test_a_lease_excludes_other_managers(store):
    """A key that one manager leased is served by no other until it is released, by its token alone."""

    async def run():
        async with opened(store, A, tenure="lease") as one, opened(store, A, tenure="lease") as two:
            lease = await one.acquire_lease()
            assert await two.acquire_lease() is None
            assert await two.release(lease) is True
            again = await two.acquire_lease()
            assert again.key == A
            assert await one.release(lease) is False

    asyncio.run(run())


def test_a_waiting_call_hears_what_another_manager_gave_back(store):
    """Under ``blocks`` a call of one manager gets the key that another one released meanwhile."""

    async def run():
        options = {"tenure": "lease", "exhaustion": "blocks"}
        async with opened(store, A, **options) as one, opened(store, A, **options) as two:
            lease = await one.acquire_lease()
            waiting = asyncio.ensure_future(two.acquire_lease())
            assert not (await asyncio.wait((waiting,), timeout=0))[0]
            await one.release(lease)
            assert (await asyncio.wait_for(waiting, 25)).key == A

    asyncio.run(run())


def test_a_reload_is_obeyed_by_other_managers(store):
    """Keys that one manager reloads are served by the others at their next step; what was removed is forgotten."""

    async def run():
        async with opened(store, A) as one, opened(store, A) as two:
            await two.update_usage("m1", A)
            await one.reinitialize([B], [])
            assert await two.get_key() == B
            assert await two.get_usage_stats(A, "m1") is None
            await one.reinitialize([A], [])
            assert (await two.get_usage_stats(A, "m1"))["rpm"] == 0

    asyncio.run(run())


def test_keys_that_are_left_out_at_an_opening_are_not_forgotten(store):
    """A key that is missing from one opening has its usage again when it comes back."""

    async def run():
        async with opened(store, A, B) as one:
            await one.update_usage("m1", A)
        async with opened(store, B) as two:
            assert await two.get_usage_stats(A, "m1") is None
        async with opened(store, A) as three:
            assert (await three.get_usage_stats(A, "m1"))["rpm"] == 1

    asyncio.run(run())


def test_a_cancelled_acquire_holds_nothing(store):
    """Wherever a call is cancelled, its key is not lost to a lease that nobody has."""

    async def run():
        async with opened(store, A, tenure="lease") as manager:
            for turns in range(6):
                call = asyncio.ensure_future(manager.acquire_lease())
                for _ in range(turns):
                    await asyncio.sleep(0)
                call.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await manager.release(await call)
                lease = await manager.acquire_lease()
                assert lease is not None
                assert await manager.release(lease)

    asyncio.run(run())


def test_names_and_numbers_of_any_kind_are_stored(store):
    """Models of a megabyte, of NUL and of lone surrogates, and tokens beyond any column are counted and shown."""

    async def run():
        async with opened(store, "key \U0001f511 'quoted\" %s") as manager:
            key = await manager.get_key()
            for name in ("x" * 2**20, "nul\0", "lone \ud800", "'; DROP TABLE keyconform_keys; --", "%(name)s :name ?"):
                assert await manager.update_usage(name, key, tokens_used=2**80) is True
                usage = await manager.get_usage_stats(key, name)
                assert (usage["rpm"], usage["tpm"]) == (1, 2**62)
                assert name in (await manager.get_state())["models"]

    asyncio.run(run())


def test_a_clock_set_back_is_obeyed_once(store):
    """Where several managers see that the clock was set back, waits are moved by that once."""

    async def run():
        async with opened(store, A, strike_recovery=90.0) as one, opened(store, A, strike_recovery=90.0) as two:
            for _ in range(3):
                await one.handle_api_failure(A, "m1", 3)
            await two.get_key()
            clock.wall -= 7_200
            assert await one.get_key() == await two.get_key() == ""
            clock.wall, clock.steady = clock.wall + 89, clock.steady + 89
            assert await two.get_key() == await one.get_key() == ""
            clock.wall, clock.steady = clock.wall + 1, clock.steady + 1
            assert await one.get_key() == await two.get_key() == A

    clock = types.SimpleNamespace(wall=1_772_366_430.0, steady=500.0)
    clock.time, clock.monotonic = lambda: clock.wall, lambda: clock.steady
    with mock.patch("keyconform_reference.stores.sql.clock.time", clock):
        asyncio.run(run())


def test_a_clock_set_back_while_nobody_was_there_keeps_nothing_out(store):
    """After a restart with an earlier clock, a minute is taken to have passed."""

    async def run():
        async with opened(store, A, limits={"m1": Limits(rpm=1)}) as one:
            await one.update_usage("m1", A)
        clock.wall -= 7_200
        async with opened(store, A, limits={"m1": Limits(rpm=1)}) as two:
            assert await two.get_key() == A

    clock = types.SimpleNamespace(wall=1_772_366_430.0, steady=500.0)
    clock.time, clock.monotonic = lambda: clock.wall, lambda: clock.steady
    with mock.patch("keyconform_reference.stores.sql.clock.time", clock):
        asyncio.run(run())


def test_a_locked_file_is_a_typed_error_by_the_deadline(tmp_path):
    """A writer that never ends is a ``StoreError`` that carries nothing of the library; later calls go on."""

    async def run():
        async with opened(embedded.store_in(tmp_path), A, deadline=0.3) as manager:
            other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            with pytest.raises(StoreError, match="the store") as caught:
                await manager.get_key()
            assert time.monotonic() - began < 10
            assert caught.value.__cause__ is caught.value.__context__ is None
            other.close()
            assert await manager.get_key() == A

    asyncio.run(run())


@pytest.mark.parametrize("damage", [b"", b"no database " * 400], ids=["empty", "garbled"])
def test_a_damaged_file_is_said(tmp_path, damage):
    """A file that was emptied or overwritten is refused, and not taken for a new one."""

    async def run():
        async with opened(embedded.store_in(tmp_path)) as manager:
            await manager.update_usage("m1", A)
        (tmp_path / FILE).write_bytes(damage)
        for path in tmp_path.glob(f"{FILE}-*"):
            path.unlink()
        with pytest.raises(StoreError):
            async with opened(embedded.store_in(tmp_path)):
                pass

    asyncio.run(run())


def test_the_file_is_its_owners_alone(tmp_path):
    """Nobody else may read the keys that the file holds."""

    async def run():
        async with opened(embedded.store_in(tmp_path / "new")):
            assert {path.stat().st_mode & 0o077 for path in (tmp_path / "new").iterdir()} == {0}

    asyncio.run(run())


def test_a_server_that_is_killed_loses_nothing(postgres_server):
    """Reports that were answered are there after a kill; calls meanwhile end in typed errors, later ones go on."""

    async def run():
        store = postgres.store_on(postgres_server.url, uuid.uuid4().hex)
        async with opened(store, A) as manager:
            acknowledged = sum([await manager.update_usage("m1", A) for _ in range(5)])
            postgres_server.kill()
            with pytest.raises(StoreError) as caught:
                await manager.update_usage("m1", A)
            assert caught.value.__cause__ is caught.value.__context__ is None
            assert await manager.health() is False
            postgres_server.start()
            assert await manager.health() is True
            assert (await manager.get_usage_stats(A, "m1"))["rpm"] == acknowledged == 5
            assert await manager.get_key() == A

    asyncio.run(run())


def test_a_sqlite_manager_without_a_folder_is_refused():
    """Without a storage there is no place for the file, and the error says so."""
    with pytest.raises(ConfigurationError, match="no storage"):
        embedded.make_manager(types.SimpleNamespace(storage=None))


@pytest.mark.parametrize("url", ["mysql://host/name", "host"])
def test_other_urls_are_refused(url):
    """What names no PostgreSQL database is refused when the store is made."""
    with pytest.raises(ConfigurationError, match="postgresql://"):
        KeyManager([A], store=postgres.store_on(url, "space"))


def test_without_a_server_it_is_said_what_to_install(monkeypatch, tmp_path):
    """Where neither a URL is given nor binaries are found, the error says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    with pytest.raises(ConfigurationError, match=postgres.VARIABLE):
        postgres.PrivateServer()


def test_the_memory_store_needs_no_library():
    """Importing the package loads neither SQLAlchemy nor a driver."""
    code = "import sys, keyconform_reference; print({'sqlalchemy', 'aiosqlite', 'asyncpg'} & set(sys.modules))"
    path = str(Path(postgres.__file__).parents[2])
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=path)
    assert told.stdout.strip() == "set()"
