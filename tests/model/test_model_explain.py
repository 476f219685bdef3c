"""What is said of a history that no order explains holds of every order there is."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest

from pytest_keyconform.model import explain as explaining
from pytest_keyconform.model.explain import Case, brief, explain
from pytest_keyconform.model.linearize import Refuted, linearize
from pytest_keyconform.operation import Answered, Invocation, Operation, Raised

HISTORIES = 600


@dataclass(frozen=True)
class Number:
    """What the operations are about."""

    value: int = 0

    def fingerprint(self):
        return self.value


@dataclass(frozen=True)
class Wrong:
    """Why a reading is refused."""

    expected: str
    gives: str = ""


def effect(state, one):
    """``add`` adds its amount, ``double`` doubles, ``read`` changes nothing."""
    match one.name:
        case "add":
            return (Number(state.value + one.get("amount")),)
        case "double" if state.value:
            return (Number(state.value * 2),)
        case _:
            return (state,)


def refusal(state, one):
    if one.name != "read" or one.pending or one.value == state.value:
        return None
    return Wrong(f"the number is {state.value}", str(state.value))


def operation(name, called, returned, value=None, **arguments):
    response = None if returned is None else Answered(value)
    return Operation(
        invocation=Invocation(name, tuple(arguments.items())),
        response=response,
        called=called,
        returned=returned,
        at=0.0,
        until=None if returned is None else 0.0,
    )


def add(amount, called, returned):
    return operation("add", called, returned, amount=amount)


def read(value, called, returned):
    return operation("read", called, returned, value)


def case(*operations, judge=refusal):
    return Case(operations, Number(), effect, judge)


def stuck(of):
    """Where the search gets stuck, None where it does not."""

    def step(state, one):
        return of.refusal(state, one) or effect(state, one)

    found = linearize(of.operations, of.initial, step)
    return found.refusals[0][0] if isinstance(found, Refuted) else None


def told(*operations):
    of = case(*operations)
    return explain(of, stuck(of))


def test_the_sentence_names_calls_answer_and_what_every_order_gives():
    """Two additions at once and a reading after them: the sentence is the one of the user's page."""
    found = told(add(5, 1, 3), add(7, 2, 4), read(5, 5, 6))
    assert str(found) == (
        "after add(amount=5), add(amount=7), no order lets read() answer 5; every order of the two adds gives 12"
    )


def test_all_answers_of_all_orders_are_told():
    """Where orders differ in what they give the sentence has each of it once."""
    found = told(add(1, 1, 4), operation("double", 2, 5), operation("double", 3, 6), read(9, 7, 8))
    assert found.expected == "the orders of the add and the two doubles give 4 or 2 or 1"


def test_words_are_told_where_no_one_answer_is():
    """Where more than one answer would do, what was to be expected is told in words."""

    def judge(state, one):
        refused = refusal(state, one)
        return refused and Wrong("an even number" if state.value % 2 == 0 else "an odd number")

    of = case(add(1, 1, 3), operation("double", 2, 4), read(9, 5, 6), judge=judge)
    assert explain(of, 2).expected == "an even number, or an odd number, by the order of the add and the double"
    of = case(add(1, 1, 3), add(2, 2, 4), read(9, 5, 6), judge=judge)
    assert explain(of, 2).expected == "an odd number, in every order of the two adds"


def test_answers_that_only_together_have_no_order_are_told_together():
    """Two readings, each of which some order explains: both are named, a third and innocent one is not."""
    found = told(add(1, 1, 3), operation("double", 2, 4), read(1, 5, 6), read(2, 7, 8), read(2, 9, 10))
    assert found.observed == "after add(amount=1), double(), no order lets read() answer 1 and read() answer 2"
    assert found.expected == "every order of the add and the double in which read() answers 1 gives 1"


def test_overlapping_readings_ask_for_one_order():
    """Where the answers that contradict each other overlap, no one of them is blamed."""
    found = told(add(1, 1, 9), read(1, 2, 4), read(0, 5, 7), read(1, 3, 8))
    assert found.observed.startswith("with add(amount=1) at the same time, no order lets read() answer 1 and")
    apart = told(add(1, 1, 9), read(7, 2, 5), read(8, 3, 6))
    assert apart.observed == "with add(amount=1) at the same time, no order lets read() answer 7"


def test_nothing_is_added_to_what_order_does_not_bear_on():
    """One call after the other, overlap that comes later or changes nothing, a refusal that is the same everywhere."""
    assert told(add(5, 1, 2), read(7, 3, 4)) is None
    assert told(add(5, 1, 2), read(7, 3, 4), add(1, 5, 7), add(2, 6, 8)) is None
    assert told(read(7, 1, 3), read(0, 2, 4)) is None
    of = case(add(1, 1, 3), add(1, 2, 4), read(9, 5, 6), judge=lambda _, one: Wrong("no") if one.value else None)
    assert explain(of, 2) is None


def test_too_many_orders_are_left_alone(monkeypatch):
    """A history with more orders than can be looked at is told by its refusal alone."""
    monkeypatch.setattr(explaining, "BUDGET", 5)
    assert told(add(5, 1, 3), add(7, 2, 4), read(5, 5, 6)) is None


def test_a_crowd_is_not_searched_for_ever():
    """All that is searched for what to say has one bound: beyond it the refusal alone has to do."""
    steps = itertools.count()

    def judge(state, one):
        next(steps)
        return refusal(state, one)

    crowd = [add(1 << number, number, 50) for number in range(13)]
    of = case(*crowd, read(-1, 60, 61), judge=judge)
    suspect = stuck(of)
    before = next(steps)
    assert explain(of, suspect) is None
    assert next(steps) - before <= explaining.BUDGET + 2


def test_a_call_is_shown_shortly():
    """Keys and models stand by their place, the rest by name, and what goes without saying is left out."""
    arguments = {"lease": "key-1", "model": "m1", "pool": "regular", "tokens": 5, "outcome": "success", "retries": 0}
    assert brief(operation("record", 1, 2, **arguments)) == "record(key-1, m1, tokens=5)"
    assert brief(operation("fail", 1, 2, lease="v", pool="vertex", retries=2)) == "fail(v, pool=vertex, retries=2)"


@pytest.mark.parametrize(
    "response,said",
    [(Raised("KeyError", "", typed=False), "raise KeyError"), (None, "end so"), (Answered(""), "answer ")],
)
def test_every_way_to_end_is_told(response, said):
    """An error is told by its class, and a call that never came back is told too."""
    odd = Operation(invocation=Invocation("look"), response=response, called=5, returned=None, at=0.0, until=None)
    of = case(
        add(5, 1, 3),
        add(7, 2, 4),
        odd,
        read(1, 6, 7),
        judge=lambda state, one: Wrong(str(state)) if one is odd else None,
    )
    assert f"no order lets look() {said}" in explain(of, 2).observed


# -- against every order -------------------------------------------------------------------------------------


def drawn(chance, readings):
    """Draw a history of a few changes, some of which overlap, and of readings, most of them wrong."""
    rows = []
    for number in range(chance.randint(2, 4) + readings):
        called = chance.uniform(0, 6)
        returned = called + chance.uniform(0.1, 3)
        if number < readings:
            rows.append(read(chance.randint(0, 6), called, returned))
        elif chance.random() < 0.6:
            rows.append(add(chance.randint(1, 2), called, returned))
        else:
            rows.append(operation("double", called, None if chance.random() < 0.15 else returned))
    return sorted(rows, key=lambda one: one.called)


def orders(left, placed=()):
    """Yield every order within real time of all that came back and of any of the rest."""
    if all(one.pending for one in left):
        yield placed
    for one in left:
        others = [other for other in left if other is not one]
        if not any(other.precedes(one) for other in others):
            yield from orders(others, (*placed, one))


def seen(order, position):
    """Answer what the number is at a place of an order."""
    state = Number()
    for one in order[:position]:
        (state,) = effect(state, one)
    return state.value


def contradictory(operations, judged):
    """Tell whether no order explains the answers of these readings."""
    return not any(
        all(seen(order, place) == one.value for place, one in enumerate(order) if one in judged)
        for order in orders(list(operations))
    )


def test_what_is_given_is_what_the_orders_give():
    """For one reading the answers told are those of every order there is, no more and no less."""
    chance, count = random.Random(20260304), 0
    for _ in range(HISTORIES):
        rows = drawn(chance, 1)
        position = next(index for index, one in enumerate(rows) if one.name == "read")
        found = explain(case(*rows), position) if stuck(case(*rows)) is not None else None
        if found is None:
            continue
        count += 1
        given = set(found.expected.rpartition(" give")[2].removeprefix("s").strip().split(" or "))
        assert given == {str(seen(order, order.index(rows[position]))) for order in orders(rows)}
    assert count > HISTORIES // 4


def test_the_answers_named_contradict_each_other_and_none_is_idle():
    """No order explains the answers that are named; without any one of them some order does."""
    chance, sizes = random.Random(20260305), set()
    for _ in range(HISTORIES // 4):
        rows = drawn(chance, 3)
        of = case(*rows)
        suspect = stuck(of)
        if suspect is None:
            continue
        survey = explaining._Survey(of, None, itertools.count())
        assert survey.search()
        core = [rows[index] for index in explaining._core(survey, suspect)[0]]
        assert contradictory(rows, core)
        assert not any(contradictory(rows, [one for one in core if one is not idle]) for idle in core)
        sizes.add(len(core))
    assert {1, 2} <= sizes
