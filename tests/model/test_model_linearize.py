"""The search for a linearization answers what trying every order answers."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_keyconform.model.linearize import Linearized, Refuted, Undecided, linearize
from pytest_keyconform.operation import Answered, Invocation, Operation

NAMES = ("add", "take", "read")
MOST = 6
HISTORIES = 1500


@dataclass(frozen=True)
class Number:
    """What the operations are about."""

    value: int = 0

    def fingerprint(self):
        return self.value


def step(state, operation):
    """``add`` adds one; ``take`` takes one or two, as it likes; ``read`` answers the number: a refusal is a str."""
    match operation.name:
        case "add":
            return (Number(state.value + 1),)
        case "take":
            return Number(state.value - 1), Number(state.value - 2)
        case _ if operation.pending or operation.value == state.value:
            return (state,)
        case _:
            return f"{state.value}, not {operation.value}"


def operation(name, called, returned, value=None):
    response = None if returned is None else Answered(value)
    return Operation(
        invocation=Invocation(name), response=response, called=called, returned=returned, at=0.0, until=0.0
    )


def brute(operations, initial=None):
    """Whether some order of the completed operations, and of some pending ones, is possible."""
    completed = [op for op in operations if not op.pending]
    pending = [op for op in operations if op.pending]
    return any(
        possible(order, initial or Number())
        for count in range(len(pending) + 1)
        for some in itertools.combinations(pending, count)
        for order in itertools.permutations([*completed, *some])
    )


def possible(order, initial):
    """Whether an order keeps to real time and the model allows each answer."""
    if any(later.precedes(earlier) for earlier, later in itertools.combinations(order, 2)):
        return False
    states = {initial}
    for op in order:
        answers = [step(state, op) for state in states]
        states = {successor for answer in answers if isinstance(answer, tuple) for successor in answer}
    return bool(states)


def drawn(choose):
    """Draw a history of two or three clients: an answer of ``read`` may be right or wrong.

    ``choose(low, high)`` answers a number between the two, both included.
    """
    clock = itertools.count(1)
    waiting = {client: [NAMES[choose(0, 2)] for _ in range(choose(1, 2))] for client in range(choose(2, 3))}
    begun: dict[int, tuple[str, int]] = {}
    done = []
    while waiting or begun:
        going = sorted({*waiting, *begun})
        client = going[choose(0, len(going) - 1)]
        if client in begun:
            name, called = begun.pop(client)
            done.append(operation(name, called, next(clock), choose(-3, 3)))
            continue
        name, called = waiting[client].pop(0), next(clock)
        if choose(0, 7) == 0:  # it never comes back, and nothing follows it
            done.append(operation(name, called, None))
            del waiting[client]
            continue
        begun[client] = name, called
        if not waiting[client]:
            del waiting[client]
    return sorted(done, key=lambda op: op.called)[:MOST]


def holds_up(operations):
    """Compare with trying every order, and look at what is told beside the answer."""
    found = linearize(operations, Number(), step)
    assert isinstance(found, Linearized) == brute(operations)
    if isinstance(found, Linearized):
        order = [operations[index] for index in found.order]
        assert possible(order, Number())
        assert [op for op in operations if not op.pending and op not in order] == []
        return
    before = [operations[index] for index in found.longest]
    assert possible(before, Number())
    assert found.refusals
    for index, refusal in found.refusals:
        assert isinstance(refusal, str)
        assert index not in found.longest
        assert all(earlier in before for earlier in operations if earlier.precedes(operations[index]))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_it_answers_what_every_order_answers(data):
    """On histories that Hypothesis draws it agrees with brute force."""
    holds_up(drawn(lambda low, high: data.draw(st.integers(low, high))))


def test_it_agrees_on_many_histories():
    """On a thousand and a half random histories, of which many are of each kind, it agrees with brute force."""
    chance = random.Random(20260302)
    kinds = set()
    for _ in range(HISTORIES):
        history = drawn(chance.randint)
        holds_up(history)
        kinds.add((brute(history), any(op.pending for op in history)))
    assert len(kinds) == 4


def test_real_time_is_kept():
    """A read that was called after an addition had returned cannot come before it."""
    after = [operation("add", 1, 2), operation("read", 3, 4, 0)]
    beside = [operation("add", 1, 3), operation("read", 2, 4, 0)]
    assert isinstance(linearize(after, Number(), step), Refuted)
    assert linearize(beside, Number(), step) == Linearized((1, 0))


@pytest.mark.parametrize("read", [0, 1])
def test_a_pending_operation_may_have_happened_or_not(read):
    """What never came back may have had its effect, then or much later, or none."""
    history = [operation("add", 1, None), operation("read", 2, 3, 0), operation("read", 4, 5, read)]
    assert isinstance(linearize(history, Number(), step), Linearized)


def test_every_state_is_carried_on():
    """Where an operation may lead to several states a later answer decides which of them it was."""
    for read, fine in ((-1, True), (-2, True), (-3, False)):
        history = [operation("take", 1, 2), operation("add", 3, 4), operation("read", 5, 6, read + 1)]
        assert isinstance(linearize(history, Number(), step), Linearized) is fine


def test_the_refusals_say_what_was_expected():
    """A refuted history comes with its longest sound beginning, and what the next operations were refused for."""
    history = [operation("add", 1, 2), operation("read", 3, 4, 7)]
    assert linearize(history, Number(), step) == Refuted((0,), ((1, "1, not 7"),))


def test_nothing_is_linearizable():
    """A history without operations is in order."""
    assert linearize([], Number(), step) == Linearized(())


def test_the_budget_ends_the_search():
    """A search that takes too long says so, and neither passes nor fails."""
    overlapping = [operation("add", number, 100 + number) for number in range(12)]
    overlapping.append(operation("read", 50, 150, 99))
    with pytest.raises(Undecided, match="within 20 steps"):
        linearize(overlapping, Number(), step, budget=20)


def test_long_histories_take_no_long():
    """A sequential history of two thousand operations is searched in about as many steps."""
    steps = 0

    def counting(state, op):
        nonlocal steps
        steps += 1
        return step(state, op)

    history = [operation("add", 2 * number, 2 * number + 1) for number in range(2000)]
    assert isinstance(linearize(history, Number(), counting), Linearized)
    assert steps == len(history)
