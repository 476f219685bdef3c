"""Performing steps: what is recorded of calls that raise, are cancelled, or never come back."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from pytest_keyconform.adapters.base import Adapter
from pytest_keyconform.adapters.connection import connect
from pytest_keyconform.adapters.keys import Keyring, canary
from pytest_keyconform.adapters.recording import Recorder
from pytest_keyconform.errors import KeyconformError
from pytest_keyconform.history import Ending
from pytest_keyconform.operation import (
    Cancelled,
    Invocation,
    Raised,
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


def test_an_error_is_recorded_without_keys():
    """A raised error is recorded by its class, a message without keys and of one short line, and its place."""
    response = respond(raiser(RuntimeError(f"no\n{canary('key-2')} " + "x" * 300)))
    assert isinstance(response, Raised)
    assert (response.kind, response.typed) == ("RuntimeError", False)
    assert response.message.startswith("no key-2 xxx")
    assert len(response.message) == 200
    assert "test_adapters_endings.py:" in response.where


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError, StopIteration])
def test_what_would_end_the_run_is_recorded_instead(kind):
    """A backend that raises SystemExit, GeneratorExit or a cancellation of its own ends no run."""
    response = respond(raiser(kind("x")))
    assert isinstance(response, Raised)
    assert (response.kind, response.typed) == (kind.__name__, False)


def test_a_cancellation_of_its_own_is_an_error_on_a_loop_too():
    """A coroutine that raises CancelledError though nobody cancelled it has failed."""

    async def acquire(self):
        raise asyncio.CancelledError

    recorder = recording({"acquire": acquire})
    response = asyncio.run(recorder.perform(step("acquire"))).response
    assert isinstance(response, Raised)
    assert response.kind == "CancelledError"


def test_a_cancellation_by_the_harness_is_recorded_and_goes_on():
    """A call that the harness cancels is recorded as cancelled, and the cancellation comes out."""

    async def acquire(self):
        await asyncio.sleep(3600)

    recorder = recording({"acquire": acquire})

    async def main():
        task = asyncio.ensure_future(recorder.perform(step("acquire", "a")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    assert recorder.operations[0].response == Cancelled()


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), type("Stop", (BaseException,), {"__module__": "pytest_keyconform.engine"})()]
)
def test_what_is_the_harness_own_passes_through(error):
    """An interrupt, and what the harness raises to stop a call, leave the operation pending."""
    recorder = recording({"acquire": raiser(error)})
    with pytest.raises(type(error)):
        recorder.perform(step("acquire")).send(None)
    assert recorder.operations[0].pending
    assert recorder.operations[0].until is None


def test_a_call_that_is_abandoned_stays_pending():
    """Closing a coroutine that waits for ever records nothing, and calls nothing more."""

    async def acquire(self):
        await asyncio.Event().wait()

    recorder = recording({"acquire": acquire})

    async def main():
        waiting = recorder.perform(step("acquire"))
        waiting.send(None)
        waiting.close()

    asyncio.run(main())
    assert recorder.operations[0].pending


def test_operations_stand_in_the_order_of_their_calls():
    """A history lists operations by their calls, with those that overlap and those that are pending."""
    gates = {}

    async def acquire(self, model):
        gates[model] = asyncio.get_running_loop().create_future()
        return await gates[model]

    recorder = recording({"acquire": acquire})

    async def main():
        tasks = [
            asyncio.ensure_future(recorder.perform(step("acquire", model=name), client=i))
            for i, name in enumerate("abc", 1)
        ]
        await asyncio.sleep(0)
        gates["b"].set_result("")
        await tasks[1]
        history = recorder.history(ending=Ending.DEADLOCK)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return history

    history = asyncio.run(main())
    assert [(op.get("model"), op.called, op.returned) for op in history.operations] == [
        ("a", 1, None),
        ("b", 2, 4),
        ("c", 3, None),
    ]
    assert history.ending is Ending.DEADLOCK
    assert history.given == Given()


def test_bad_input_may_be_refused_by_a_plain_class():
    """ValueError and TypeError are typed as the refusal of bad input, and accidents elsewhere."""

    def record(self, lease):
        raise ValueError

    recorder = recording({"record": record})
    assert driven(recorder.perform(step("record", lease="", bad=True))).response.typed
    assert not driven(recorder.perform(step("record", lease="key-1"))).response.typed


def test_errors_of_the_harness_are_no_answers():
    """An error of this package that comes out of a call is not the backend's."""
    recorder = recording({"acquire": raiser(KeyconformError("ours"))})
    with pytest.raises(KeyconformError, match="ours"):
        recorder.perform(step("acquire")).send(None)
