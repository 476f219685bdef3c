"""The far end of the wire: each request gets an answer, whatever it is, and the clock goes as it is told."""

from __future__ import annotations

import asyncio
import json

import pytest

from pytest_keyconform.adapters.base import Adapter, Lease, Usage
from pytest_keyconform.adapters.resolve import resolve
from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.errors import TargetError
from pytest_keyconform.serving.desk import Desk
from pytest_keyconform.serving.time import ServingLoop, Time

NOW = "2026-03-01T12:00:00Z"
POOL = {"api_keys": ["k1", "k2"], "limits": {"m1": {"rpm": 1}}}


class Full(Exception):
    """What the manager below raises."""


class Kept(Adapter):
    """A manager that leases keys, with answers of every kind."""

    policies = {"tenure": "lease"}  # noqa: RUF012 - as an author writes it

    async def acquire(self, model):
        if model == "none":
            raise Full("nothing left")
        if model == "broken":
            raise KeyError(model)
        return Lease(self.pool.api_keys[0], handle=object())

    def record(self, lease, tokens):
        return isinstance(lease, Lease)

    def usage(self, key) -> Usage:
        return Usage(rpm=1)

    def state(self):
        return {"total": float("nan")}

    def status(self):
        return {"valid_keys": {"k1": 0}, "invalid_keys": {}, 1: object()}

    def close(self) -> None:
        """Have an operation of this name."""


def asked(requests, target="reference"):
    """Answer what a desk answers to requests, one after the other."""
    clock = VirtualClock()

    async def main():
        desk = Desk(found, Time(clock, asyncio.get_running_loop()))
        await desk.start()
        answers = [await desk.answer(request) for request in requests]
        await desk.close()
        return answers

    with clock, asyncio.Runner(loop_factory=lambda: ServingLoop(clock)) as runner:
        found = resolve(target, roots=[])
        clock.watch(found.modules())
        return runner.run(main())


def numbered(*requests):
    return [{"seq": number, **request} for number, request in enumerate(requests, start=1)]


OPEN = {"op": "open", "pool": POOL, "now": NOW}


def test_an_opening_makes_a_fresh_manager():
    """What was counted before a closing is gone, and a manager that was left open is replaced."""
    record = {"op": "record", "lease": {"key": "k1", "handle": None}, "model": "m1", "pool": "regular", "tokens": 5}
    usage = {"op": "usage", "key": "k1", "model": "m1", "pool": "regular"}
    answers = asked(numbered(OPEN, record, usage, {"op": "close"}, OPEN, usage, record, OPEN, usage))
    assert [one["seq"] for one in answers] == list(range(1, 10))
    counts = [one["ok"]["rpm"] for one in answers if isinstance(one["ok"], dict)]
    assert counts == [1, 0, 0]


def test_the_clock_goes_as_it_is_told():
    """After a minute that was told, what is limited by the minute is free again."""
    acquire = {"op": "acquire", "model": "m1", "pool": "regular"}
    spent = [
        {"op": "record", "lease": {"key": key, "handle": None}, "model": "m1", "pool": "regular", "tokens": 1}
        for key in ("k1", "k2")
    ]
    later = {"op": "clock", "now": "2026-03-01T12:01:01Z"}
    answers = asked(numbered(OPEN, *spent, acquire, later, acquire))
    assert answers[3]["ok"] == ""
    assert answers[4]["ok"] is None
    assert answers[5]["ok"] in ("k1", "k2")


def test_timers_are_due_when_the_clock_has_passed_them():
    """What a backend does once a minute is done by the time that the jump over ten of them is answered."""
    clock, seen = VirtualClock(), []

    async def main():
        async def worker():
            while True:
                await asyncio.sleep(60)
                seen.append(round(clock.now))

        task = asyncio.ensure_future(worker())
        await asyncio.sleep(0)
        await Time(clock, asyncio.get_running_loop()).go_to(clock.time() + 605)
        task.cancel()

    with clock, asyncio.Runner(loop_factory=lambda: ServingLoop(clock)) as runner:
        runner.run(main())
    assert len(seen) == 10
    assert seen == sorted(seen)


def test_a_lease_comes_back_as_the_object_that_it_was():
    """What JSON cannot carry stays here, and a number stands for it over there."""
    first = asked(numbered(OPEN, {"op": "acquire", "model": "m1"}), target=f"{__name__}:Kept")[1]["ok"]
    assert first == {"key": "k1", "handle": 1}
    answers = asked(
        numbered(OPEN, {"op": "acquire", "model": "m1"}, {"op": "record", "lease": first, "tokens": 1}),
        target=f"{__name__}:Kept",
    )
    assert answers[2] == {"seq": 3, "ok": True}


def test_errors_are_told_with_what_a_caller_may_expect():
    """An error of the backend's own is typed, one of Python's is not; what JSON has no word for is said."""
    wrong = [
        {"op": "acquire", "model": "none"},
        {"op": "acquire", "model": "broken"},
        {"op": "state"},
        {"op": "status", "pool": "regular"},
        {"op": "tick"},
        {"op": "usage", "key": "k1"},
    ]
    answers = asked(numbered(OPEN, *wrong), target=f"{__name__}:Kept")[1:]
    errors = [one.get("error") for one in answers]
    assert errors[0] == {"type": "Full", "message": "nothing left", "typed": True}
    assert (errors[1]["type"], errors[1]["typed"]) == ("KeyError", False)
    assert errors[2]["message"] == "JSON cannot carry the number nan"
    assert errors[3]["message"] == "JSON cannot carry the name 1"
    assert answers[4] == {"seq": 6, "unsupported": True}
    assert answers[5]["ok"] == {"rpm": 1, "tpm": None, "rpd": None}


@pytest.mark.parametrize(
    "request_",
    [
        None,
        [],
        {},
        {"seq": True, "op": "hello"},
        {"seq": 1},
        {"seq": 1, "op": "open"},
        {"seq": 1, "op": "open", "pool": {"api_keys": 3}, "now": NOW},
        {"seq": 1, "op": "open", "pool": POOL, "now": "soon"},
        {"seq": 1, "op": "acquire"},
        {"seq": 1, "op": "__class__"},
        {"seq": 1, "op": ["acquire"]},
        {"seq": 1, "op": "close"},
    ],
)
def test_what_is_no_request_is_refused(request_):
    """Nothing that is sent ends the service; the answer says what was expected."""
    (answer,) = asked([request_])
    assert answer["error"]["type"] == "Refused", answer
    assert answer["error"]["message"].startswith("expected")
    json.dumps(answer)


def test_a_pool_that_is_refused_is_told_as_it_was_raised():
    """An opening that fails says what was raised, and that a caller may expect it."""
    (answer,) = asked(numbered({**OPEN, "pool": {"api_keys": [""]}}))
    assert answer["error"]["typed"] is True
    assert answer["error"]["type"] == "ConfigurationError"


def refusing(pool):
    """Make nothing."""
    raise Full("no room")


def test_a_target_that_cannot_be_opened_is_not_served():
    """The refusal comes before anybody connects."""
    with pytest.raises(TargetError, match=r"cannot be opened on an ordinary pool: .* raised Full: no room"):
        asked([], target=f"{__name__}:refusing")
