"""The search for a linearization against every order there is, on random small histories of several models."""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest

from pytest_keyconform.model.linearize import Linearized, Refuted, Undecided, linearize, partitions
from pytest_keyconform.operation import Answered, Invocation, Operation

HISTORIES = int(os.environ.get("PROOF_HISTORIES", "2000"))  # of each of five models
MOST = 7
KEYS = ("key-1", "key-2")


@dataclass(frozen=True)
class Plain:
    """A state that is its value."""

    value: object

    def fingerprint(self):
        return self.value


class Counters:
    """Requests by key: a record adds one, a usage tells how many; each key is a part of its own."""

    initial = ((KEYS[0], 0), (KEYS[1], 0))

    def drawn(self, chance):
        return chance.choice(("record", "usage")), chance.choice(KEYS)

    def outcomes(self, state, name, key):
        used = dict(state)
        if name == "record":
            return [(None, tuple(sorted({**used, key: used[key] + 1}.items())))]
        return [(used[key], state)]

    def wrong(self, chance):
        return chance.randint(0, 3)


class Leases:
    """Two leases: an acquire answers any free one, None only while there is none; whoever asks may give one back."""

    initial = ()

    def drawn(self, chance):
        return chance.choice((("acquire", None), ("acquire", None), ("release", chance.choice(KEYS))))

    def outcomes(self, state, name, key):
        if name == "release":
            return [(key in state, tuple(one for one in state if one != key))]
        free = [one for one in KEYS if one not in state]
        return [(one, tuple(sorted((*state, one)))) for one in free] or [(None, state)]

    def wrong(self, chance):
        return chance.choice((*KEYS, None, True, False))


class Lossy:
    """A number that is written and read, where a write may be lost, and an unanswered toss keeps a hidden coin."""

    initial = (0, 0)

    def drawn(self, chance):
        return chance.choice(("write", "read", "read", "toss", "show")), chance.randint(1, 2)

    def outcomes(self, state, name, value):
        number, coin = state
        return {
            "write": [(None, (value, coin)), (None, state)],
            "read": [(number, state)],
            "toss": [(None, (number, 0)), (None, (number, 1)), (None, (number, coin))],
            "show": [(coin, state)],
        }[name]

    def wrong(self, chance):
        return chance.randint(0, 2)


class Queue:
    """First in, first out; a peek may tell either end."""

    initial = ()

    def drawn(self, chance):
        return chance.choice(("put", "get", "peek")), chance.randint(1, 3)

    def outcomes(self, state, name, value):
        if name == "put":
            return [(None, (*state, value))]
        if not state:
            return [(None, state)]
        return [(state[0], state[1:])] if name == "get" else [(state[0], state), (state[-1], state)]

    def wrong(self, chance):
        return chance.choice((1, 2, 3, None))


class Register:
    """Compare and set: it answers whether it was done."""

    initial = 0

    def drawn(self, chance):
        return "swap", (chance.randint(0, 2), chance.randint(0, 2))

    def outcomes(self, state, _name, pair):
        return [(True, pair[1])] if state == pair[0] else [(False, state)]

    def wrong(self, chance):
        return chance.choice((True, False))


MODELS = (Counters(), Leases(), Lossy(), Queue(), Register())


def stepping(model):
    """Answer the step of a model: the states that its outcomes with this answer lead to, or all answers it allows."""

    def step(state, operation):
        outcomes = model.outcomes(state.value, operation.name, operation.get("about"))
        answers = [outcome for outcome, _ in outcomes]
        after = [then for outcome, then in outcomes if operation.pending or outcome == operation.value]
        return tuple(map(Plain, after)) if after else answers

    return step


# -- histories -----------------------------------------------------------------------------------------------


def drawn(chance, model):
    """Draw a history of one to four clients: most answers are those of an atomic object, one or two may be wrong."""
    count, clients = chance.randint(2, MOST), chance.randint(1, 4)
    free = [0.0] * clients
    rows = []
    for _ in range(count):
        client = chance.choice([one for one in range(clients) if free[one] < 99] or [0])
        called = free[client] + chance.random()
        effect = called + chance.random() * 2
        returned = effect + chance.random() * 2
        lost = chance.random() < 0.12 and free[client] < 99
        free[client] = 100 + returned if lost else returned  # a client whose call never came back does no more
        rows.append((called, effect, None if lost else returned, client))
    state, made = model.initial, []
    for called, _, returned, client in sorted(rows, key=lambda row: row[1]):
        name, about = model.drawn(chance)
        value, after = chance.choice(model.outcomes(state, name, about))
        if returned is not None or chance.random() < 0.5:
            state = after
        made.append((called, returned, client, name, about, value))
    for number in chance.sample(range(count), chance.randint(0, 2)):
        made[number] = (*made[number][:-1], model.wrong(chance))
    return [operation(*row) for row in sorted(made, key=lambda row: row[0])]


def operation(called, returned, client, name, about, value):
    response = None if returned is None else Answered(value)
    return Operation(
        invocation=Invocation(name, (("about", about),)),
        response=response,
        called=called,
        returned=returned,
        at=0.0,
        until=None if returned is None else 0.0,
        client=client,
    )


# -- every order ---------------------------------------------------------------------------------------------


def explained(model, operations):
    """Whether some order of the completed operations, and of any of the pending ones, is possible.

    Tried one after the other, without list, memo or parts: what the search does is not done again here.
    """
    completed = [one for one in operations if one.returned is not None]
    pending = [one for one in operations if one.returned is None]
    chosen = (some for count in range(len(pending) + 1) for some in itertools.combinations(pending, count))
    return any(arranged(model, {model.initial}, [*completed, *some]) for some in chosen)


def arranged(model, states, left):
    """Whether these operations can be put in an order, from one of these states."""
    if not states or not left:
        return bool(states)
    for one in left:
        others = [other for other in left if other is not one]
        if any(other.returned is not None and other.returned < one.called for other in others):
            continue
        if arranged(model, followed(model, states, one), others):
            return True
    return False


def deepest(model, states, left):
    """How many of these operations can be put in an order before no other one can come next."""
    lengths = [0]
    for one in left:
        others = [other for other in left if other is not one]
        early = any(other.returned is not None and other.returned < one.called for other in others)
        after = set() if early else followed(model, states, one)
        if after:
            lengths.append(1 + deepest(model, after, others))
    return max(lengths)


def followed(model, states, one):
    """The states after an operation, from these ones, that its answer allows."""
    outcomes = [pair for state in states for pair in model.outcomes(state, one.name, one.get("about"))]
    return {after for outcome, after in outcomes if one.returned is None or outcome == one.value}


def possible(model, order):
    """Whether this one order keeps to real time and every answer in it is allowed."""
    states = {model.initial}
    for one in order:
        states = followed(model, states, one)
    early = [(first, then) for first, then in itertools.combinations(order, 2) if then.precedes(first)]
    return bool(states) and not early


# -- the proof -----------------------------------------------------------------------------------------------


def compared(model, history, *, part=None):
    """Compare the search with every order, and look at what it tells beside its answer."""
    found = linearize(history, Plain(model.initial), stepping(model), part=part)
    assert isinstance(found, Linearized) is explained(model, history), history
    if isinstance(found, Linearized):
        assert len(set(found.order)) == len(found.order)
        assert {index for index, one in enumerate(history) if not one.pending} <= set(found.order)
        assert possible(model, [history[index] for index in found.order])
        return True
    before = [history[index] for index in found.longest]
    assert possible(model, before)
    assert part or len(before) == deepest(model, {model.initial}, history)
    for index, answers in found.refusals:
        assert index not in found.longest
        assert history[index].value not in answers
    return False


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__.lower())
def test_it_answers_what_every_order_answers(model):
    """No random history of two to seven operations and one to four clients is judged otherwise than by brute force."""
    chance = random.Random(f"{type(model).__name__} 20260302")
    kinds = Counter()
    for _ in range(HISTORIES):
        history = drawn(chance, model)
        verdict = compared(model, history)
        kinds[verdict, any(one.pending for one in history)] += 1
    assert min(kinds[verdict, pending] for verdict in (True, False) for pending in (True, False)) > HISTORIES // 50


def test_parts_answer_what_the_whole_answers():
    """A history that is searched part by part, each key alone, is judged as the whole is, and its order is one."""
    model, chance = Counters(), random.Random(20260303)
    verdicts = Counter(compared(model, drawn(chance, model), part=about) for _ in range(HISTORIES))
    assert min(verdicts[True], verdicts[False]) > HISTORIES // 50


def about(one):
    return one.get("about")


def test_what_is_about_all_parts_keeps_them_together():
    """Operations are divided by what they are about; one that is about everything leaves the history whole."""
    rows = [operation(number, number + 0.5, 1, "record", KEYS[number % 2], None) for number in range(4)]
    assert partitions(rows, about) == [[0, 2], [1, 3]]
    whole = [*rows, operation(9, 10, 1, "reset_all", None, None)]
    assert partitions(whole, about) == [range(5)]


def test_a_refused_part_is_told_by_positions_of_the_whole():
    """What is told of a part that was refuted counts in the whole history."""
    model = Counters()
    rows = [operation(number, number + 0.5, 1, "record", KEYS[number % 2], None) for number in range(3)]
    rows.append(operation(9, 10, 1, "usage", KEYS[1], 7))
    found = linearize(rows, Plain(model.initial), stepping(model), part=about)
    assert found == Refuted((1,), ((3, [1]),))


def test_the_budget_is_one_for_all_parts():
    """Parts draw on one budget: it is the whole search that is bounded."""
    model = Counters()
    rows = [operation(number, number + 0.5, 1, "record", KEYS[number % 2], None) for number in range(8)]
    assert isinstance(linearize(rows, Plain(model.initial), stepping(model), part=about, budget=8), Linearized)
    with pytest.raises(Undecided, match="within 7 steps"):
        linearize(rows, Plain(model.initial), stepping(model), part=about, budget=7)


def test_states_that_were_both_possible_are_both_tried():
    """Of two states that a call may lead to, the one that a later answer needs is found, whichever comes first."""
    model = Lossy()
    for value in (0, 2):
        rows = [operation(number, number + 0.5, 1, "write", 2, None) for number in range(12)]
        rows.append(operation(20, 21, 1, "read", 1, value))
        counted = Counting(stepping(model))
        assert isinstance(linearize(rows, Plain(model.initial), counted), Linearized)
        refused = [*rows[:-1], replace(rows[-1], response=Answered(1))]
        assert isinstance(linearize(refused, Plain(model.initial), counted), Refuted)
        assert counted.steps < 80  # twelve times two possibilities are 4096 ways, to two states


def test_what_never_came_back_need_not_have_happened():
    """A call that the model cannot place, and that never came back, is no reason to object."""
    model = Counters()
    rows = [operation(0, 1, 1, "record", KEYS[0], None), operation(2, None, 2, "break", KEYS[0], None)]

    def step(state, one):
        return "it never does" if one.name == "break" else stepping(model)(state, one)

    assert linearize(rows, Plain(model.initial), step) == Linearized((0,))


def test_what_was_ruled_out_once_is_not_searched_again():
    """Eight calls at once lead to as many states as there are subsets of them, not as there are orders."""
    model = Counters()
    rows = [operation(number, 20, number, "record", KEYS[0], None) for number in range(8)]
    rows.append(operation(30, 31, 9, "usage", KEYS[0], 3))
    counted = Counting(stepping(model))
    assert isinstance(linearize(rows, Plain(model.initial), counted), Refuted)
    assert counted.steps == 2**8 * 8 // 2 + 1  # one of the eight is left in half of the subsets


def test_of_several_longest_orders_the_first_is_told():
    """What is told of a history is the same each time: of the longest orders that which tries early calls first."""
    model = Counters()
    rows = [operation(number, 20, number, "record", KEYS[number % 2], None) for number in range(3)]
    rows.append(operation(30, 31, 9, "usage", KEYS[0], 3))
    found = linearize(rows, Plain(model.initial), stepping(model))
    assert found == Refuted((0, 1, 2), ((3, [2]),))


class Counting:
    """A step that counts its calls."""

    def __init__(self, step):
        self.step, self.steps = step, 0

    def __call__(self, state, one):
        self.steps += 1
        return self.step(state, one)
