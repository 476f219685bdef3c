"""TIME04, TIME05 and TIME07 to TIME09: clocks that jump, readings that change nothing, restarts, and steps."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, final

from pytest_keyconform.catalogue.invariant import Moment, Refusal, broken
from pytest_keyconform.catalogue.provoking import limited
from pytest_keyconform.catalogue.reading import READS, changed, difference
from pytest_keyconform.catalogue.serving import nothing_served
from pytest_keyconform.catalogue.standing import ONE, asks, hurt
from pytest_keyconform.catalogue.steps import (
    advance,
    all_keys,
    is_valid,
    restart,
    set_clock,
    state,
    status,
    tick,
    usage,
)
from pytest_keyconform.catalogue.windows import ASKING, CLOSE, COUNTED, Timed, one_of
from pytest_keyconform.model.windows import DAY, FREE_AFTER, SLACK, midnight
from pytest_keyconform.workload import Given, Limits, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.history import History
    from pytest_keyconform.operation import Operation
    from pytest_keyconform.verdict import Violation
    from pytest_keyconform.workload import Step

HOURS = 7200.0  # seconds by which the clock is set
LATER = (advance(FREE_AFTER), tick())


class _Stored(Timed, shared=True):
    """What the rules share that are about a storage: a restart is a step like any other."""

    stored = True
    applies: ClassVar = COUNTED
    subject = ("restart",)


@final
class DownAcrossMidnight(_Stored):
    """Being down across midnight resets once.

    Why: the nightly job did not run, and the keys of yesterday stay spent until the next night (000-27).
    How it breaks: only a job at midnight resets; after a restart the reset comes again and wipes the new counts.
    Fix: store the date with the count, and compare it with today's whenever it is read.
    """

    id = "TIME04"
    audits = ("000-27",)
    CONFORMING = (
        (
            "policy durability=write-through\ngiven regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\n"
            'advance(seconds=172800)\nrestart()\nacquire() -> key-1\nrecord(lease=key-1) -> True\nacquire() -> ""'
        ),
    )
    VIOLATING = (
        (
            "policy durability=write-through\ngiven regular=key-1 m1.rpd=1\nrecord(lease=key-1) -> True\n"
            'advance(seconds=172800)\nrestart()\nacquire() -> ""'
        ),
        (
            "policy durability=write-through\ngiven regular=key-1 m1.rpd=1\nadvance(seconds=172800)\nrestart()\n"
            "record(lease=key-1) -> True\nadvance(seconds=61)\nacquire() -> key-1"
        ),
        "policy durability=write-through\nrestart() -> raises ValueError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Down for two days, and for the minutes around one midnight: free once, and then counted again."""
        given = one_of(Limits(rpd=1))
        night = midnight(0.0, self.policies.day_zone)
        again = (*self.spend("b"), *LATER, *self.refused())
        for name, before, down in (("two-days", 10.0, 2 * DAY), ("one-night", night - 60.0, 120.0)):
            first = (*self.spend("a"), advance(before), restart(down=down))
            yield Workload(name=name, given=given, setup=(*first, usage("key-1", optional=True), *self.taking("z")))
            yield Workload(name=f"{name}-again", given=given, setup=(*first, *again))
        same = (*self.spend("a"), restart(down=120.0), *self.refused())
        yield Workload(name="same-day", given=given, setup=same)


@final
class ClockSetBack(Timed):
    """A clock set back raises nothing, and nothing stays stuck for longer than a window after it.

    Why: NTP sets clocks back, and a window that ends in the future keeps a key out for hours (000-19).
    How it breaks: ``now - start >= 60`` is false for two hours; a difference below zero raises.
    Fix: a window that begins in the future has ended; better still, measure windows by a monotonic clock.
    """

    id = "TIME05"
    audits = ("000-19",)
    requires = ("acquire",)
    subject = ("acquire", "random_key", "record", "fail", "usage", "status", "all_keys", "state", "is_valid")
    CONFORMING = (
        "given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nadvance(seconds=61)\nacquire() -> key-1",
        'given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nacquire() -> ""',
    )
    VIOLATING = (
        'given regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nadvance(seconds=61)\nacquire() -> ""',
        "acquire() -> raises ValueError",
        "usage(key=key-1) -> raises OverflowError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Spent, marked, read; the clock two hours back; a minute later the key is there. Also set forth before."""
        back = set_clock(-HOURS)
        reads = (usage("key-1", optional=True), status(), all_keys(), state(), is_valid("key-1"))
        for name, before in (("back", ()), ("forth-and-back", (set_clock(HOURS),))):
            if self.policies.counted_on != "none":
                for field, limit in (("rpm", Limits(rpm=1)), ("tpm", Limits(tpm=5))):
                    spent = (*before, *self.spend("s", tokens=5), back, *reads, *LATER, *self.taking("z"))
                    yield Workload(name=f"{name}-{field}", given=one_of(limit), setup=spent)
                left = (*before, *self.spend("s"), back, *self.spend("t"), *reads, *LATER, *self.taking("z"))
                yield Workload(name=f"{name}-left", given=Given(), setup=left)
            recovery = self.recovery()
            if recovery is not None and self.policies.quota_recovery != "day":
                marked = (*before, *hurt(self, "key-1", status=429), back, *reads)
                back_again = (advance(max(recovery, FREE_AFTER)), tick(), *self.taking("z"))
                yield Workload(name=f"{name}-mark", given=ONE, setup=(*marked, *back_again))

    def refuses(self, moment: Moment) -> Refusal | None:
        """Refuse that nothing is served where a window had ended by the time that passed."""
        return nothing_served(moment) if moment.name in ASKING else None


@final
class ReadingChangesNothing(Timed):
    """Reading changes nothing.

    Why: a dashboard that polls must not spend quota, extend a window or end one (002-O3).
    How it breaks: reading the usage makes the row anew; the status counts as a call; a reset is a side effect.
    Fix: views compute from what is stored and write nothing.
    """

    id = "TIME07"
    audits = ("002-O3",)
    requires = ("usage|status|state|all_keys|failures|is_valid",)
    CONFORMING = (
        (
            'record(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}\n'
            'usage(key=key-1) -> {"rpm": 1, "tpm": 5}'
        ),
        'usage(key=key-1) -> {"rpm": 0}\nadvance(seconds=61)\nusage(key=key-1) -> None',
    )
    VIOLATING = (
        (
            'record(lease=key-1, tokens=5) -> True\nusage(key=key-1) -> {"rpm": 1, "tpm": 5}\n'
            'usage(key=key-1) -> {"rpm": 2, "tpm": 5}'
        ),
        "is_valid(key=key-1) -> True\nstatus() -> {}\nis_valid(key=key-1) -> False",
        'given regular=key-1 m1.rpm=1\nusage(key=key-1) -> {"rpm": 0}\nacquire() -> ""',
    )

    def workloads(self) -> Iterator[Workload]:
        """Every view read over and over: on fresh keys, on spent and failed ones, at the end of a window and later."""
        views = (status(), all_keys(), state(), status(pool="vertex"), is_valid("key-1"), is_valid("key-2"))
        reads = (usage("key-1", optional=True), usage("key-2", optional=True), *views)
        many = reads * 3
        yield Workload(name="fresh", given=Given(), setup=(*many, *asks(self, keys=3), *reads))
        hurt_once = hurt(self, "key-2", status=500) if self.claims.operations.get("fail") else ()
        yield Workload(name="failed", given=Given(), setup=(*hurt_once, *many, *self.taking("z")))
        if self.policies.counted_on == "none" or not self.claims.operations.get("record"):
            return
        spent = self.spend("s", tokens=5)
        yield Workload(name="spent", given=Given(), setup=(*spent, *many, advance(30), *many, *LATER, *many))
        two = one_of(Limits(rpm=2))
        only = (usage("key-1", optional=True), status(), state()) * 3
        yield Workload(name="at-the-limit", given=two, setup=(*spent, *only, *self.spend("t"), *only, *self.refused()))
        day = one_of(Limits(rpd=1))
        yield Workload(name="a-minute-later", given=day, setup=(*spent, *LATER, *only, *self.refused()))
        first = limited(Limits(rpm=1), keys=1)
        yield Workload(name="before-the-first", given=first, setup=(*only, *self.taking("z")))

    def violations(self, history: History) -> Iterator[Violation]:
        """Compare each reading with the one before it, and hold the answers against what was done."""
        yield from super().violations(history)
        for before, after in changed(history, lambda operation: operation.name in READS):
            yield broken(after, difference(before), f"reading changes what {after.name} answers")


@final
class ResetsAfterRestart(_Stored):
    """Resets still work after a restart (stored stamps compare with the clock).

    Why: a window that never ends after a deployment takes every key out that was busy before it (000-19, 000-27).
    How it breaks: monotonic time is stored, or a naive local time; the timer that ends the window died with a process.
    Fix: store wall-clock stamps with their zone and compare them with the clock whenever they are read.
    """

    id = "TIME08"
    audits = ("000-19", "000-27")
    CONFORMING = (
        (
            "policy durability=write-through\ngiven regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nrestart()\n"
            "advance(seconds=61)\nacquire() -> key-1"
        ),
    )
    VIOLATING = (
        (
            "policy durability=write-through\ngiven regular=key-1 m1.rpm=1\nrecord(lease=key-1) -> True\nrestart()\n"
            'advance(seconds=61)\nacquire() -> ""'
        ),
        "policy durability=write-through\nrestart() -> raises TypeError",
    )

    def workloads(self) -> Iterator[Workload]:
        """Spent by the minute, by the day, and marked; restarted at once and twice; free when the window has ended."""
        seen = (usage("key-1", optional=True), *self.taking("z"))
        for field, limit in (("rpm", Limits(rpm=1)), ("tpm", Limits(tpm=5))):
            spent = (*self.spend("s", tokens=5), restart())
            yield Workload(name=field, given=one_of(limit), setup=(*spent, *LATER, *seen))
            yield Workload(name=f"{field}-twice", given=one_of(limit), setup=(*spent, restart(), *LATER, *seen))
            yield Workload(name=f"{field}-down", given=one_of(limit), setup=(*spent[:-1], restart(down=62.0), *seen))
        night = midnight(0.0, self.policies.day_zone)
        spent = (*self.spend("s"), restart(), advance(night + CLOSE), tick())
        yield Workload(name="rpd", given=one_of(Limits(rpd=1)), setup=(*spent, *seen))
        recovery = self.recovery()
        if recovery is not None:
            marked = (*hurt(self, "key-1", status=429), restart(), advance(recovery), tick(), *self.taking("z"))
            yield Workload(name="mark", given=ONE, setup=marked)


@final
class MarksByStep(Timed):
    """Under steps, each further 429 keeps the key out for the next step, the last one repeated; never for less.

    Why: a key that comes back too early is limited again at once, and for longer each time (004-7).
    How it breaks: the first step is used each time; a success in between is taken for a recovery; the steps run out.
    Fix: keep the number of 429s in a row beside the mark, and take the step of that number, at most the last.
    """

    id = "TIME09"
    audits = ("004-7",)
    requires = ("acquire", "fail|record")
    applies: ClassVar = {"quota_recovery": (tuple,)}
    CONFORMING = (
        (
            'policy quota_recovery=(10.0,30.0)\ngiven regular=key-1\nfail(lease=key-1, status=429) -> ""\n'
            'advance(seconds=12)\nacquire() -> key-1\nfail(lease=key-1, status=429) -> ""\nadvance(seconds=12)\n'
            'acquire() -> ""\nadvance(seconds=20)\nacquire() -> key-1'
        ),
    )
    VIOLATING = (
        (
            'policy quota_recovery=(10.0,30.0)\ngiven regular=key-1\nfail(lease=key-1, status=429) -> ""\n'
            'advance(seconds=12)\nacquire() -> key-1\nfail(lease=key-1, status=429) -> ""\nadvance(seconds=12)\n'
            "acquire() -> key-1"
        ),
        (
            'policy quota_recovery=(10.0,30.0)\ngiven regular=key-1\nfail(lease=key-1, status=429) -> ""\n'
            'advance(seconds=12)\nacquire() -> ""'
        ),
    )

    def workloads(self) -> Iterator[Workload]:
        """Five 429s, each at the end of the one before; asked shortly before and shortly after the end of each."""
        steps = self._steps()
        for count in range(1, 6 if steps else 1):
            program: list[Step] = []
            for number in range(count):
                last = number == count - 1
                pause = steps[min(number, len(steps) - 1)]
                program += hurt(self, "key-1", status=429)
                if last and pause > 2 * CLOSE:
                    program += [advance(pause - CLOSE), tick(), *self.refused(), advance(2 * CLOSE), tick()]
                else:
                    program += [advance(pause + CLOSE), tick()]
            yield Workload(name=f"{count}", given=ONE, setup=(*program, *self.taking("z")))

    def _steps(self) -> tuple[float, ...]:
        declared = self.policies.quota_recovery
        return declared if isinstance(declared, tuple) else ()

    def violations(self, history: History) -> Iterator[Violation]:
        """Count the marks of the one key, and hold each answer against the step of the last of them."""
        yield from self.accidents(history)
        marks: list[float] = []
        steps = self._steps()
        for operation in history.operations:
            if operation.name == "fail" or (operation.name == "record" and operation.get("outcome") == "quota"):
                marks.append(operation.at)
            elif operation.name in ASKING and marks and steps:
                pause = steps[min(len(marks), len(steps)) - 1]
                if all(after - before >= steps[0] for before, after in pairwise(marks)):
                    yield from self._held(operation, operation.at - marks[-1], pause)

    def _held(self, operation: Operation, age: float, pause: float) -> Iterator[Violation]:
        served = isinstance(operation.value, str) and bool(operation.value)
        if served and age < pause and self.policies.exhaustion != "fallback":
            yield broken(operation, f"no key for {pause:g} s after this 429", "a 429 mark ends before its step")
        if not served and age > pause + SLACK:
            yield broken(operation, f"the key: its step of {pause:g} s has passed", "a 429 mark outlasts its step")
