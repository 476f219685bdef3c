"""How many operations a second the search for a linearization judges, by model, clients and verdict.

python benchmarks/linearize.py [--operations 1000] [--repeat 3]

Histories are made by an object that is atomic: each call takes effect at a moment between its call and its return. The
broken ones have one answer that no order explains. ``budget`` is never reached: every row is a verdict.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_keyconform.catalogue.invariant import Moment
from pytest_keyconform.catalogue.notation import EVERYTHING
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.model.key_manager import Oracle
from pytest_keyconform.model.linearize import Linearized, linearize
from pytest_keyconform.operation import Answered, Invocation, Operation
from pytest_keyconform.spec.policies import Policies
from pytest_keyconform.workload import Given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEYS = tuple(f"key-{number}" for number in range(1, 11))
WIDTH = 3.0  # mean length of a call, in mean pauses between two calls of a client
GOAL = 50_000
BUDGET = 10_000_000


class Slot(NamedTuple):
    """A call that is not made yet: its client, and the moments of its call, its effect and its return."""

    client: int
    called: float
    effect: float
    returned: float


@dataclass(frozen=True, slots=True)
class Plain:
    """The state of a simple model."""

    value: object

    def fingerprint(self) -> object:
        """Answer the value."""
        return self.value


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a model, and what makes histories of it. ``part`` divides them, where it may.

    ``share`` of the operations is judged, where to refute all of them takes most of a minute.
    """

    name: str
    initial: object
    step: Callable
    make: Callable[[random.Random, list[Slot]], Iterator[tuple[str, dict[str, object], object]]]
    part: Callable[[Operation], object] | None = None
    share: float = 1.0


def slots(chance: random.Random, count: int, clients: int) -> list[Slot]:
    """Make room for this many calls, in the order of their effects."""
    free = [0.0] * clients
    made = []
    for _ in range(count):
        client = min(range(clients), key=free.__getitem__)
        called = free[client] + chance.random() * 0.2
        effect = called + chance.random() * WIDTH
        returned = effect + chance.random() * WIDTH
        free[client] = returned + chance.random() * 0.1
        made.append(Slot(client, called, effect, returned))
    return sorted(made, key=lambda slot: slot.effect)


def history(subject: Subject, seed: int, count: int, clients: int) -> list[Operation]:
    """Make a linearizable history."""
    chance = random.Random(seed)
    room = slots(chance, count, clients)
    answered = list(zip(room, subject.make(chance, room), strict=True))
    moments = sorted(moment for slot in room for moment in (slot.called, slot.returned))
    rank = {moment: number for number, moment in enumerate(moments)}
    made = [
        Operation(
            invocation=Invocation(name, tuple(arguments.items())),
            response=Answered(value),
            called=rank[slot.called],
            returned=rank[slot.returned],
            at=0.0,
            until=0.0,
            client=slot.client + 1,
        )
        for slot, (name, arguments, value) in answered
    ]
    return sorted(made, key=lambda operation: operation.called)


def broken(operations: list[Operation]) -> list[Operation]:
    """Answer the history with one operation changed, past the middle, so that no order explains it.

    A usage tells more than was ever recorded; where a lease was given back its holder is served it again.
    """
    changed = list(operations)
    for index in range(int(len(changed) * 0.6), len(changed)):
        one = changed[index]
        if one.name == "usage":
            changed[index] = replace(one, response=Answered({**one.value, "rpm": one.value["rpm"] + len(changed)}))
            return changed
        if one.name == "release":
            asked = Invocation("acquire", (("model", "m1"),))
            changed[index] = replace(one, invocation=asked, response=Answered(one.get("lease")))
            return changed
    raise AssertionError(operations)


# -- models --------------------------------------------------------------------------------------------------


def counted(chance: random.Random, room: list[Slot]) -> Iterator[tuple[str, dict[str, object], object]]:
    """Count requests and tokens of ten keys, and read them."""
    used = {key: [0, 0] for key in KEYS}
    for _ in room:
        key, tokens = chance.choice(KEYS), chance.randrange(100)
        if chance.random() < 0.5:
            used[key][0] += 1
            used[key][1] += tokens
            yield "record", {"lease": key, "model": "m1", "tokens": tokens}, True
        else:
            yield "usage", {"key": key, "model": "m1"}, {"rpm": used[key][0], "tpm": used[key][1]}


def leased(chance: random.Random, room: list[Slot]) -> Iterator[tuple[str, dict[str, object], object]]:
    """Hand out ten leases and take them back."""
    held: dict[int, str] = {}
    for slot in room:
        if slot.client in held:
            yield "release", {"lease": held.pop(slot.client)}, None
        else:
            held[slot.client] = chance.choice([key for key in KEYS if key not in held.values()])
            yield "acquire", {"model": "m1"}, held[slot.client]


def quota(state: Plain, operation: Operation) -> tuple[Plain, ...] | str:
    """Count for one key."""
    rpm, tpm = state.value
    if operation.name == "record":
        return (Plain((rpm + 1, tpm + operation.get("tokens"))),)
    told = operation.value
    return (state,) if (told["rpm"], told["tpm"]) == (rpm, tpm) else f"rpm {rpm}, tpm {tpm}"


def lease(state: Plain, operation: Operation) -> tuple[Plain, ...] | str:
    """Keep who is held, of all keys at once."""
    if operation.name == "release":
        return (Plain(state.value - {operation.get("lease")}),)
    key = operation.value
    return f"{key} is held" if key in state.value else (Plain(state.value | {key}),)


def judged_by_oracle(policies: Policies, refuses: Callable[[Moment], object]) -> tuple[object, Callable]:
    """Answer the initial state of the oracle and its step, as a rule of the catalogue uses it."""
    oracle = Oracle(policies, EVERYTHING, Given(regular=KEYS))

    def step(state: object, operation: Operation) -> object:
        refusal = refuses(Moment(oracle, state, operation))
        return oracle.step(state, operation) if refusal is None else refusal

    return oracle.initial(), step


def subjects() -> list[Subject]:
    """Answer what is measured."""
    counting = judged_by_oracle(Policies(), wrong_usage)
    leasing = judged_by_oracle(
        Policies(tenure="lease"), lambda m: (unusable_served(m) or nothing_served(m)) if m.name == "acquire" else None
    )
    return [
        Subject("quota counter", Plain((0, 0)), quota, counted, key_of),
        Subject("lease", Plain(frozenset()), lease, leased),
        Subject("oracle: usage", *counting, counted, key_of),
        Subject("oracle: usage, not divided", *counting, counted, share=0.2),
        Subject("oracle: leases", *leasing, leased, share=0.2),
    ]


def key_of(operation: Operation) -> object:
    """Answer the key that an operation is about."""
    return operation.get("lease", operation.get("key"))


# -- measuring -----------------------------------------------------------------------------------------------


def seconds(subject: Subject, operations: list[Operation], *, sound: bool, repeat: int) -> float:
    """Answer the best time of a few judgements, each of which has to be right."""
    best = float("inf")
    for _ in range(repeat):
        began = time.perf_counter()
        found = linearize(operations, subject.initial, subject.step, budget=BUDGET, part=subject.part)
        best = min(best, time.perf_counter() - began)
        assert isinstance(found, Linearized) is sound
    return best


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    chosen = parser.parse_args()
    print(f"{'model':28}{'clients':>8}{'operations':>11}{'verdict':>16}{'seconds':>9}{'operations a second':>21}")
    for subject in subjects():
        for clients in (1, 4, 8):
            count = int(chosen.operations * subject.share)
            sound = history(subject, clients, count, clients)
            for kind, operations in (("linearizable", sound), ("broken", broken(sound))):
                took = seconds(subject, operations, sound=kind == "linearizable", repeat=chosen.repeat)
                print(f"{subject.name:28}{clients:8}{count:11}{kind:>16}{took:9.4f}{count / took:21,.0f}")
    print(f"goal: {GOAL:,} operations a second on the simple models, a refutation of the lease in 0.5 s")


if __name__ == "__main__":
    main()
