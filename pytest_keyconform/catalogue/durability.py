"""DUR: what a storage keeps over restarts and kills, and what several processes on one storage owe each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final, final

from pytest_keyconform.catalogue.invariant import IN_PROCESS, Invariant, Moment, Refusal, accident, broken
from pytest_keyconform.catalogue.provoking import limited
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import at_limit, unusable_served
from pytest_keyconform.catalogue.steps import acquire, advance, crash, record, release, restart, usage
from pytest_keyconform.operation import Phase, Ref
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

COUNTED: Final = {"counted_on": ("record", "acquire")}
APART: Final = ("simulated-processes", "processes")
VERTEX: Final = "vertex-1"
UNHEARD: Final = "unheard-of"
DEEPEST: Final = 8  # store commands and writes of one report at which it is killed: reports of the field have fewer


class Kept(Invariant, shared=True):
    """What the rules share: usage that was answered as recorded is there."""

    requires = ("record", "usage|acquire")
    applies: ClassVar = COUNTED
    stored = True

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that does not add up, or a service that does not where there is no usage."""
        if moment.name == "acquire" and not self.claims.operations.get("usage"):
            return at_limit(moment)
        return wrong_usage(moment)

    def reporting(self, tag: str, key: str = "key-1", *, tokens: int = 5, model: str = "m1") -> tuple[Step, ...]:
        """Answer the steps that report a call; under leases of the key that is served."""
        if self.policies.tenure == "rotation":
            return (record(key, tokens=tokens, model=model),)
        steps = (acquire(tag, model=model), record(Ref(tag), tokens=tokens, model=model))
        return steps if self.policies.release == "on-report" else (*steps, release(Ref(tag)))

    def reads(self, given: Given) -> tuple[Step, ...]:
        """Read what is counted; where there is no usage to read, ask for keys until the limits tell."""
        if self.claims.operations.get("usage"):
            return tuple(usage(key, model=model) for key in given.regular for model, _ in given.limits)
        return tuple(step for number in range(len(given.regular) + 1) for step in self.taking(f"r{number}"))

    def elsewhere(self, *, tokens: int = 5) -> tuple[tuple[Step, ...], tuple[Step, ...]]:
        """Answer reports of a vertex key, and on a model that nobody configured, and what reads them.

        Nothing where there is no usage to read, or where a report needs a lease.
        """
        if self.policies.tenure == "lease" or not self.claims.operations.get("usage"):
            return (), ()
        told, reads = [], []
        if self.claims.forms("record", "vertex") and self.claims.forms("usage", "vertex"):
            told.append(record(VERTEX, pool="vertex", tokens=tokens))
            reads.append(usage(VERTEX, pool="vertex"))
        if self.policies.unknown_model == "on-the-fly" and self.claims.takes("record", "model"):
            told.append(record("key-1", model=UNHEARD, tokens=tokens))
            reads.append(usage("key-1", model=UNHEARD))
        return tuple(told), tuple(reads)

    @property
    def given(self) -> Given:
        """The pool: one whose limits tell what was counted, where there is no usage to read."""
        if self.claims.operations.get("usage"):
            return Given()
        return limited(Limits(rpm=1), keys=2)


@final
class SurvivesRestart(Kept):
    """Usage that was answered as recorded is there after a clean restart, once.

    Why: a restart that forgets what was spent sends every key over its limit at once (000-13, 000-32).
    How it breaks: counters live in memory and are written now and then; what is loaded is added to what is there.
    Fix: write each report through to the store, and let closing wait for what is still to be written.
    """

    id = "DUR01"
    audits = ("000-13", "000-32")
    engines = (*IN_PROCESS, *APART)
    subject = ("record", "restart")
    CONFORMING = (
        'record(lease=key-1, tokens=5) -> True\nrestart()\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        'record(lease=key-1, tokens=5) -> False\nrestart()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        'record(lease=key-1) -> True\nrestart()\nrecord(lease=key-1) -> True\nusage(key=key-1) -> {"rpm": 2}',
    )
    VIOLATING = (
        'record(lease=key-1, tokens=5) -> True\nrestart()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        'record(lease=key-1, tokens=5) -> True\nrestart()\nrestart()\nusage(key=key-1) -> {"rpm": 2, "tpm": 10}',
        "record(lease=key-1) -> True\nrestart() -> raises OperationalError",
    )

    def workloads(self) -> Iterator[Workload]:
        """One report and several, one restart and several, reports before, between and after; in processes too."""
        given, reads = self.given, self.reads(self.given)
        first, second = self.reporting("a"), self.reporting("b", tokens=7)
        other, model = self.reporting("c", "key-2"), self.reporting("d", model="m2")
        many = (*first, *second, *other, *model)
        yield Workload(name="one", given=given, setup=(*first, restart()), finale=reads)
        yield Workload(name="many", given=given, setup=(*many, restart()), finale=reads)
        yield Workload(name="twice", given=given, setup=(*first, restart(), restart()), finale=reads)
        yield Workload(name="between", given=given, setup=(*first, restart(), *second, restart()), finale=reads)
        yield Workload(name="hundred", given=given, setup=(*many * 5, restart()), finale=reads)
        yield Workload(name="after", given=given, setup=(restart(), *first, *second), finale=reads)
        yield Workload(name="apart", given=given, setup=first, finale=reads, apart=True)
        yield Workload(name="apart-many", given=given, setup=(*many, restart(), *first), finale=reads, apart=True)
        told, seen = self.elsewhere()
        if told:
            yield Workload(name="elsewhere", given=given, setup=(*told, *first, restart(), *told), finale=seen)
            yield Workload(name="apart-elsewhere", given=given, setup=(*told, restart()), finale=seen, apart=True)


@final
class SurvivesKill(Kept):
    """Usage is there after a kill at any moment, within what `durability` promises.

    Why: processes are killed by deployments and by the kernel, and never at a good moment (004-9, 000-32).
    How it breaks: a report is answered before it is stored; a file is written over instead of replaced.
    Fix: answer once the store has it; write a new file and rename it over the old one.
    """

    id = "DUR02"
    audits = ("004-9", "000-32")
    engines = APART
    subject = ("crash", "open")
    CONFORMING = (
        'record(lease=key-1, tokens=5) -> True\ncrash()\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        'record(lease=key-1, tokens=5) -> pending\ncrash()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        'record(lease=key-1, tokens=5) -> pending\ncrash()\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        'policy durability=2.0\nrecord(lease=key-1) -> True\ncrash()\nusage(key=key-1) -> {"rpm": 0}',
    )
    VIOLATING = (
        'record(lease=key-1, tokens=5) -> True\ncrash()\nusage(key=key-1) -> {"rpm": 0, "tpm": 0}',
        'record(lease=key-1, tokens=5) -> pending\ncrash()\nusage(key=key-1) -> {"rpm": 1, "tpm": 12}',
        (
            "policy durability=2.0\nrecord(lease=key-1) -> True\nadvance(seconds=5)\ncrash()\n"
            'usage(key=key-1) -> {"rpm": 0}'
        ),
        "record(lease=key-1) -> True\ncrash() -> raises JSONDecodeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Killed between two reports, and at each touch of the store within one; also after a while."""
        given, reads = self.given, self.reads(self.given)
        first, second = self.reporting("a"), self.reporting("b", tokens=7)
        pause = (advance(3 * float(self.policies.durability)),) if isinstance(self.policies.durability, float) else ()
        for name, client in (
            ("one", (*first, *pause, crash())),
            ("between", (*first, *pause, crash(), *second, *pause, crash())),
            ("many", (*first * 4, *second, *pause, crash())),
        ):
            yield Workload(name=name, given=given, clients=(client,), finale=reads, apart=True)
        for at in range(2 if pause else DEEPEST):
            dying = tuple(killed(step, at) if step.name == "record" else step for step in second)
            client = (*first, *pause, *dying, *self.reporting("c", tokens=100), *pause, crash())
            yield Workload(name=f"within-{at}", given=given, clients=(client,), finale=reads, apart=True)
        told, seen = self.elsewhere()
        if told:
            client = (*told, *told, *pause, crash())
            yield Workload(name="elsewhere", given=given, clients=(client,), finale=seen, apart=True)
            for at in range(0 if pause else DEEPEST):
                client = (*told, *(killed(step, at) for step in told[:1]), crash())
                yield Workload(name=f"elsewhere-{at}", given=given, clients=(client,), finale=seen, apart=True)


def killed(step: Step, at: int) -> Step:
    """Answer a call that is killed as it touches the store for the time of this number."""
    arguments = (*step.invocation.arguments, ("kill", at))
    return replace(step, invocation=replace(step.invocation, arguments=arguments))


@final
class ProcessesShare(Kept):
    """n processes on one store lose no update and share one quota.

    Why: services run as several workers, and each of them spends from the same keys (002-C1, 000-32, 001-3).
    How it breaks: a counter is read, added to and written back; each process keeps counts of its own.
    Fix: add in the store, in one statement; ask the store, not a copy of it, whether a key is below its limit.
    """

    id = "DUR03"
    audits = ("002-C1", "000-32", "001-3")
    engines = APART
    shared = True
    overlap = True
    CONFORMING = (
        (
            "| record(lease=key-1, tokens=5) -> True\n| record(lease=key-1, tokens=7) -> True\n"
            'usage(key=key-1) -> {"rpm": 2, "tpm": 12}'
        ),
        '| record(lease=key-1) -> raises Busy\n| record(lease=key-1) -> True\nusage(key=key-1) -> {"rpm": 1}',
    )
    VIOLATING = (
        (
            "| record(lease=key-1, tokens=5) -> True\n| record(lease=key-1, tokens=7) -> True\n"
            'usage(key=key-1) -> {"rpm": 1, "tpm": 7}'
        ),
        "given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nacquire() -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """Reports of two and three processes, of one key and of several, and a limit that one of them reaches."""
        given, reads = self.given, self.reads(self.given)
        first, second = self.reporting("a"), self.reporting("b", tokens=7)
        third = self.reporting("c", "key-2", tokens=100)
        for name, setup, clients in (
            ("two", (), (first, second)),
            ("after-one", first, (first, second)),
            ("two-each", (), (first * 2, second * 2)),
            ("three", (), (first, second, self.reporting("c", tokens=100))),
            ("two-keys", (), (first, third)),
            ("many", (), (first * 10, second * 10, self.reporting("c", tokens=100) * 10)),
        ):
            yield Workload(name=name, given=given, setup=setup, clients=clients, finale=reads, apart=True)
        told, seen = self.elsewhere()
        if told:
            yield Workload(name="elsewhere", given=given, clients=(told * 2, told * 2), finale=seen, apart=True)
        if self.policies.staleness is None and self.policies.tenure == "rotation":
            yield from self._quota()

    def _quota(self) -> Iterator[Workload]:
        one = limited(Limits(rpm=1), keys=1)
        spent = record("key-1", tokens=1) if self.policies.counted_on == "record" else acquire("s")
        asked = (acquire("x"), acquire("y"))
        yield Workload(name="spent-before", given=one, setup=(spent,), clients=((acquire("x"),),) * 2, apart=True)
        yield Workload(name="spent-meanwhile", given=one, clients=((spent,), asked), apart=True)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that does not add up, and a key that is over its limit."""
        return unusable_served(moment) if moment.name == "acquire" else super().refuses(moment)


@final
class ContentionUnseen(Invariant):
    """Contention between processes never surfaces ("database is locked").

    Why: two workers that write at once are the normal case, and their callers cannot do anything about it (000-32).
    How it breaks: the store is opened without a time-out; a read lock is upgraded; a lock file is taken or else.
    Fix: wait for the lock with a time-out, take the write lock first, and try again what the store refused.
    """

    id = "DUR04"
    audits = ("000-32",)
    requires = ("record|acquire",)
    engines = APART
    stored = True
    shared = True
    overlap = True
    CONFORMING = (
        "| record(lease=key-1) -> True\n| record(lease=key-1) -> True",
        "record(lease=key-1) -> raises KeyError\n| acquire() -> key-1\n| acquire() -> key-2",
    )
    VIOLATING = (
        "| record(lease=key-1) -> True\n| record(lease=key-1) -> raises OperationalError",
        "| acquire() -> key-1\n| acquire() -> raises OperationalError",
        "| open() -> raises OperationalError\n| record(lease=key-1) -> True",
    )

    def workloads(self) -> Iterator[Workload]:
        """Processes that open at once, and that report and ask over and over."""
        asked, told = self.taking("a"), (record("key-1"),) if self.claims.operations.get("record") else ()
        told = told if self.policies.tenure == "rotation" else ()
        busy = (*told, *asked, *told)
        for name, clients in (("two", (busy, busy)), ("three", (busy,) * 3), ("many", (busy * 4,) * 3)):
            yield Workload(name=name, given=Given(), clients=clients, apart=True)

    def violations(self, history: History) -> Iterator[Violation]:
        """Look at what overlapping processes raised, while others of them did the same without."""
        for operation in history.operations:
            if operation.phase is Phase.PARALLEL and accident(operation, self.policies):
                kind = getattr(operation.response, "kind", "")
                yield broken(operation, "an answer: the others only write as well", f"{operation.name} raises {kind}")
