"""The key manager against one that scans lists: slow, short, and plainly what the options say."""

import asyncio
import dataclasses
import datetime as dt
import math
import types
import zoneinfo
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from keyconform_reference import KeyManager, Limits, Options

KEYS = ("naive-key-0001", "naive-key-0002", "naive-key-0003")
LIMITS = {"m1": Limits(rpm=3, tpm=100, rpd=7), "m2": Limits(rpm=2)}
MODELS = ("m1", "m2", "stranger")
START = 1_772_366_400.0  # 2026-03-01 12:00 UTC
ZONE = zoneinfo.ZoneInfo("America/Los_Angeles")


class Naive:
    """Every report and acquire is kept; each question is answered by looking at all of them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.now = START
        self.spent: list[tuple[str, str, float, int, int]] = []
        self.served: list[tuple[str, str, float]] = []
        self.strikes = dict.fromkeys(KEYS, 0)
        self.removed: set[str] = set()
        self.marks: dict[tuple[str, str], float] = {}

    def used(self, key: str, model: str) -> tuple[int, int, int]:
        own = [entry for entry in self.spent if entry[:2] == (key, model)]
        minute = [entry for entry in own if self.in_minute(entry[2])]
        day = [entry for entry in own if self.in_day(entry[2])]
        return sum(e[3] for e in minute), sum(e[4] for e in minute), sum(e[3] for e in day)

    def in_minute(self, stamp: float) -> bool:
        if self.options.minute_window == "rolling":
            return stamp + 60 > self.now
        return stamp // 60 == self.now // 60

    def in_day(self, stamp: float) -> bool:
        if self.options.day_zone == "rolling":
            return stamp + 86_400 > self.now
        return self.day(stamp) == self.day(self.now)

    def day(self, stamp: float) -> dt.date:
        return dt.datetime.fromtimestamp(stamp, ZONE).date()

    def valid(self, key: str) -> bool:
        threshold = 1 if self.options.failures == "immediate" else 3
        return key not in self.removed and self.strikes[key] < threshold

    def usable(self, key: str, model: str, *, with_reserved: bool) -> bool:
        if not self.valid(key) or self.marks.get((key, model), 0) > self.now:
            return False
        if self.options.counted_on == "none" or model not in LIMITS:
            return True
        held = self.reserved(key, model) if with_reserved and self.options.counted_on == "record" else 0
        rpm, tpm, rpd = self.used(key, model)
        limits = LIMITS[model]
        pairs = ((rpm + held, limits.rpm), (tpm, limits.tpm), (rpd + held, limits.rpd))
        return all(limit is None or used < limit for used, limit in pairs)

    def reserved(self, key: str, model: str) -> int:
        return len([s for s in self.served if s[:2] == (key, model) and s[2] // 1 + 60 > self.now])

    def reported(self, key: str, model: str) -> None:
        self.served = [s for s in self.served if s[2] // 1 + 60 > self.now]
        own = [s for s in self.served if s[:2] == (key, model)]
        if own:
            self.served.remove(own[0])

    def serve(self, key: str, model: str) -> None:
        self.served.append((key, model, self.now))
        if self.options.counted_on == "acquire":
            self.spent.append((key, model, self.now, 1, 0))

    def record(self, key: str, model: str, tokens: int, error_type: str | None) -> None:
        self.reported(key, model)
        counts = error_type is None or self.options.error_usage == "counts"
        requests = int(counts and self.options.counted_on == "record")
        if error_type is not None or self.options.counted_on == "none":
            tokens = 0
        self.spent.append((key, model, self.now, requests, tokens))
        if error_type == "429":
            self.mark(key, model, None)
        if error_type == "permanent":
            self.removed.add(key)
        if error_type is None and self.options.success == "clears":
            self.strikes[key] = 0

    def fail(self, key: str, model: str, status: int | None, retry_after: float | None) -> None:
        self.reported(key, model)
        if status == 429:
            self.mark(key, model, retry_after)
        elif status == 401:
            self.removed.add(key)
        elif status in (None, 500) or self.options.request_errors == "counted":
            self.strikes[key] += 1

    def mark(self, key: str, model: str, retry_after: float | None) -> None:
        rolling = self.options.minute_window == "rolling"
        recovery = {"minute": self.now + 60 if rolling else self.now // 60 * 60 + 60, None: math.inf}
        until = recovery.get(self.options.quota_recovery, self.now + 5)
        if retry_after is not None:
            until = self.now + retry_after
        self.marks[key, model] = max(until, self.marks.get((key, model), 0))

    def restore(self, key: str) -> None:
        self.strikes[key] = 0
        self.removed.discard(key)
        self.marks = {pair: until for pair, until in self.marks.items() if pair[0] != key}


def vars_of(options: Options) -> dict[str, object]:
    """What differs from the defaults, to name a test."""
    names = [field.name for field in dataclasses.fields(options)]
    changed = [name for name in names if getattr(options, name) != getattr(Options(), name)]
    return {name: getattr(options, name) for name in changed}


class Pair(RuleBasedStateMachine):
    """Both managers, under the options of a subclass."""

    options = Options()

    def __init__(self) -> None:
        super().__init__()
        self.naive = Naive(self.options)
        clock = types.SimpleNamespace(time=lambda: self.naive.now, monotonic=lambda: self.naive.now)
        self.patch = mock.patch("keyconform_reference.stores.memory.time", clock)
        self.patch.start()
        self.manager = KeyManager(KEYS, limits=LIMITS, default_model="m1", options=self.options, max_retries=9)
        self.run(self.manager.init())

    def run(self, coroutine: object) -> object:
        """Run a call of a memory store, which never suspends."""
        with pytest.raises(StopIteration) as stop:
            coroutine.send(None)
        return stop.value.value

    def judge(self, key: str, model: str, avoid: str | None = None) -> None:
        usable = {k for k in KEYS if self.naive.usable(k, model, with_reserved=True)}
        better = usable - {avoid} or usable
        assert key in (better or {""})
        if key:
            self.naive.serve(key, model)

    @rule(model=st.sampled_from(MODELS))
    def acquire(self, model: str) -> None:
        self.judge(self.run(self.manager.get_key(model)), model)

    @rule(model=st.sampled_from(MODELS))
    def draw(self, model: str) -> None:
        self.judge(self.run(self.manager.get_random_valid_key(model)), model)

    @rule(model=st.sampled_from(MODELS))
    def burst(self, model: str) -> None:
        usable = [k for k in KEYS if self.naive.usable(k, model, with_reserved=True)]
        served = [self.run(self.manager.get_key(model)) for _ in usable]
        if self.options.selection != "random":
            assert sorted(served) == sorted(usable)
        for key in served:
            self.naive.serve(key, model)

    @rule(
        key=st.sampled_from(KEYS),
        model=st.sampled_from(MODELS),
        tokens=st.integers(0, 60),
        error=st.sampled_from((None, None, None, "429", "permanent", "timeout")),
    )
    def record(self, key: str, model: str, tokens: int, error: str | None) -> None:
        report = self.manager.update_usage(model, key, tokens_used=tokens, error=bool(error), error_type=error)
        stored = error != "timeout" or self.options.error_usage == "counts"
        assert self.run(report) is stored
        self.naive.record(key, model, tokens, error)

    @rule(
        key=st.sampled_from(KEYS),
        model=st.sampled_from(MODELS),
        status=st.sampled_from((None, 400, 401, 429, 429, 500)),
        wait=st.sampled_from((None, None, 0, 7)),
    )
    def fail(self, key: str, model: str, status: int | None, wait: float | None) -> None:
        wait = wait if status == 429 else None
        call = self.manager.handle_api_failure(key, model, 0, status_code=status, retry_after=wait)
        answer = self.run(call)
        self.naive.fail(key, model, status, wait)
        self.judge(answer, model, avoid=key)

    @rule(key=st.sampled_from(KEYS))
    def reset(self, key: str) -> None:
        assert self.run(self.manager.reset_key_failure_count(key)) is True
        self.naive.restore(key)

    @rule(key=st.sampled_from(KEYS), model=st.sampled_from(MODELS))
    def reactivate(self, key: str, model: str) -> None:
        assert self.run(self.manager.reactivate_key(key, model)) is True
        self.naive.marks.pop((key, model), None)

    @rule()
    def reset_all(self) -> None:
        self.run(self.manager.reset_failure_counts())
        for key in KEYS:
            self.naive.restore(key)

    @rule()
    def reset_usage(self) -> None:
        self.run(self.manager.reset_usage())
        self.naive.spent.clear()
        self.naive.served.clear()

    @precondition(lambda self: self.options.reload == "preserve")
    @rule()
    def reload(self) -> None:
        self.run(self.manager.reinitialize(tuple(reversed(KEYS)), ()))

    @rule(seconds=st.sampled_from((0.5, 4, 5, 13, 60, 61, 3_600, 43_200, 86_400)))
    def wait(self, seconds: float) -> None:
        self.naive.now += seconds

    @rule()
    def maintain(self) -> None:
        self.run(self.manager.run_maintenance())

    @invariant()
    def same_views(self) -> None:
        groups = self.run(self.manager.get_keys_by_status())
        assert set(groups["valid_keys"]) == {key for key in KEYS if self.naive.valid(key)}
        for key in groups["valid_keys"]:
            assert groups["valid_keys"][key] == self.naive.strikes[key]
        for key in KEYS:
            for model in MODELS:
                usage = self.run(self.manager.get_usage_stats(key, model))
                assert (usage["rpm"], usage["tpm"], usage["rpd"]) == self.naive.used(key, model)
        self.same_state()

    def same_state(self) -> None:
        state = self.run(self.manager.get_state())
        for name, model in state["models"].items():
            usable = [k for k in KEYS if self.naive.usable(k, name, with_reserved=False)]
            assert len(model["regular_keys"]["available"]) == len(usable)
            inactive = [k for k in KEYS if not self.naive.valid(k)]
            assert len(model["regular_keys"]["inactive"]) == len(inactive)

    def teardown(self) -> None:
        self.patch.stop()


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(selection="least-used"),
        Options(selection="most-left", minute_window="rolling", day_zone="rolling"),
        Options(selection="random", counted_on="acquire"),
        Options(counted_on="acquire", error_usage="free", selection="least-used"),
        Options(counted_on="none", success="clears"),
        Options(error_usage="free", quota_recovery=5, request_errors="counted"),
        Options(failures="immediate", quota_recovery=None, success="clears", minute_window="rolling"),
    ],
    ids=lambda options: "-".join(map(str, vars_of(options).values())) or "defaults",
)
def test_any_program_is_answered_as_by_the_naive_manager(options):
    """Whatever is called in whatever order, answers and views are those of a manager that scans."""
    program = settings(
        max_examples=60,
        stateful_step_count=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    asyncio.run(in_loop(type("Configured", (Pair,), {"options": options}), program))


async def in_loop(pair, program):
    """Run inside a loop, though no call suspends: what the manager does is the same as in a service."""
    run_state_machine_as_test(pair, settings=program)
