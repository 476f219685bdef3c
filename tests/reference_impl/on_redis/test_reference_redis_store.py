"""The Redis store: several processes, cancelled calls, clocks that differ, and servers that fail."""

import asyncio
import contextlib
import os
import socket
import types
import uuid
from unittest import mock

import pytest

if not os.environ.get("CI"):  # where they have to run, a missing library is an error
    pytest.importorskip("redis", reason="pip install 'pytest-keyconform[redis]'")

from keyconform_reference import ConfigurationError, KeyManager, Limits, Options, StoreError
from keyconform_reference.keys import Pool
from keyconform_reference.servers.redis import store_on
from keyconform_reference.stores.redis import redis_store
from keyconform_reference.stores.redis.client import Script, ScriptClient

A, B = "store-key-aaaa", "store-key-bbbb"
START = 1_772_366_430.0  # 2026-03-01 12:00:30 UTC


@contextlib.asynccontextmanager
async def opened(url, *keys, name=None, limits=None, seconds=5.0, **options):
    """An open manager; one of its own, or of a name that others use too."""
    manager = KeyManager(
        keys,
        limits={"m1": Limits(rpm=2, rpd=3)} if limits is None else limits,
        default_model="m1",
        options=Options(**options),
        store=redis_store(url, name=name or uuid.uuid4().hex, seconds=seconds),
    )
    await manager.init()
    try:
        yield manager
    finally:
        await manager.shutdown()


@contextlib.contextmanager
def at(wall):
    """The clock that stores of this process read."""
    stand_in = types.SimpleNamespace(time=lambda: wall, monotonic=lambda: wall)
    with mock.patch("keyconform_reference.stores.redis.store.time", stand_in):
        yield


def keys_of(url, name):
    """Answer every name that is kept for a store."""

    async def find():
        client = ScriptClient(url, f"keyconform:{{{name}}}", 5)
        found = await client.run(Script("return redis.call('KEYS', KEYS[1] .. ':*')"))
        await client.close()
        return [key.decode() for key in found]

    return asyncio.run(find())


def test_instances_of_one_name_share_keys_counts_and_rotation(redis_url):
    """What one instance counts, marks or reloads, the other obeys at its next call."""

    async def run():
        async with opened(redis_url, A, B, name=name) as one, opened(redis_url, A, B, name=name) as two:
            assert {await one.get_key(), await two.get_key()} == {A, B}
            assert {await one.get_next_key(), await two.get_next_key()} == {A, B}
            await one.handle_api_failure(A, "m1", 3, status_code=401)
            assert [await two.get_key(), await two.is_key_valid(A)] == [B, False]
            await two.update_usage("m1", B, tokens_used=4)
            assert (await one.get_usage_stats(B, "m1"))["tpm"] == 4
            await one.reinitialize([B], [])
            assert await two.get_next_key() == B
        async with opened(redis_url, B, name=name) as three:
            assert (await three.get_usage_stats(B, "m1"))["rpm"] == 1

    name = uuid.uuid4().hex
    asyncio.run(run())


def test_every_key_lies_in_one_slot_of_a_cluster_and_models_of_the_fly_end(redis_url):
    """Every name carries the same hash tag; what a stranger's model left ends by itself, what is configured stays."""

    async def run():
        async with opened(redis_url, A, name=name) as manager:
            for model in ("m1", "stranger"):
                assert await manager.get_key(model)
                assert await manager.update_usage(model, A)

    name = uuid.uuid4().hex
    asyncio.run(run())
    found = keys_of(redis_url, name)
    assert found
    assert all(key.startswith(f"keyconform:{{{name}}}:") for key in found)

    async def ttls():
        client = ScriptClient(redis_url, f"keyconform:{{{name}}}", 5)
        script = Script("return redis.call('TTL', ARGV[1])")
        answer = {key: await client.run(script, key.encode()) for key in found if key.endswith(":u")}
        await client.close()
        return sorted(answer.values())

    configured, fly = asyncio.run(ttls())
    assert configured == -1
    assert 80_000 < fly <= 90_000


def test_a_name_is_a_plain_text():
    """Braces would tear the keys of one name over several slots; an address of another kind is refused."""
    for name in ("", "a{b", "a}b"):
        with pytest.raises(ConfigurationError, match="without braces"):
            redis_store("redis://localhost", name=name)
    manager = KeyManager([A], store=store_on("https://localhost", "x"))
    with pytest.raises(ConfigurationError, match="redis://host"):
        asyncio.run(manager.init())


def test_a_clock_slightly_behind_reopens_no_window(redis_url):
    """A machine a second behind counts into the minute that others are in, and frees no key early."""

    async def run():
        with at(START):
            ahead, behind = opened(redis_url, A, name=name), opened(redis_url, A, name=name)
            one, two = await ahead.__aenter__(), await behind.__aenter__()
        with at(START + 30.2):
            assert await one.update_usage("m1", A)
        with at(START + 29.5):
            assert await two.update_usage("m1", A)
            assert await two.get_key() == ""
        with at(START + 31):
            assert (await one.get_usage_stats(A, "m1"))["rpm"] == 2
        await ahead.__aexit__(None, None, None)
        await behind.__aexit__(None, None, None)

    name = uuid.uuid4().hex
    asyncio.run(run())


def test_a_clock_found_set_back_keeps_nothing_out(redis_url):
    """Where a new process finds the kept time hours ahead, a minute counts as over: nothing waits for those hours."""

    async def run():
        with at(START):
            async with opened(redis_url, A, B, name=name) as manager:
                await manager.handle_api_failure(A, "m1", 3, status_code=429, retry_after=50)
                await manager.handle_api_failure(B, "m1", 3, status_code=429, retry_after=3_600)
                assert await manager.get_key() == ""
        with at(START - 7_200):
            async with opened(redis_url, A, B, name=name) as manager:
                assert [await manager.get_key(), await manager.get_key("m1")] == [A, A]
        with at(START - 7_200 + 3_541):
            async with opened(redis_url, A, B, name=name) as manager:
                assert {await manager.get_key(), await manager.get_key()} == {A, B}

    name = uuid.uuid4().hex
    asyncio.run(run())


def test_a_cancelled_acquire_holds_nothing(redis_url):
    """Wherever a call is cancelled, the key it took is free when the cancellation arrives."""

    async def run():
        async with opened(redis_url, A, tenure="lease", limits={}) as manager:
            for steps in range(12):
                call = asyncio.ensure_future(manager.get_key())
                for _ in range(steps):
                    await asyncio.sleep(0)
                call.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    assert await call == A
                    await manager.release(A)
                assert await manager.get_key() == A
                assert await manager.release(A)

    asyncio.run(run())


def test_many_cancelled_acquires_hold_nothing(redis_url):
    """More acquires than there are connections, cancelled at once while they are answered: every key is free then."""

    async def run():
        keys = [f"crowd-key-{number:04}" for number in range(150)]
        async with opened(redis_url, *keys, tenure="lease", limits={}, seconds=20) as manager:
            assert await manager.release(await manager.get_key())
            calls = [asyncio.ensure_future(manager.acquire_lease()) for _ in keys]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
            for call in calls:
                call.cancel()
            served = await asyncio.gather(*calls, return_exceptions=True)
            for lease in served:
                if not isinstance(lease, asyncio.CancelledError):
                    await manager.release(lease)
            assert sorted([await manager.get_key() for _ in keys]) == keys

    asyncio.run(run())


def test_more_calls_than_connections_are_all_answered(redis_url):
    """Calls beyond the bound of connections wait for one; a burst over a limit serves exactly the limit."""

    async def run():
        async with opened(redis_url, A, limits={"m1": Limits(rpm=150)}, seconds=30) as manager:
            served = await asyncio.gather(*(manager.get_key() for _ in range(200)))
            assert served.count(A) == 150

    asyncio.run(run())


def test_hostile_texts_are_kept_as_they_are(redis_url):
    """Keys of any characters, a model name of a megabyte, lone surrogates, line ends: nothing breaks the protocol."""

    async def run():
        odd, long = "ключ {}:*$-1 '\"", "m" * 1_000_000
        async with opened(redis_url, odd, A, limits={}) as manager:
            assert {await manager.get_key(long), await manager.get_key(long)} == {odd, A}
            assert await manager.update_usage(long, odd, tokens_used=10**30)
            assert await manager.update_usage("a\r\n$5\r\n\ud800", odd, tokens_used=2**53) is True
            assert await manager.update_usage("m1", "stranger \ud800") is False
            assert set((await manager.get_state())["models"]) == {"m1", long, "a\r\n$5\r\n\ud800"}

    asyncio.run(run())


def test_a_script_that_the_server_forgot_is_sent_again(redis_url):
    """After SCRIPT FLUSH, or on another server that took over, calls go on."""

    async def run():
        async with opened(redis_url, A) as manager:
            assert await manager.get_key() == A
            client = manager._desk.store._client
            connection = await client._lent()
            await connection.send_command("SCRIPT", "FLUSH")
            await connection.read_response()
            await client._returned(connection)
            assert await manager.get_key() == A

    asyncio.run(run())


def test_a_server_that_never_answers_is_an_error_by_the_deadline():
    """A server that takes calls and says nothing costs the time of one step, and health says no."""

    async def run(url):
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(StoreError, match="within"):
            async with opened(url, A, seconds=0.2):
                pytest.fail("nothing answered")
        return loop.time() - start

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert asyncio.run(run(f"redis://127.0.0.1:{silent.getsockname()[1]}")) < 2


def test_without_a_server_calls_end_in_a_typed_error():
    """Nobody listens: opening says so at once, with a typed error that holds no address with a password."""

    async def run():
        with pytest.raises(StoreError) as caught:
            async with opened("redis://:secret-word@127.0.0.1:1/0", A):
                pytest.fail("nothing listens there")
        assert "secret-word" not in str(caught.value)

    asyncio.run(run())


def test_what_was_acknowledged_outlives_a_killed_server(redis_server):
    """Killed in mid-run: each call is answered or a typed error, no acknowledged report is lost, and calls go on."""

    async def run():
        acknowledged = failed = 0
        limits = {"m1": Limits(rpm=10**6, rpd=10**6)}
        async with opened(redis_server.url, A, limits=limits) as manager:

            async def report():
                nonlocal acknowledged, failed
                for _ in range(80):
                    try:
                        done = await manager.update_usage("m1", A, tokens_used=1)
                        acknowledged += done
                    except StoreError:
                        failed += 1
                        await asyncio.sleep(0)

            await report()
            reports = [asyncio.ensure_future(report()) for _ in range(5)]
            await asyncio.wait(reports, timeout=0.02)
            redis_server.kill()
            await asyncio.gather(*reports)
            assert failed
            assert await manager.health() is False
            redis_server.start()
            assert await manager.health() is True
            assert await manager.get_key() == A
            counted = (await manager.get_usage_stats(A, "m1"))["rpd"]
            assert acknowledged <= counted <= acknowledged + 5  # of those in flight nobody knows
            assert await manager.update_usage("m1", A)

    with at(START):  # one day and one minute
        asyncio.run(run())


def test_a_full_server_is_an_error_and_is_told_by_health(redis_server):
    """A store that takes no writes answers typed errors, health is False, and both end when there is room again."""

    async def run():
        async with opened(redis_server.url, A) as manager:
            client = ScriptClient(redis_server.url, "settings", 5)
            for bound in (b"1", b"0"):
                connection = await client._lent()
                await connection.send_command("CONFIG", "SET", "maxmemory", bound)
                await connection.read_response()
                await client._returned(connection)
                assert await manager.health() is (bound == b"0")
                if bound == b"1":
                    with pytest.raises(StoreError, match="OutOfMemory"):
                        await manager.update_usage("m1", A)
            assert await manager.update_usage("m1", A)
            await client.close()

    asyncio.run(run())


def test_the_pools_are_apart(redis_url):
    """A key in both pools has a state in each, and each pool its own rotation (000-9)."""

    async def run():
        async with opened(redis_url, A) as manager:
            await manager.reinitialize([A], [A, B])
            await manager.handle_vertex_api_failure(A, 3, status_code=401)
            assert [await manager.is_key_valid(A), await manager.is_vertex_key_valid(A)] == [True, False]
            assert await manager._desk.store.size(Pool.VERTEX) == 2

    asyncio.run(run())


def test_the_node_of_a_cluster_that_holds_the_keys_is_found():
    """A node that says MOVED is left for the one it names, and the call is sent there."""

    async def run():
        async def answering(reader, writer, answer):
            serving.append(asyncio.current_task())
            with contextlib.closing(writer):
                while said := await reader.read(65_536):
                    asked.append(said)
                    writer.write(answer() if b"EVAL" in said else b"+OK\r\n" * said.count(b"SETINFO"))

        def moved():
            return b"-MOVED 7 127.0.0.1:%d\r\n" % right.sockets[0].getsockname()[1]

        asked, serving = [], []
        right = await asyncio.start_server(lambda *ends: answering(*ends, lambda: b":7\r\n"), "127.0.0.1", 0)
        wrong = await asyncio.start_server(lambda *ends: answering(*ends, moved), "127.0.0.1", 0)
        async with right, wrong:
            client = ScriptClient(f"redis://127.0.0.1:{wrong.sockets[0].getsockname()[1]}", "moved-key", 5)
            assert await client.run(Script("return 7")) == 7
            await client.close()
            await asyncio.gather(*serving)
        assert [said.count(b"moved-key") for said in asked if b"EVAL" in said] == [1, 1]

    asyncio.run(run())
