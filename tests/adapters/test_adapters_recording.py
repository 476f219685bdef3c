"""Performing steps: what reaches the backend, and what is recorded of it."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from pytest_keyconform.adapters.answering import counted, mutate
from pytest_keyconform.adapters.base import Adapter, Lease, Usage
from pytest_keyconform.adapters.connection import connect
from pytest_keyconform.adapters.keys import Keyring, canary
from pytest_keyconform.adapters.recording import Recorder
from pytest_keyconform.errors import Unsupported
from pytest_keyconform.operation import (
    Answered,
    Invocation,
    Opaque,
    Phase,
    Ref,
    Skipped,
)
from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.workload import Given, Step


class Clock:
    """Counts the calls and returns, and one second for each."""

    def __init__(self):
        self.places = itertools.count(1)
        self.now = 0.0

    def tick(self):
        self.now += 1
        return next(self.places)


def step(name, bind=None, /, **arguments):
    """Write a step."""
    return Step(invocation=Invocation(name, tuple(arguments.items())), bind=bind)


def driven(coroutine):
    """Run a coroutine by hand: it fails the test if it suspends."""
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    return done.value.value


def recording(operations, **policies):
    """Answer a recorder of an adapter with these operations."""
    kind = type("Mine", (Adapter,), operations)
    ring, given = Keyring(), Given()
    pool = ring.pool_of(given)
    return Recorder(connect(kind(pool), pool), ring, given, Policies(**policies), Clock())


def respond(operation, name="acquire", **arguments):
    """Perform one step on an adapter that has just this operation, and answer its response."""
    return driven(recording({name: operation}).perform(step(name, **arguments))).response


def raiser(error):
    """Make an acquire that raises."""

    def acquire(self):
        raise error

    return acquire


def test_a_call_and_its_answer_are_recorded_as_labels():
    """A record holds the invocation, the answer in labels, its places and times, its client and phase."""
    recorder = recording({"acquire": lambda self, model, pool: self.pool.api_keys[1]})
    asked = step("acquire", "a", model="m1", pool="regular")
    operation = driven(recorder.perform(asked, client=2, phase=Phase.PARALLEL))
    assert operation.invocation == asked.invocation
    assert operation.response == Answered("key-2")
    assert (operation.called, operation.returned, operation.client, operation.bind) == (1, 2, 2, "a")
    assert (operation.phase, operation.at, operation.until) == (Phase.PARALLEL, 1.0, 1.0)
    assert recorder.operations == (operation,)


def test_labels_reach_the_backend_as_canaries():
    """The backend is given keys, never labels, whatever they stand in."""
    given = []
    recorder = recording({"reload": lambda self, api_keys, vertex_api_keys: given.append((api_keys, vertex_api_keys))})
    operation = driven(recorder.perform(step("reload", api_keys=("key-1", "new-1"), vertex_api_keys=())))
    assert given == [([canary("key-1"), canary("new-1")], [])]
    assert operation.get("api_keys") == ("key-1", "new-1")


def test_an_asynchronous_call_is_awaited():
    """An answer that is awaitable is awaited once, whether its function is a coroutine function or not."""

    async def acquire(self):
        await asyncio.sleep(0)
        return self.pool.api_keys[0]

    def answers_it(self):
        return acquire(self)

    for operation in (acquire, answers_it):
        recorder = recording({"acquire": operation})
        assert asyncio.run(recorder.perform(step("acquire"))).response == Answered("key-1")


def test_a_coroutine_that_is_answered_by_a_coroutine_is_shown():
    """A forgotten await inside the backend is recorded as what it is."""

    async def inner():
        return 1

    async def acquire(self):
        return inner()

    assert respond(acquire) == Answered(Opaque("coroutine"))


def test_an_earlier_answer_is_handed_on_as_the_backend_answered_it():
    """As a lease the backend gets its own lease back, as a key the bare key; both are recorded by the label."""
    given = []
    lease = []

    def acquire(self):
        lease.append(Lease(self.pool.api_keys[0], handle=object()))
        return lease[0]

    def usage(self, key):
        given.append(key)

    recorder = recording({"acquire": acquire, "usage": usage, "release": lambda self, lease: given.append(lease)})
    assert driven(recorder.perform(step("acquire", "a"))).value == "key-1"
    released = driven(recorder.perform(step("release", lease=Ref("a"))))
    driven(recorder.perform(step("usage", key=Ref("a"))))
    assert given[0] is lease[0]
    assert given[1] == canary("key-1")
    assert released.get("lease") == "key-1"


def test_earlier_answers_are_found_within_lists():
    """A list of earlier answers is handed on as a list of keys."""
    given = []
    recorder = recording({"acquire": lambda self: self.pool.api_keys[0], "bulk": lambda self, keys: given.append(keys)})
    driven(recorder.perform(step("acquire", "a")))
    operation = driven(recorder.perform(step("bulk", keys=(Ref("a"), "key-2"))))
    assert given == [[canary("key-1"), canary("key-2")]]
    assert operation.get("keys") == ("key-1", "key-2")


@pytest.mark.parametrize("answer", ["", None, 7, ValueError(), Lease("")])
def test_a_key_that_was_never_answered_is_not_reported_on(answer):
    """A step about an answer that was no key calls nothing, and says so."""

    def acquire(self):
        if isinstance(answer, Exception):
            raise answer
        return answer

    called = []
    recorder = recording({"acquire": acquire, "release": lambda self, lease: called.append(lease)})
    driven(recorder.perform(step("acquire", "a")))
    operation = driven(recorder.perform(step("release", lease=Ref("a"))))
    assert operation.response == Skipped("its key was never answered")
    assert operation.get("lease") == Ref("a")
    assert operation.returned == operation.called + 1
    assert called == []


def test_an_answer_is_forgotten_when_its_name_is_bound_anew():
    """A later step of the same name that fails leaves no key of the earlier one behind."""
    answers = iter(["k", ""])
    recorder = recording({"acquire": lambda self: next(answers), "release": lambda self, lease: lease})
    for _ in range(2):
        driven(recorder.perform(step("acquire", "a")))
    assert isinstance(driven(recorder.perform(step("release", lease=Ref("a")))).response, Skipped)


def test_what_is_not_claimed_is_skipped():
    """An operation the backend does not have, or declines at run time, is recorded as skipped."""
    recorder = recording({"acquire": raiser(Unsupported(f"not for {canary('key-1')}"))})
    assert driven(recorder.perform(step("acquire"))).response == Skipped("not for key-1")
    assert driven(recorder.perform(step("state"))).response == Skipped("no state")


def test_how_to_call_is_not_passed_on():
    """Arguments that say how to call are recorded, and the backend does not see them."""
    given = []

    def record(self, lease, **rest):
        given.append(rest)

    operation = driven(recording({"record": record}).perform(step("record", lease="", tokens=-1, bad=True)))
    assert given == [{"tokens": -1}]
    assert operation.get("bad") is True


def test_an_answer_is_changed_after_it_was_recorded():
    """A step that says so empties the raw answer, once the record is made."""
    inside = {"models": {"m1": [{"rpm": 1}]}}
    recorder = recording({"state": lambda self: inside})
    operation = driven(recorder.perform(step("state", mutate=True)))
    assert operation.value == {"models": {"m1": ({"rpm": 1},)}}
    assert inside == {}


def test_mutating_reaches_every_level():
    """Every dict and list within an answer is emptied; what cannot be changed is left alone, a cycle too."""
    rows, table = [1], {"a": 1}
    cycle: list = [rows]
    cycle.append(cycle)
    mutate((table, {"rows": rows}, "text", cycle))
    assert (rows, table, cycle) == ([], {}, [])


@pytest.mark.parametrize(
    "answer, plain",
    [
        (Usage(rpm=1, rpd=2), {"rpm": 1, "rpd": 2}),
        ({"rpd": 2, "rpm": 1, "last_used": 3.5}, {"rpm": 1, "rpd": 2}),
        ({"rpm": 1, "last_used": SimpleNamespace()}, {"rpm": 1, "not JSON": "SimpleNamespace"}),
        (None, None),
        (7, 7),
    ],
)
def test_a_usage_is_recorded_by_its_counters(answer, plain):
    """Usages compare whatever their form: by the counters that the backend keeps."""
    assert counted(answer) == plain
    assert respond(lambda self: answer, "usage") == Answered(plain)


def test_instances_are_told_apart():
    """The provider's answers are numbered, so that a rule can tell whether they are one."""
    one, two = SimpleNamespace(), SimpleNamespace()
    answers = iter([one, two, one])
    recorder = recording({"instance": lambda self: next(answers)})
    numbers = [driven(recorder.perform(step("instance"))).value.text for _ in range(3)]
    assert numbers == ["instance-1", "instance-2", "instance-1"]


def test_an_answer_that_is_no_key_is_never_shown_whole():
    """A stranger key is cut, and a SecretStr stays one."""
    assert respond(lambda self: "sk-live-0123456789") == Answered("sk-l…")
    assert respond(lambda self: SecretStr(canary("key-1"))) == Answered(Opaque("SecretStr"))


def test_an_instance_that_is_no_manager_is_not_called():
    """A step through what the provider answered is skipped where that cannot be bound; nobody's run ends."""
    recorder = recording({"instance": lambda self: object(), "acquire": lambda self: "key"})
    driven(recorder.perform(step("instance", "a")))
    operation = driven(recorder.perform(step("acquire", through=Ref("a"))))
    assert isinstance(operation.response, Skipped)


def test_a_step_through_an_instance_that_never_came_is_skipped():
    """Where the step that asks the provider was left out, the one that calls its answer has nothing to call."""
    recorder = recording({"acquire": lambda self: "key"})
    assert isinstance(driven(recorder.perform(step("acquire", through=Ref("a")))).response, Skipped)
