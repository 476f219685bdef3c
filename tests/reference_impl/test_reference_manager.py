"""The audited surface under the default options."""

import asyncio
import inspect
import json
import logging

import pytest
from freezegun import freeze_time

from keyconform_reference import (
    ConfigurationError,
    InvalidInputError,
    KeyManager,
    Limits,
    NotOpenError,
    NoUsableKeyError,
    Options,
    UnknownKeyError,
    UnknownModelError,
)

A, B, C, V, W = (f"canary-{name}-{name * 12}" for name in "abcvw")
LIMITS = {"m1": Limits(rpm=5, tpm=100, rpd=20), "m2": Limits(rpm=2)}
ENTRY_POINTS = ("get_key", "get_next_working_key", "get_first_valid_key", "get_random_valid_key")


async def manager_of(keys=(A, B, C), vertex=(V, W), *, limits=LIMITS, **settings):
    """An open manager."""
    manager = KeyManager(keys, vertex, limits=limits, default_model="m1", **settings)
    await manager.init()
    return manager


def scenario(function):
    """Run an async test."""

    def test():
        asyncio.run(function())

    test.__doc__, test.__name__ = function.__doc__, function.__name__
    return test


@scenario
async def test_keys_take_turns():
    """Consecutive acquires and plain rotations are permutations of the pool."""
    manager = await manager_of()
    assert [await manager.get_key() for _ in range(4)] == [A, B, C, A]
    assert [await manager.get_next_key() for _ in range(4)] == [A, B, C, A]
    assert [await manager.get_next_vertex_key() for _ in range(2)] == [V, W]
    assert await manager.get_next_key(is_vertex_key=True) == V


@scenario
async def test_pools_do_not_mix():
    """A key is served from the pool that was asked for."""
    manager = await manager_of()
    assert await manager.get_next_working_vertex_key() == V
    assert await manager.get_key("m1", True) == W
    assert await manager.get_next_working_key() == A


@pytest.mark.parametrize("acquire", ENTRY_POINTS)
def test_nothing_usable_is_the_sentinel(acquire):
    """Every entry point answers the sentinel when nothing is usable, and changes nothing."""

    async def run():
        manager = await manager_of()
        for key in (A, B, C):
            await manager.handle_api_failure(key, "m1", 0, status_code=401)
        before = await manager.get_state()
        assert [await getattr(manager, acquire)() for _ in range(5)] == [""] * 5
        assert await manager.get_state() == before

    asyncio.run(run())


@pytest.mark.parametrize("acquire", ENTRY_POINTS)
@pytest.mark.parametrize("model", [None, "m1", "stranger"])
def test_empty_pools_are_served_the_sentinel(acquire, model):
    """Without keys everything answers, for known and unknown models."""

    async def run():
        manager = await manager_of((), ())
        arguments = () if acquire == "get_first_valid_key" else (model,)
        assert await getattr(manager, acquire)(*arguments) == ""
        assert await manager.get_next_key() == await manager.get_next_vertex_key() == ""
        assert await manager.handle_api_failure("gone", model, 0) == ""
        assert await manager.handle_vertex_api_failure("gone", 0) == ""
        assert await manager.get_keys_by_status() == {"valid_keys": {}, "invalid_keys": {}}
        assert (await manager.get_state())["summary"]["total_keys"] == 0

    asyncio.run(run())


@pytest.mark.parametrize("tokens, rpm, rpd", [(0, 5, 20), (40, 3, 20)], ids=["requests", "tokens"])
def test_a_key_is_served_up_to_its_limit_exactly(tokens, rpm, rpd):
    """One below a limit is usable, at the limit is not."""

    async def run():
        manager = await manager_of([A], [])
        for number in range(rpm):
            assert await manager.get_key() == A, number
            assert await manager.update_usage("m1", A, tokens_used=tokens)
        assert await manager.get_key() == ""
        assert await manager.get_key("m2") == A

    with freeze_time("2026-03-01 12:00:01"):
        asyncio.run(run())


def test_minutes_and_days_end():
    """Requests of the minute are free in the next one, those of the day after Pacific midnight and not before."""

    async def run(clock):
        manager = await manager_of([A], [], limits={"m1": Limits(rpm=2, rpd=4)})
        for _ in range(2):
            for _ in range(2):
                assert await manager.update_usage("m1", A)
            assert await manager.get_key() == ""
            clock.tick(61)
        assert await manager.get_key() == ""
        usage = await manager.get_usage_stats(A, "m1")
        assert (usage["rpm"], usage["rpd"], usage["rpd_left"]) == (0, 4, 0)
        clock.move_to("2026-03-02 07:59:59")
        assert await manager.get_key() == ""
        clock.move_to("2026-03-02 08:00:00")
        assert await manager.get_key() == A

    with freeze_time("2026-03-01 12:00:00") as clock:
        asyncio.run(run(clock))


def test_parallel_loops_never_exceed_the_limit():
    """Requests that are handed out and not reported yet count, so that the provider sees no more than the limit."""

    async def run():
        manager = await manager_of([A, B], [], limits={"m1": Limits(rpm=5)})
        seen = []

        async def loop():
            while key := await manager.get_key():
                seen.append(key)
                await asyncio.sleep(0)
                await manager.update_usage("m1", key)

        await asyncio.gather(*(loop() for _ in range(20)))
        assert sorted(seen) == [A] * 5 + [B] * 5

    with freeze_time("2026-03-01 12:00:01"):
        asyncio.run(run())


@pytest.mark.parametrize(
    "statuses, strikes, served",
    [
        ((429,), 0, {"m2"}),
        ((401, 403), 3, set()),
        ((408, 500, 503, None), 1, {"m1", "m2"}),
        ((400, 404, 413, 422), 0, {"m1", "m2"}),
    ],
    ids=["quota", "auth", "transient", "request"],
)
def test_the_status_decides_what_a_failure_does(statuses, strikes, served):
    """429 marks for the model, 401 and 403 remove, 5xx, 408 and no status strike once, 400 and its like do nothing."""

    async def run(status):
        manager = await manager_of([A, B], [])
        assert await manager.handle_api_failure(A, "m1", 0, False, status) == B
        assert await manager.get_fail_count(A) == strikes
        keys = {model: {await manager.get_key(model) for _ in range(2)} for model in LIMITS}
        assert {model for model in LIMITS if A in keys[model]} == served

    with freeze_time("2026-03-01 12:00:01"):
        for status in statuses:
            asyncio.run(run(status))


@scenario
async def test_a_removed_key_stays_out_whatever_comes_late():
    """After 401 a success changes nothing; a reset brings the key back, and answers True again and again."""
    manager = await manager_of([A, B], [])
    await manager.handle_api_failure(A, "stranger", 0, status_code=401)
    assert await manager.update_usage("m1", A)
    assert not await manager.is_key_valid(A)
    assert {await manager.get_key(name) for name in ("m1", "m2", "new")} == {B}
    assert A in (await manager.get_keys_by_status())["invalid_keys"]
    assert [await manager.reset_key_failure_count(A) for _ in range(2)] == [True, True]
    assert A in {await manager.get_key(), await manager.get_key()}


@scenario
async def test_the_last_retry_answers_the_sentinel_and_still_counts():
    """From ``max_retries`` on there is no replacement, but the failure is recorded."""
    manager = await manager_of()
    assert await manager.handle_api_failure(A, "m1", 2) == B
    assert await manager.handle_api_failure(A, "m1", 3) == ""
    assert await manager.handle_api_failure(A, "m1", 4) == ""
    assert await manager.get_fail_count(A) == 3
    assert not await manager.is_key_valid(A)


@scenario
async def test_a_429_is_of_one_key_and_one_model():
    """A mark on an unknown model touches no other key or model and adds no strike."""
    manager = await manager_of([A, B], [])
    assert await manager.handle_api_failure(A, "stranger", 0, status_code=429, retry_after=30) == B
    assert {await manager.get_key("stranger") for _ in range(4)} == {B}
    assert {await manager.get_key("m1") for _ in range(2)} == {A, B}
    assert await manager.get_fail_count(A) == 0
    assert await manager.reactivate_key(A, "m1")
    assert {await manager.get_key("stranger") for _ in range(4)} == {B}
    assert await manager.reactivate_key(A, "stranger")
    assert {await manager.get_key("stranger") for _ in range(4)} == {A, B}


@scenario
async def test_vertex_failures_are_charged_to_the_vertex_pool():
    """The vertex forms work with a model and without, and with a key that both pools have."""
    manager = await manager_of([A, V], [V, W])
    assert await manager.handle_vertex_api_failure(V, 0) == W
    assert await manager.handle_vertex_api_failure(V, 0, "m2", 500) == W
    assert await manager.get_vertex_fail_count(V) == 2
    assert await manager.get_fail_count(V) == 0
    await manager.handle_api_failure(V, "m1", 0, True, 401)
    assert not await manager.is_vertex_key_valid(V)
    assert await manager.is_key_valid(V)
    assert set((await manager.get_vertex_keys_by_status())["invalid_keys"]) == {V}
    assert await manager.reset_vertex_key_failure_count(V)
    assert await manager.is_vertex_key_valid(V)
    assert not await manager.reset_vertex_key_failure_count(A)


@scenario
async def test_a_strange_key_changes_nothing():
    """A key of no pool is answered False, 0, None or a usable key, and is never adopted."""
    manager = await manager_of()
    before = await manager.get_state()
    assert await manager.update_usage("m1", "stranger") is False
    assert await manager.update_usage("m1", V) is False
    assert await manager.handle_api_failure("stranger", "m1", 0, status_code=401) in (A, B, C)
    assert await manager.handle_api_failure("", "m1", 0) in (A, B, C)
    assert await manager.get_fail_count("stranger") == 0
    assert await manager.is_key_valid("stranger") is False
    assert await manager.reset_key_failure_count("stranger") is False
    assert await manager.reactivate_key("stranger") is False
    assert await manager.reactivate_key("stranger", "m1") is False
    assert await manager.get_usage_stats("stranger", "m1") is None
    assert await manager.get_state() == before


@pytest.mark.parametrize(
    "report",
    [
        {"tokens_used": -1},
        {"tokens_used": float("nan")},
        {"tokens_used": 1.5},
        {"tokens_used": True},
        {"tokens_used": "9"},
        {"key_value": ""},
        {"key_value": None},
        {"model_name": 7},
    ],
    ids=str,
)
def test_bad_usage_is_refused_and_changes_nothing(report):
    """A report that means nothing is a ``ValueError`` of our own, and nothing is stored."""

    async def run():
        manager = await manager_of()
        before = await manager.get_state()
        with pytest.raises(InvalidInputError) as refused:
            await manager.update_usage(**{"model_name": "m1", "key_value": A} | report)
        assert isinstance(refused.value, ValueError)
        assert A not in str(refused.value)
        assert await manager.get_state() == before

    asyncio.run(run())


@pytest.mark.parametrize(
    "bad", [{"status_code": "429"}, {"status_code": True}, {"retries": None}, {"api_key": 7}], ids=str
)
def test_a_bad_failure_is_refused_and_changes_nothing(bad):
    """A failure report that means nothing is a typed error."""

    async def run():
        manager = await manager_of()
        with pytest.raises(InvalidInputError):
            await manager.handle_api_failure(**{"api_key": A, "model_name": "m1", "retries": 0} | bad)
        assert await manager.get_fail_count(A) == 0

    asyncio.run(run())


@pytest.mark.parametrize("wait", [float("nan"), float("inf"), -1, "soon", True], ids=str)
def test_a_garbled_retry_after_loses_no_failure(wait):
    """A Retry-After that is no number of seconds counts as not given."""

    async def run():
        manager = await manager_of([A, B], [])
        assert await manager.handle_api_failure(A, "m1", 0, status_code=429, retry_after=wait) == B
        assert {await manager.get_key() for _ in range(3)} == {B}

    with freeze_time("2026-03-01 12:00:01"):
        asyncio.run(run())


@pytest.mark.parametrize(
    "error_type, stored, valid, marked",
    [
        ("429", True, True, True),
        ("permanent", True, False, True),
        ("timeout", True, True, False),
        (None, True, True, False),
    ],
)
def test_the_record_of_an_error_does_what_the_failure_would(error_type, stored, valid, marked):
    """Recorded errors count as requests; "429" marks, "permanent" removes, no error adds a strike."""

    async def run():
        manager = await manager_of([A, B], [])
        assert await manager.update_usage("m1", A, False, 9, True, error_type) is stored
        usage = await manager.get_usage_stats(A, "m1")
        assert (usage["rpm"], usage["tpm"], usage["rpd"]) == (1, 0, 1)
        assert await manager.is_key_valid(A) is valid
        assert (await manager.get_fail_count(A) > 0) is not valid
        assert ({await manager.get_key() for _ in range(4)} == {B}) is marked

    with freeze_time("2026-03-01 12:00:01"):
        asyncio.run(run())


@scenario
async def test_names_that_join_alike_are_kept_apart():
    """Key "a:b" with model "c" and key "a" with model "b:c" have usage of their own."""
    manager = await manager_of(["a:b", "a"], [])
    await manager.update_usage("c", "a:b", tokens_used=3)
    assert (await manager.get_usage_stats("a", "b:c"))["rpm"] == 0
    assert (await manager.get_usage_stats("a:b", "c"))["tpm"] == 3


@scenario
async def test_status_has_the_formats_of_v1():
    """The groups are there in every state, with whole numbers, split at ``max_failures``."""
    manager = await manager_of(max_failures=2)
    assert await manager.get_keys_by_status() == {"valid_keys": {A: 0, B: 0, C: 0}, "invalid_keys": {}}
    await manager.handle_api_failure(A, "m1", 0)
    for _ in range(3):
        await manager.handle_api_failure(B, "m1", 0)
    status = await manager.get_keys_by_status()
    assert status == {"valid_keys": {A: 1, C: 0}, "invalid_keys": {B: 3}}
    assert await manager.get_all_keys_with_fail_count() == status | {"all_keys": {A: 1, B: 3, C: 0}}
    assert await manager.get_vertex_keys_by_status() == {"valid_keys": {V: 0, W: 0}, "invalid_keys": {}}
    status["valid_keys"].clear()
    assert A in (await manager.get_keys_by_status())["valid_keys"]


def test_the_state_adds_up():
    """Every model is listed with each key in one group, the summary counts them, and JSON takes it without a key."""

    async def run():
        manager = await manager_of()
        await manager.update_usage("m1", A, tokens_used=40)
        await manager.handle_api_failure(B, "m1", 0, status_code=429)
        await manager.handle_api_failure(C, "m1", 0, status_code=401)
        await manager.update_usage("Stranger", A)
        await manager.get_usage_stats(A, "never-used")
        state = await manager.get_state()
        assert set(state["models"]) == {"m1", "m2", "Stranger"}
        groups = state["models"]["m1"]["regular_keys"]
        assert {name: len(rows) for name, rows in groups.items()} == {"available": 1, "exhausted": 1, "inactive": 1}
        (row,) = groups["available"]
        assert row == {
            "api_key": "can...aaaa",
            "rpm": 1,
            "tpm": 40,
            "rpd": 1,
            "max_rpm": 5,
            "max_tpm": 100,
            "max_rpd": 20,
            "rpm_left": 4,
            "tpm_left": 60,
            "rpd_left": 19,
            "last_used": "2026-03-01T12:00:01+00:00",
        }
        assert state["summary"] == {
            "total_keys": 5,
            "total_models": 3,
            "total_available": 1 + 2 * 3 + 2 + 2,
            "total_exhausted": 1,
            "total_inactive": 3,
        }
        text = json.dumps(state, allow_nan=False)
        assert not any(key in text for key in (A, B, C, V, W))

    with freeze_time("2026-03-01 12:00:01"):
        asyncio.run(run())


@scenario
async def test_no_whole_key_is_ever_shown():
    """Reprs of the manager's own objects and its errors show no key."""
    manager = await manager_of(options=Options(unknown_key="typed-error", exhaustion="typed-error"))
    lease = await manager.acquire_lease()
    with pytest.raises(UnknownKeyError) as unknown:
        await manager.update_usage("m1", "secret-stranger-key")
    assert "secret-stranger-key" not in str(unknown.value)
    store = manager._desk.store
    side = store._sides["regular"]
    for shown in (manager, lease, store, side, *side.order, *(await store.standings("regular")), manager._roster):
        assert not any(key in repr(shown) for key in (A, B, C))


def test_no_whole_key_is_logged(caplog):
    """What operators are told of a key is redacted."""

    async def run():
        manager = await manager_of()
        await manager.handle_api_failure(A, "m1", 0, status_code=403)
        await manager_of((), ())

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    assert "can...aaaa" in caplog.text
    assert "no key in either pool" in caplog.text
    assert A not in caplog.text


@scenario
async def test_use_before_and_after_is_a_typed_error():
    """Before ``init`` and after ``shutdown`` every call but two raises; opened again, everything works."""
    manager = KeyManager([A], limits=LIMITS, default_model="m1")
    assert await manager.health() is False
    with pytest.raises(NotOpenError):
        await manager.get_key()
    await manager.init()
    await manager.update_usage("m1", A)
    await manager.init()
    assert (await manager.get_usage_stats(A, "m1"))["rpd"] == 1
    assert await manager.health() is True
    await manager.shutdown()
    await manager.shutdown()
    assert await manager.health() is False
    for call in (
        manager.get_key,
        manager.get_next_key,
        manager.get_state,
        manager.run_maintenance,
        manager.get_paid_key,
    ):
        with pytest.raises(NotOpenError):
            await call()
    await manager.init()
    assert await manager.get_key() == A
    assert (await manager.get_usage_stats(A, "m1"))["rpd"] == 1


@scenario
async def test_a_reload_serves_exactly_the_new_keys():
    """Removed keys are gone, survivors keep their counts, new keys are fresh; a refused reload changes nothing."""
    manager = await manager_of([A, B], [V])
    for key in (A, B):
        await manager.handle_api_failure(key, "m1", 3)
        await manager.update_usage("m1", key)
    for bad in ([A, ""], None, "abc", [7]):
        with pytest.raises(ConfigurationError):
            await manager.reinitialize(bad, [])
    assert (await manager.get_keys_by_status())["valid_keys"] == {A: 1, B: 1}
    lists = [B, C]
    await manager.reinitialize(lists, [])
    lists.append(W)
    assert (await manager.get_keys_by_status())["valid_keys"] == {B: 1, C: 0}
    assert (await manager.get_usage_stats(B, "m1"))["rpd"] == 1
    assert await manager.get_next_working_vertex_key() == ""
    assert {await manager.get_key() for _ in range(4)} == {B, C}
    await manager.reinitialize([A, B, C], [])
    assert (await manager.get_keys_by_status())["valid_keys"] == {A: 0, B: 1, C: 0}


@scenario
async def test_the_given_lists_and_limits_are_copied():
    """Changing what was given at construction changes nothing inside."""
    keys, limits = [A], {"m1": Limits(rpm=1)}
    manager = KeyManager(keys, limits=limits, default_model="m1")
    keys.append(B)
    limits["m1"] = Limits()
    await manager.init()
    assert [await manager.get_key(), await manager.get_key()] == [A, ""]


@scenario
async def test_reset_usage_frees_the_keys():
    """Counters are zeroed, and again."""
    manager = await manager_of([A], [])
    for _ in range(20):
        await manager.update_usage("m1", A, tokens_used=9)
    assert await manager.get_key() == ""
    for _ in range(2):
        await manager.reset_usage()
        usage = await manager.get_usage_stats(A, "m1")
        assert (usage["rpm"], usage["tpm"], usage["rpd"]) == (0, 0, 0)
    assert await manager.get_key() == A


@scenario
async def test_a_random_key_is_valid_and_any():
    """Random keys are usable ones, each of them sooner or later."""
    manager = await manager_of(limits={})
    await manager.handle_api_failure(A, "m1", 0, status_code=401)
    assert {await manager.get_random_valid_key() for _ in range(80)} == {B, C}


@scenario
async def test_the_paid_key_is_of_no_pool():
    """The paid key is answered as it was given."""
    manager = await manager_of(paid_key="paid-canary")
    assert await manager.get_paid_key() == "paid-canary"
    assert "paid-canary" not in (await manager.get_all_keys_with_fail_count())["all_keys"]


@pytest.mark.parametrize("settings", [{"max_failures": 0}, {"max_retries": -1}, {"max_failures": 1.5}], ids=str)
def test_numbers_that_mean_nothing_are_refused(settings):
    """Thresholds are whole numbers in their range."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        KeyManager([A], **settings)


def test_every_operation_is_a_coroutine():
    """Operations are awaited, all of them; a lease is entered, and a stream is iterated over."""
    public = [name for name in dir(KeyManager) if not name.startswith("_") and name not in ("lease", "stream")]
    assert inspect.isasyncgenfunction(KeyManager.stream)
    assert len(public) >= 33
    assert all(inspect.iscoroutinefunction(getattr(KeyManager, name)) for name in public)


@pytest.mark.parametrize(
    "options, error",
    [(Options(exhaustion="typed-error"), NoUsableKeyError), (Options(unknown_model="reject"), UnknownModelError)],
)
def test_typed_errors_are_raised_where_the_options_ask_for_them(options, error):
    """Exhaustion and unknown models raise when configured so, on the retry path alike, but not on the last retry."""

    async def run():
        manager = await manager_of([A], [], options=options)
        model = "stranger" if error is UnknownModelError else "m1"
        if error is NoUsableKeyError:
            await manager.handle_api_failure(A, "m1", 3, status_code=401)
            assert await manager.handle_api_failure(A, "m1", 3, status_code=401) == ""
        for call in (manager.get_key(model), manager.handle_api_failure(A, model, 0)):
            with pytest.raises(error):
                await call

    asyncio.run(run())


@scenario
async def test_the_rotation_of_an_empty_pool_is_exhausted_too():
    """Where exhaustion is a typed error, the plain rotation of an empty pool raises it."""
    manager = await manager_of([A], [], options=Options(exhaustion="typed-error"))
    assert await manager.get_next_key() == A
    with pytest.raises(NoUsableKeyError, match="vertex"):
        await manager.get_next_vertex_key()


@scenario
async def test_a_fallback_is_some_key_of_the_pool():
    """With nothing usable the next key is served, another one than the failed where there is one."""
    manager = await manager_of([A, B], [V], options=Options(exhaustion="fallback"))
    for key in (A, B):
        await manager.handle_api_failure(key, "m1", 3, status_code=401)
    assert {await manager.get_key() for _ in range(4)} == {A, B}
    assert await manager.handle_api_failure(A, "m1", 0) == B
    assert await manager.handle_api_failure(A, "m1", 3) == ""
    await manager.reinitialize([], [V])
    assert await manager.get_key() == ""


@pytest.mark.parametrize(
    "keys, options",
    [(([A], [A]), Options(both_pools="reject")), (([], []), Options(empty_pools="refuse"))],
    ids=["both", "empty"],
)
def test_refused_pools_do_not_open(keys, options):
    """Pools the options refuse are a typed error at the opening, and again; a reload to them changes nothing."""

    async def run():
        manager = KeyManager(*keys, options=options)
        for _ in range(2):
            with pytest.raises(ConfigurationError) as refused:
                await manager.init()
            assert A not in str(refused.value)
        assert await manager.health() is False
        live = KeyManager([B], [C], options=options)
        await live.init()
        with pytest.raises(ConfigurationError):
            await live.reinitialize(*keys)
        assert await live.get_key() == B

    asyncio.run(run())


@scenario
async def test_the_sentinel_may_be_none():
    """Where the options say None, None is answered."""
    manager = await manager_of((), (), options=Options(sentinel=None))
    assert await manager.get_key() is None
    assert await manager.get_next_key() is None


@scenario
async def test_a_success_may_clear_strikes_but_not_a_removal():
    """Under ``success="clears"`` a late success brings a struck-out key back, never one that 401 took out."""
    manager = await manager_of([A, B], [], options=Options(success="clears"))
    for _ in range(3):
        await manager.handle_api_failure(A, "m1", 3)
    await manager.handle_api_failure(B, "m1", 3, status_code=401)
    assert await manager.get_key() == ""
    assert await manager.update_usage("m1", A)
    assert await manager.update_usage("m1", B)
    assert await manager.get_fail_count(A) == 0
    assert {await manager.get_key() for _ in range(3)} == {A}


def test_recoveries_bring_keys_back():
    """Struck-out and removed keys come back by themselves where the options say when."""

    async def run(clock):
        manager = await manager_of([A, B], [], options=Options(strike_recovery=30, auth_recovery=600))
        for _ in range(3):
            await manager.handle_api_failure(A, "m1", 3)
        await manager.handle_api_failure(B, "m1", 3, status_code=401)
        assert await manager.get_key() == ""
        clock.tick(30)
        assert await manager.is_key_valid(A)
        assert [await manager.get_key(), await manager.get_key()] == [A, A]
        clock.tick(569)
        assert not await manager.is_key_valid(B)
        clock.tick(1)
        assert {await manager.get_key(), await manager.get_key()} == {A, B}

    with freeze_time("2026-03-01 12:00:01") as clock:
        asyncio.run(run(clock))
