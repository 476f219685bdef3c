"""DUR09: what one instance changes is obeyed by the others on its storage, within the declared `staleness`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.durability import APART
from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import limited, reported, strikes
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import PAIR, wrong_validity
from pytest_keyconform.catalogue.steps import acquire, advance, fail, is_valid, record, status, step
from pytest_keyconform.verdict import Violation
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.workload import Step

ALONE = Given(regular=("key-1",))
CHANGING = ("fail", "record", "reload", "reset", "reset_all", "reactivate", "reset_usage")
WITHIN_A_MINUTE = 40.0  # seconds of staleness up to which all of a workload fits into one minute, which begins with it
ONE_REFUSES = 'given regular=key-1\npolicy staleness=2.0\n| fail(lease=key-1, status=401) -> ""\n'
ONE_RELOADS = "given regular=key-1\npolicy staleness=2.0\n| reload(api_keys=key-4;)\n"
BEFORE = 1.0  # seconds in which every instance is opened and has looked, before the first change


@final
class OthersObey(Invariant):
    """A change made by one instance (a key taken out, limits, a reload) is obeyed by the others within `staleness`.

    Why: a key that one worker was refused with is tried again by each of the others, for as long as they live (001-3).
    How it breaks: what is stored is read when an instance is opened and never again; a cache has no end.
    Fix: read it from the store at each call, or again once a copy is older than the declared `staleness`.
    """

    id = "DUR09"
    audits = ("001-3",)
    requires = ("fail|record|reload", "acquire|is_valid|status")
    applies: ClassVar = {"staleness": (float,)}
    engines = APART
    stored = True
    shared = True
    CONFORMING = (
        f'{ONE_REFUSES}advance(seconds=4)\nacquire() -> ""\nis_valid(key=key-1) -> False',
        f"{ONE_REFUSES}advance(seconds=1)\nacquire() -> key-1\nis_valid(key=key-1) -> True",
        f"{ONE_RELOADS}advance(seconds=4)\nacquire() -> key-4",
        "given regular=key-1\nfail(lease=key-1, status=401) -> key-1\nadvance(seconds=9)\nacquire() -> key-1",
    )
    VIOLATING = (
        f"{ONE_REFUSES}advance(seconds=4)\nacquire() -> key-1",
        f"{ONE_REFUSES}advance(seconds=4)\nis_valid(key=key-1) -> True",
        f"{ONE_RELOADS}advance(seconds=4)\nacquire() -> key-1",
    )

    @property
    def staleness(self) -> float:
        """The seconds within which a change is to be obeyed."""
        return float(self.policies.staleness or 0.0)

    def workloads(self) -> Iterator[Workload]:
        """A key is refused, struck out, marked, spent and brought back by one; the pool is exchanged by one."""
        for name, given, change in self._changes():
            yield self._seen(name, given, (change,))
        refused = self._failed("b", status=401)
        for name in ("reset", "reactivate", "reset_all"):
            if refused and self.claims.operations.get(name):
                key = {} if name == "reset_all" else {"key": "key-1"}
                yield self._seen(f"back-{name}", ALONE, (refused, (step(name, **key),)))

    def _changes(self) -> Iterator[tuple[str, Given, tuple[Step, ...]]]:
        within = self.staleness <= WITHIN_A_MINUTE
        if self.claims.operations.get("fail"):
            yield "refused", ALONE, self._failed("a", status=401)
            yield "refused-of-two", PAIR, self._failed("a", status=401)
            struck = tuple(one for number in range(strikes(self)) for one in self._failed(f"a{number}", status=500))
            yield "struck", ALONE, struck
            if within:
                yield "marked", ALONE, self._failed("a", status=429)
        if self.policies.counted_on != "none":
            spent = limited(Limits(rpm=1) if within else Limits(rpd=1), keys=1)
            yield "spent", spent, self._spending()
        if self.claims.operations.get("reload"):
            vertex = ALONE.vertex if self.claims.takes("reload", "vertex_api_keys") else ...
            for name, keys in (("exchanged", ("key-4",)), ("exchanged-half", ("key-2", "key-4"))):
                given = replace(ALONE, regular=("key-1",) if len(keys) == 1 else ("key-1", "key-2"))
                yield name, given, (step("reload", api_keys=keys, vertex_api_keys=vertex),)

    def _failed(self, tag: str, *, status: int) -> tuple[Step, ...]:
        """Answer a failure report; as the last retry where it would wait, raise or hold a replacement."""
        if not self.claims.operations.get("fail"):
            return ()
        patient = self.policies.exhaustion in ("sentinel", "fallback") and self.policies.tenure == "rotation"
        retries = 0 if patient or not self.claims.takes("fail", "retries") else Given().max_retries
        return reported(self, [("key-1", lambda lease: fail(lease, status=status, retries=retries))], tag=tag)

    def _spending(self) -> tuple[Step, ...]:
        if self.policies.counted_on == "acquire":
            return self.taking("s")
        return reported(self, [("key-1", lambda lease: record(lease, tokens=1))], tag="s")

    def _seen(self, name: str, given: Given, changes: tuple[tuple[Step, ...], ...]) -> Workload:
        """Let one instance make each change while another looks before and, once it is due, after each of them."""
        due = self.staleness + 1.0
        looks = self._looks(len(given.regular))
        changing: list[Step] = [advance(BEFORE)]
        looking: list[Step] = [*looks, advance(BEFORE)]
        for change in changes:
            changing += [*change, advance(2 * due)]
            looking += [advance(due), *looks, advance(due)]
        clients = (tuple(changing), tuple(looking))
        return Workload(name=name, given=given, clients=clients, apart=True, whole=True, paced=True)

    def _looks(self, keys: int) -> tuple[Step, ...]:
        """Look at the key and ask for one, as often as it takes to be served each."""
        views = (is_valid("key-1"), status())
        if not self.claims.operations.get("acquire"):
            return views
        if self.policies.tenure == "lease":
            return (*views, *self.taking("x"))
        return (*views, *(acquire(),) * (1 if keys == 1 else 8 if self.policies.selection == "random" else 2 * keys))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse what does not follow from all that was changed before: a key served or told that is out, or none."""
        if moment.name not in ("acquire", "random_key") or moment.operation.undeclared:
            return wrong_validity(moment)
        value = moment.value
        removed = isinstance(value, str) and value not in ("", moment.oracle.policies.sentinel) and not moment.served
        if removed and moment.answered:
            return moment.refusal("a key of the pool as it is now", f"{moment.name} answers a key that is in no pool")
        return unusable_served(moment) or nothing_served(moment)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what an instance answers once every change of the others is due, and none is under way."""
        for moment in self.moments(history):
            operation = moment.operation
            refusal = self.refuses(moment) if self._due(operation, history) else None
            if refusal is not None:
                expected = f"{refusal.expected}, {self.staleness:g} s after the change"
                yield Violation(
                    observed=refusal.observed, expected=expected, signature=refusal.signature, operation=operation
                )

    def _due(self, look: Operation, history: History) -> bool:
        """Tell whether all that others changed so far is to be obeyed at a call: none is newer, none unanswered."""
        spends = ("acquire",) if self.policies.counted_on == "acquire" else ()
        changes = [
            one for one in history.named(*CHANGING, *spends) if one.client != look.client and not look.precedes(one)
        ]
        opened = next((one for one in history.named("open") if one.client == look.client), None)
        return all(
            one.until is not None and one.until <= look.at - self.staleness and (opened is None or opened.precedes(one))
            for one in changes
        ) and bool(changes)
