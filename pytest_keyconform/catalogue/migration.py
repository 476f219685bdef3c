"""MIG: what an earlier version has counted, carried over."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

from pytest_keyconform.catalogue.invariant import IN_PROCESS, Invariant, Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import limited, reported
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import ONE, PAIR, asks, wrong_validity
from pytest_keyconform.catalogue.steps import advance, is_valid, record, restart, step, tick, usage
from pytest_keyconform.model.windows import DAY, EPOCH, FREE_AFTER
from pytest_keyconform.workload import DEFAULT_MODEL, Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

HOURS: Final = 2 * 3600.0
DEEPEST: Final = 6  # awaits at which a migration is interrupted
ALIKE: Final = Given(
    regular=("key-1", "key-1:b", "key-2"), limits=(("m1", Limits()), ("m10", Limits()), ("m2", Limits()))
)


def row(
    key: str,
    *,
    ago: float = 0.0,
    pool: str = "regular",
    model: str = DEFAULT_MODEL,
    **more: object,
) -> dict[str, Any]:
    """Answer one row of the earlier version: what a key was used for with a model, ``ago`` seconds before the start."""
    when = (EPOCH - dt.timedelta(seconds=ago)).isoformat()
    counted = {"rpm": 3, "tpm": 31, "rpd": 7, "exhausted": False, "inactive": False}
    return {"pool": pool, "key": key, "model": model, **counted, "last_used": when, **more}


def migrate(*rows: dict[str, Any], **more: object) -> Step:
    """Carry rows over."""
    return step("migrate", rows=rows, **more)


def _told(**more: Any) -> str:  # noqa: ANN401 - as `row` takes them
    """Answer the line of a history in which one row is carried over."""
    return f"migrate(rows=[{row('key-1', **more)!r}])\n"


class _Carried(Invariant, shared=True):
    """What the rules share: the usage is what was carried over, as far as its windows have not ended."""

    requires: ClassVar[tuple[str, ...]] = ("migrate", "usage|acquire")
    subject: ClassVar[tuple[str, ...]] = ("migrate",)
    timed: ClassVar[bool] = True  # a store that asks a clock of its own takes every row for an old one

    def reads(self, *keys: str, model: str = DEFAULT_MODEL) -> tuple[Step, ...]:
        """Read the usage of these keys."""
        return tuple(usage(key, model=model, optional=True) for key in keys)

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a usage that is not what was carried over, and what that does not allow to be served."""
        if moment.name == "acquire":
            return unusable_served(moment) or nothing_served(moment)
        return wrong_usage(moment) or (wrong_validity(moment) if moment.name == "is_valid" else None)


@final
class RowsCarriedOver(_Carried):
    """v1 rows are carried over: counters, exhaustion, times; windows are judged by the clock.

    Why: after an update that forgets what was spent, every key goes over its limit at once (000-13).
    How it breaks: the table is made anew; counters of yesterday are taken for those of today, or the reverse.
    Fix: write each row's counters with the time of its last use, and let the windows decide what still counts.
    """

    id = "MIG01"
    audits = ("000-13",)
    CONFORMING = (
        _told() + 'usage(key=key-1) -> {"rpm": 3, "tpm": 31, "rpd": 7}',
        "policy day_zone=Pacific/Fiji\n" + _told() + 'usage(key=key-1) -> {"rpm": 3, "tpm": 31, "rpd": 7}',
        _told(ago=3 * DAY, exhausted=True) + 'usage(key=key-1) -> {"rpm": 0, "tpm": 0, "rpd": 0}',
    )
    VIOLATING = (
        _told() + 'usage(key=key-1) -> {"rpm": 0, "tpm": 0, "rpd": 0}',
        _told(ago=3 * DAY) + 'usage(key=key-1) -> {"rpm": 0, "tpm": 0, "rpd": 7}',
        "given regular=key-1,key-2\n" + _told(exhausted=True) + "acquire() -> key-1",
    )

    def workloads(self) -> Iterator[Workload]:
        """Rows of just now, of two hours and of two days before; exhausted and inactive ones; rows at a limit."""
        for name, ago in (("now", 0.0), ("hours", HOURS), ("days", 2 * DAY)):
            yield Workload(name=name, given=PAIR, setup=(migrate(row("key-1", ago=ago)), *self.reads("key-1", "key-2")))
        later = (migrate(row("key-1")), advance(FREE_AFTER), tick(), *self.reads("key-1"))
        yield Workload(name="later", given=PAIR, setup=later)
        others = (row("key-1"), row("key-2", model="m2", rpm=1), row("vertex-1", pool="vertex", rpm=2))
        vertex = usage("vertex-1", pool="vertex", optional=True)
        yield Workload(name="many", given=PAIR, setup=(migrate(*others), *self.reads("key-1", "key-2"), vertex))
        if self.policies.exhaustion == "blocks" or not self.claims.operations.get("acquire"):
            return
        ask = asks(self, keys=2)
        yield Workload(name="exhausted", given=PAIR, setup=(migrate(row("key-1", exhausted=True)), *ask))
        out = (migrate(row("key-1", inactive=True, ago=2 * DAY)), is_valid("key-1"), *ask)
        yield Workload(name="inactive", given=PAIR, setup=out)
        full, two = row("key-1", rpm=3, rpd=3), limited(Limits(rpd=3), keys=2)
        yield Workload(name="spent", given=two, setup=(migrate(full), *ask))
        long_ago = migrate(row("key-1", rpm=3, rpd=3, ago=2 * DAY))
        yield Workload(name="spent-before", given=limited(Limits(rpd=3), keys=1), setup=(long_ago, *self.taking("z")))
        if self.policies.quota_recovery in ("minute", "day"):
            before = migrate(row("key-1", exhausted=True, ago=2 * DAY))
            yield Workload(name="exhausted-before", given=ONE, setup=(before, *self.taking("z")))


@final
class MigratedOnce(_Carried):
    """Running it twice, or again after an interruption, neither duplicates nor loses.

    Why: a migration is started again when nobody knows whether the first one came to its end (000-13, 003-B3).
    How it breaks: counters are added to what is there; the second run writes over what was counted since the first.
    Fix: remember which rows were carried over, and do each in one step.
    """

    id = "MIG02"
    audits = ("000-13", "003-B3")
    engines = (*IN_PROCESS, "simulated-processes", "processes")
    CONFORMING = (_told() * 2 + 'usage(key=key-1) -> {"rpm": 3, "tpm": 31, "rpd": 7}',)
    VIOLATING = (_told() * 2 + 'usage(key=key-1) -> {"rpm": 6, "tpm": 62, "rpd": 14}',)

    def workloads(self) -> Iterator[Workload]:
        """Twice in a row, with a report between, after a restart, and after an interruption at each await."""
        rows = (row("key-1"), row("key-2", rpm=1, tpm=13, rpd=5))
        reads, again = self.reads("key-1", "key-2"), migrate(*rows)
        yield Workload(name="twice", given=PAIR, setup=(again, again, *reads))
        if self.claims.operations.get("record"):
            told = reported(self, [("key-1", lambda lease: record(lease, tokens=5))])
            yield Workload(name="between", given=PAIR, setup=(again, *told, again, *reads))
        if self.claims.is_async:
            for at in range(DEEPEST):
                yield Workload(name=f"cancelled-{at}", given=PAIR, setup=(migrate(*rows, cancel=at), again, *reads))
        if self.policies.durability != "none":
            yield Workload(name="restarted", given=PAIR, setup=(again, restart(), again, *reads))
            for at in range(DEEPEST):
                killed = (migrate(*rows, kill=at), again)
                yield Workload(name=f"killed-{at}", given=PAIR, clients=(killed,), finale=reads, apart=True)


@final
class RowsStay(_Carried):
    """The v1 rows given are unchanged, so that v1 still runs on them.

    Why: whoever has to go back finds the old version without its counts (001-8, 003-1.4).
    How it breaks: rows are popped from the list as they are done; a column is rewritten in place.
    Fix: read the rows, and write only what is one's own.
    """

    id = "MIG03"
    audits = ("001-8", "003-1.4")
    CONFORMING = ("migrate(rows=[])",)
    VIOLATING = ("migrate(rows=[], spoilt=True)",)

    def workloads(self) -> Iterator[Workload]:
        """One row, and several of every kind."""
        yield Workload(name="one", given=PAIR, setup=(migrate(row("key-1")),))
        kinds = (row("key-1"), row("key-2", exhausted=True), row("vertex-1", pool="vertex", inactive=True, ago=2 * DAY))
        yield Workload(name="many", given=PAIR, setup=(migrate(*kinds),))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse nothing by the order: the rows are looked at."""
        del moment
        return None

    def violations(self, history: History) -> Iterator[Violation]:
        """Look for rows that were changed."""
        yield from self.accidents(history)
        for operation in history.named("migrate"):
            if operation.get("spoilt"):
                yield broken(operation, "the rows as they were", "migrate changes the rows it is given")


@final
class ToldByIdentity(_Carried):
    """The outcome is the same on every store; duplicates are told by identity, not by a text search in a field.

    Why: a key whose text is part of another one's is taken for it, and its counts are dropped (003-B3, 003-2.8).
    How it breaks: ``LIKE '%key%'``; a joined text of pool, key and model is searched for a part of it.
    Fix: a unique index over pool, key and model.
    """

    id = "MIG04"
    audits = ("003-B3", "003-2.8")
    CONFORMING = RowsCarriedOver.CONFORMING
    VIOLATING = RowsCarriedOver.VIOLATING[:1]

    def workloads(self) -> Iterator[Workload]:
        """Keys and models that are parts of each other, in both orders; what is equal but for the pool."""
        first, second = row("key-1"), row("key-1:b", rpm=1, tpm=13, rpd=5)
        models = (row("key-2", model="m10", rpm=2, tpm=17, rpd=4), row("key-2", rpm=1, tpm=19, rpd=2))
        rows = (first, second, *models)
        reads = (*self.reads("key-1", "key-1:b", "key-2"), *self.reads("key-2", model="m10"))
        for name, given in (("order", rows), ("reverse", rows[::-1])):
            yield Workload(name=name, given=ALIKE, setup=(migrate(*given), *reads))
        if self.policies.both_pools == "separate":
            both = replace(ALIKE, vertex=("key-1",))
            twins = migrate(first, row("key-1", pool="vertex", rpm=1, tpm=13, rpd=5))
            vertex = usage("key-1", pool="vertex", optional=True)
            yield Workload(name="both-pools", given=both, setup=(twins, *self.reads("key-1"), vertex))
