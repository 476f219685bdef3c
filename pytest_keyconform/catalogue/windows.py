"""TIME01 to TIME03 and TIME06: what is free again when a window ends, and what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Invariant, Moment, Refusal
from pytest_keyconform.catalogue.provoking import limit_of, limited, reported
from pytest_keyconform.catalogue.reading import wrong_usage
from pytest_keyconform.catalogue.serving import nothing_served, unusable_served
from pytest_keyconform.catalogue.standing import ONE, asks, hurt
from pytest_keyconform.catalogue.steps import POOLS, advance, close, opened, record, tick, usage
from pytest_keyconform.model.windows import DAY, FREE_AFTER, MINUTE, midnight, uneven_days
from pytest_keyconform.operation import Raised
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

ASKING = ("acquire", "random_key")
COUNTED = {"counted_on": ("record", "acquire")}
CLOSE = 2.0  # seconds: clear of what is left open around the end of a window
QUARTER_OF_A_DAY = DAY / 4
FEBRUARY, MONTH = 345 * DAY, 28 * DAY  # noon (UTC) of the 10th; then weekday and day of the month come again


class Timed(Invariant, shared=True):
    """What the rules share: a key is served if and only if its windows allow it; a usage tells those of now."""

    timed = True
    requires: ClassVar[tuple[str, ...]] = ("acquire", "record|fail")

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse a key that was certainly out, an empty answer while one was certainly usable, a wrong usage."""
        if moment.name in ASKING:
            return unusable_served(moment) or nothing_served(moment)
        return wrong_usage(moment)

    def spend(self, tag: str, *, tokens: int = 1, pool: str = "regular", key: str = "") -> tuple[Step, ...]:
        """Answer the steps that use a key up by one request and so many tokens."""
        key = key or ("key-1" if pool == "regular" else "vertex-1")
        taken = self.taking(tag, pool=pool) if self.policies.counted_on == "acquire" else ()
        return *taken, *reported(
            self, [(key, lambda lease: record(lease, pool=pool, tokens=tokens))], pool=pool, tag=tag
        )

    def refused(self, *, pool: str = "regular") -> tuple[Step, ...]:
        """Answer the steps that ask in vain; none where a call would wait for what it does not get."""
        return () if self.policies.exhaustion == "blocks" else asks(self, keys=1, pool=pool)

    def recovery(self) -> float | None:
        """Answer how many seconds after its 429 a key is certainly back; None: by hand."""
        declared = self.policies.quota_recovery
        if declared == "day":
            return midnight(0.0, self.policies.day_zone) + CLOSE
        if isinstance(declared, tuple):
            return declared[0] + CLOSE
        if isinstance(declared, float):
            return declared + CLOSE
        return FREE_AFTER + CLOSE if declared == "minute" else None


def one_of(limit: Limits, pool: str = "regular") -> Given:
    """Answer a pool of one key with this limit for each model."""
    given = limited(limit, keys=1)
    return replace(given, vertex=("vertex-1",)) if pool == "vertex" else given


@final
class MinuteIsFree(Timed):
    """After the minute rpm and tpm, after `quota_recovery` the 429 marks are free; rpd is not.

    Why: a key that stays out after its window is quota paid for and not used; one that comes early gets a 429 (000-R).
    How it breaks: the counter is zeroed by a job that never runs; the day's count goes with the minute's; a mark stays.
    Fix: compare the window of the stored count with that of now whenever it is read.
    """

    id = "TIME01"
    audits = ("000-R", "004-7")
    CONFORMING = (
        (
            'given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nacquire() -> ""\nadvance(seconds=61)\n'
            "acquire() -> key-1"
        ),
        'given regular=key-1\nfail(lease=key-1, status=429) -> ""\nadvance(seconds=61)\nacquire() -> key-1',
        'given regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\nadvance(seconds=61)\nacquire() -> ""',
        (
            "policy quota_recovery=300.0\ngiven regular=key-1\nfail(lease=key-1, status=429)\nadvance(seconds=61)\n"
            'acquire() -> ""'
        ),
    )
    VIOLATING = (
        'given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nadvance(seconds=61)\nacquire() -> ""',
        'given regular=key-1\nfail(lease=key-1, status=429) -> ""\nadvance(seconds=61)\nacquire() -> ""',
        "given regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\nadvance(seconds=61)\nacquire() -> key-1",
        'record(lease=key-1, tokens=5) -> True\nadvance(seconds=61)\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}',
        (
            'policy quota_recovery=300.0\ngiven regular=key-1\nfail(lease=key-1, status=429) -> ""\n'
            "advance(seconds=200)\nacquire() -> key-1"
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """One key spent by requests, by tokens, by the day; one marked; a minute, an hour and a day later."""
        later = (advance(FREE_AFTER), tick())
        for pool in POOLS:
            seen = (usage("key-1" if pool == "regular" else "vertex-1", pool=pool, optional=True),)
            if self.policies.counted_on != "none":
                for field, limit in (("rpm", 1), ("tpm", 5), ("rpd", 1)):
                    spent = self.spend("s", tokens=5, pool=pool)
                    last = self.refused(pool=pool) if field == "rpd" else self.taking("z", pool=pool)
                    given = one_of(limit_of(field, limit), pool)
                    yield Workload(name=f"{pool}-{field}", given=given, setup=(*spent, *later, *seen, *last))
                    before = (*spent, *self.refused(pool=pool), *later, *last)
                    yield Workload(name=f"{pool}-{field}-asked", given=given, setup=before)
            yield from self._marked(pool)
        if self.policies.counted_on != "none":
            read = (*self.spend("s", tokens=5), *later, usage("key-1"))
            yield Workload(name="unlimited", given=Given(), setup=read)
            again = tuple(
                step for number in range(4) for step in (*self.taking(f"a{number}"), *self.spend(f"s{number}"), *later)
            )
            for name, pause in (("hour", 60 * MINUTE), ("day", DAY)):  # the same minute of another hour, or day
                for field, limit in (("rpm", 1), ("tpm", 5)):
                    setup = (*self.spend("s", tokens=5), advance(pause), tick(), *self.taking("z"))
                    yield Workload(name=f"{name}-{field}", given=one_of(limit_of(field, limit)), setup=setup)
            given = one_of(Limits(rpm=3))
            yield Workload(name="four-times", given=given, setup=(*again, usage("key-1", optional=True)))

    def _marked(self, pool: str) -> Iterator[Workload]:
        recovery = self.recovery()
        if recovery is None:
            return
        marked = hurt(self, "key-1" if pool == "regular" else "vertex-1", status=429, pool=pool)
        given = replace(ONE, vertex=("vertex-1",))
        back = self.taking("z", pool=pool)
        yield Workload(name=f"{pool}-mark", given=given, setup=(*marked, advance(recovery), tick(), *back))
        if self.policies.quota_recovery != "minute":
            early = (*marked, advance(recovery - 2 * CLOSE), tick(), *self.refused(pool=pool))
            yield Workload(name=f"{pool}-mark-early", given=given, setup=early)
        if not isinstance(self.policies.quota_recovery, tuple):
            if recovery < 60 * MINUTE:
                hour = (*marked, advance(60 * MINUTE), tick(), *back)
                yield Workload(name=f"{pool}-mark-hour", given=given, setup=hour)
            twice = (*marked, advance(recovery), tick(), *back) * 2
            yield Workload(name=f"{pool}-mark-twice", given=given, setup=twice)


@final
class DayIsFree(Timed):
    """rpd is free after every midnight of `day_zone`, and not before.

    Why: the provider's day ends at its own midnight; hours too early are 429s, hours too late are lost (000-19).
    How it breaks: UTC's or the machine's midnight; 24 hours from the first call; the second night is forgotten.
    Fix: store the date in ``day_zone`` with the count and compare it with today's whenever it is read.
    """

    id = "TIME02"
    audits = ("000-19", "000-27")
    applies: ClassVar = COUNTED
    CONFORMING = (
        (
            'given regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\nadvance(seconds=71998)\nacquire() -> ""\n'
            "advance(seconds=4)\nacquire() -> key-1"
        ),
        (
            "policy day_zone=UTC\ngiven regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\n"
            "advance(seconds=43202)\nacquire() -> key-1"
        ),
        (
            "given regular=key-1 m1.rpd=1\nopen()\nrecord(lease=key-1) -> True\nclose()\nadvance(seconds=2419200)\n"
            "open() -> raises typed Closed\nacquire() -> raises typed Closed"
        ),
    )
    VIOLATING = (
        (
            "given regular=key-1 m1.rpd=1\nopen()\nrecord(lease=key-1) -> True\nclose()\nadvance(seconds=2419200)\n"
            'open()\nacquire() -> ""'
        ),
        'given regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\nadvance(seconds=72002)\nacquire() -> ""',
        "given regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\nadvance(seconds=43202)\nacquire() -> key-1",
        'record(lease=key-1) -> True\nadvance(seconds=72002)\nusage(key=key-1) -> {"rpd": 1}',
    )

    def workloads(self) -> Iterator[Workload]:
        """Four days in a row: spent, asked for in the last seconds of each and the first of the next; after a month."""
        yield Workload(name="one", given=one_of(Limits(rpd=1)), setup=self._days(1))
        yield Workload(name="four", given=one_of(Limits(rpd=1)), setup=self._days(4))
        leap = replace(one_of(Limits(rpd=1)), starts=728 * DAY)  # noon (UTC) of the day before the 29th of February
        yield Workload(name="leap-day", given=leap, setup=self._days(3, starts=728 * DAY))
        yield from self._away()

    def _away(self) -> Iterator[Workload]:
        """Yield the programs that ask on the same date of another month and year; closed meanwhile."""
        operations, seen = self.claims.operations, (tick(), usage("key-1", optional=True), *self.taking("z"))
        given = replace(one_of(Limits(rpd=1)), starts=FEBRUARY)
        if not (operations.get("open") and operations.get("close")):
            return  # a worker that wakes up each second would take minutes over a month
        for name, pause in (("month", MONTH), ("year", 365 * DAY)):
            setup = (*self.spend("s"), close(), advance(pause), opened(), *seen)
            yield Workload(name=f"closed-{name}", given=given, setup=setup)

    def violations(self, history: History) -> Iterator[Violation]:
        """Judge nothing where an opening was refused."""
        if not any(isinstance(opening.response, Raised) for opening in history.named("open")):
            yield from super().violations(history)

    def _days(self, count: int, *, starts: float = 0.0) -> tuple[Step, ...]:
        steps: list[Step] = []
        now = starts
        for number in range(count):
            end = midnight(now, self.policies.day_zone)
            steps += [*self.spend(f"s{number}"), advance(end - now - CLOSE), tick(), *self.refused()]
            steps += [advance(2 * CLOSE), tick(), usage("key-1", optional=True), *self.taking(f"d{number}")]
            now = end + CLOSE
            if self.policies.counted_on == "acquire":  # what is taken to see is spent
                steps += [advance(midnight(now, self.policies.day_zone) - now + CLOSE), tick()]
                now = midnight(now, self.policies.day_zone) + CLOSE
        return tuple(steps)


@final
class UnevenDays(Timed):
    """Also on the 23-hour and the 25-hour day.

    Why: a day of the wrong length spends the next day's quota, or leaves an hour of it idle, twice a year (000-19).
    How it breaks: midnight is the last one and 24 hours; the offset of the zone is a constant.
    Fix: compute dates with zoneinfo; never add 24 hours to a local midnight.
    """

    id = "TIME03"
    audits = ("000-19",)
    applies: ClassVar = COUNTED
    CONFORMING = (
        (
            "given regular=key-1 m1.rpd=1 starts=504000.0\nrecord(lease=key-1) -> True\n"
            'advance(seconds=82798)\nacquire() -> ""\n'
            "advance(seconds=4)\nacquire() -> key-1"
        ),
    )
    VIOLATING = (
        (
            "given regular=key-1 m1.rpd=1 starts=504000.0\nrecord(lease=key-1) -> True\n"
            'advance(seconds=82802)\nacquire() -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Spent on the day before, on the day itself and on the day after: each is free at its own midnight."""
        zone = self.policies.day_zone
        for begin, length in uneven_days(zone):
            starts = begin - QUARTER_OF_A_DAY
            given = replace(one_of(Limits(rpd=1)), starts=starts)
            inside = (advance(QUARTER_OF_A_DAY + CLOSE), tick())
            yield Workload(
                name=f"into-{length / 3600:g}-hours", given=given, setup=(*self.spend("s"), *inside, *self.taking("z"))
            )
            spent = (*inside, *self.spend("s"), advance(length - 2 * CLOSE), tick(), *self.refused())
            after = (advance(2 * CLOSE), tick(), usage("key-1", optional=True), *self.taking("z"))
            yield Workload(name=f"over-{length / 3600:g}-hours", given=given, setup=(*spent, *after))
            next_day = (*inside, advance(length), tick(), *self.spend("s"), advance(DAY - 2 * CLOSE), *self.refused())
            last = (advance(2 * CLOSE), tick(), *self.taking("z"))
            yield Workload(name=f"after-{length / 3600:g}-hours", given=given, setup=(*next_day, *last))


@final
class TrafficExtendsNothing(Timed):
    """Traffic does not extend a window.

    Why: the busiest key would be out for ever, since its window never ends while it is used (003-B2).
    How it breaks: each call sets the expiry of the counter anew; a mark is renewed by each look at it.
    Fix: set the expiry when a window is opened, and never afterwards.
    """

    id = "TIME06"
    audits = ("003-B2",)
    CONFORMING = (
        (
            "given regular=key-1 m1.rpm=2\nrecord(lease=key-1) -> True\nadvance(seconds=40)\n"
            "record(lease=key-1) -> True\n"
            "advance(seconds=22)\nacquire() -> key-1"
        ),
    )
    VIOLATING = (
        (
            "given regular=key-1 m1.rpm=3\nrecord(lease=key-1) -> True\nadvance(seconds=40)\n"
            "record(lease=key-1) -> True\n"
            'advance(seconds=40)\nrecord(lease=key-1) -> True\nacquire() -> ""'
        ),
        (
            'given regular=key-1\nfail(lease=key-1, status=429) -> ""\nadvance(seconds=40)\nacquire() -> ""\n'
            'advance(seconds=22)\nacquire() -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """A request every 20 seconds for five minutes, below the limit; a marked key that is asked for meanwhile."""
        if self.policies.counted_on != "none":
            for name, limit in (("requests", Limits(rpm=6)), ("tokens", Limits(tpm=60))):
                steps = [
                    step
                    for number in range(15)
                    for step in (
                        *self.taking(f"a{number}"),
                        *self.spend(f"s{number}", tokens=10),
                        advance(20.0),
                        tick(),
                    )
                ]
                twice = limit
                if self.policies.counted_on == "acquire":  # one to see, one to spend
                    twice = Limits(rpm=12) if limit.rpm else limit
                seen = (usage("key-1", optional=True),)
                yield Workload(name=name, given=one_of(twice), setup=(*steps, *seen))
        recovery = self.recovery()
        if recovery is not None and self.policies.exhaustion != "blocks":
            asked = [step for _ in range(3) for step in (advance(recovery / 3), tick(), *asks(self, keys=1))]
            marked = (*hurt(self, "key-1", status=429), *asked, advance(CLOSE), tick(), *self.taking("z"))
            yield Workload(name="marked", given=ONE, setup=marked)
