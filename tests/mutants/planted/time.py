"""Planted bugs of the family TIME."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from managers.poor import DAY_ZONE, PoorManager
from managers.rich import RichManager
from managers.stored import READ, AsyncSqliteManager, SqliteManager

from planted.registry import planted
from pytest_keyconform import Policies

STEPS = (10.0, 30.0, 90.0)
STANDARD = timezone(timedelta(hours=-8))  # Pacific time as it is in winter


class MarksStay(RichManager):
    """A 429 mark is never compared with the clock."""

    def _is_marked(self, tally):
        return tally.marked >= 0


class DayGoesWithTheMinute(PoorManager):
    """The count of the day is zeroed with that of the minute."""

    def _meter(self, card, model):
        began = card.meters[model].opened if model in card.meters else None
        meter = super()._meter(card, model)
        if began is not None and meter.opened is None:
            meter.rpd = 0
        return meter


class MinuteOfTheHour(RichManager):
    """A minute is told by its number in the hour."""

    def _minute(self):
        return super()._minute() % 60


class DayOfTheMonth(RichManager):
    """A day is told by its number in the month."""

    def _today(self):
        return super()._today()[-2:]


class DayOfUtc(RichManager):
    """The day ends at midnight in UTC."""

    def _today(self):
        return datetime.fromtimestamp(time.time(), UTC).date().isoformat()


class OneNightOnly(PoorManager):
    """The first midnight after the opening is the only one."""

    def __init__(self, pool):
        super().__init__(pool)
        self._days = set()

    def _meter(self, card, model):
        self._days.add(datetime.fromtimestamp(time.time(), DAY_ZONE).date())
        kept = card.meters.get(model)
        day, count = (kept.day, kept.rpd) if kept else (None, 0)
        meter = super()._meter(card, model)
        if len(self._days) > 2 and day is not None:
            meter.rpd = count
        return meter


class WinterAllYear(RichManager):
    """The offset of the zone is a constant."""

    def _today(self):
        return datetime.fromtimestamp(time.time(), STANDARD).date().isoformat()


class DaysOf24Hours(PoorManager):
    """A day ends 24 hours after the last midnight before its first call."""

    def _meter(self, card, model):
        kept, now = card.meters.get(model), time.time()
        day, count = (kept.day, kept.rpd) if kept else (None, 0)
        meter = super()._meter(card, model)
        began = self.__dict__.setdefault("_began", {})
        start = began.get((id(card), model))
        if start is None or now - start >= 86_400:
            midnight = datetime.fromtimestamp(now, DAY_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
            began[id(card), model] = midnight.timestamp()
            meter.rpd = 0
        elif day is not None:
            meter.rpd = count
        return meter


class OnlyTheJobResets(SqliteManager):
    """A count of the day is of whatever day; a new instance asks whether there was a midnight since its own opening."""

    def __init__(self, pool):
        super().__init__(pool)
        self._opened_on = self._today()

    def _today(self):
        return datetime.fromtimestamp(time.time(), DAY_ZONE).date()

    def _used(self, cell):
        minute, _, rpm, tpm, rpd = self._rows.execute(READ, cell).fetchone() or (0, "", 0, 0, 0)
        now = minute == cell["minute"]
        return {"rpm": rpm * now, "tpm": tpm * now, "rpd": rpd * (self._today() == self._opened_on)}


class ResetAtEachOpening(AsyncSqliteManager):
    """What was counted today is zeroed when an instance is opened."""

    def __init__(self, pool):
        super().__init__(pool)
        self._rows.execute("UPDATE used SET rpd = 0")


class EndsInTheFuture(RichManager):
    """A window has ended when its minute is smaller than that of now."""

    def _current(self, tally):
        current = super()._current(tally)
        if tally.minute > self._minute():
            return replace(current, minute=tally.minute, requests=tally.requests, tokens=tally.tokens)
        return current


class DifferenceBelowZero(PoorManager):
    """A difference of times below zero is an error of its own."""

    def _meter(self, card, model):
        opened = card.meters[model].opened if model in card.meters else None
        if opened is not None and time.time() < opened:
            message = "time goes backwards"
            raise ArithmeticError(message)
        return super()._meter(card, model)


class ExpiryRenewed(PoorManager):
    """Each report sets the beginning of the window anew."""

    def _open_meter(self, card, model):
        meter = super()._open_meter(card, model)
        meter.opened = time.time()
        return meter


class MarkRenewedByLooking(RichManager):
    """A mark that is met when a key is looked for is set anew."""

    async def _usable(self, pool, key, model):
        usable = await super()._usable(pool, key, model)
        tally = await self._tally(pool, key, model)
        if tally.marked >= 0 and not usable:
            await self._mark(pool, key, model)
            self._until = self.__dict__.setdefault("_until", {})
            self._until[pool, key, model] = time.time() + 60
        return usable and time.time() >= self.__dict__.get("_until", {}).get((pool, key, model), 0)


class StatusCountsAsACall(RichManager):
    """Reading the usage counts as a request."""

    async def _usage(self, pool, key, model):
        told = await super()._usage(pool, key, model)
        if key in self._keys[pool]:
            await self._count(pool, key, self._resolve(model), 0)
        return told


class ReadingEndsTheWindow(PoorManager):
    """Reading the usage begins a new window."""

    async def get_usage_stats(self, api_key, model_name):
        told = await super().get_usage_stats(api_key, model_name)
        card = self._card(False, api_key)
        if card is not None:
            card.meters.pop(self._name(model_name), None)
        return told


class MinuteOfTheProcess(SqliteManager):
    """Stored is the number of the minute since the instance was opened, by monotonic time."""

    def __init__(self, pool):
        super().__init__(pool)
        self._began = time.monotonic()

    def _cell(self, vertex, key, model, tokens=0):
        cell = super()._cell(vertex, key, model, tokens)
        return {**cell, "minute": int((time.monotonic() - self._began) // 60)}


class NoNewMinuteAfterRestart(AsyncSqliteManager):
    """What was there when an instance is opened counts as long as it is open."""

    def __init__(self, pool):
        super().__init__(pool)
        self._old = {row[:3]: row[3:] for row in self._rows.execute("SELECT pool, key, model, rpm, tpm FROM used")}

    def _used(self, cell):
        used = super()._used(cell)
        rpm, tpm = self._old.get((cell["pool"], cell["key"], cell["model"]), (0, 0))
        return {**used, "rpm": max(rpm, used["rpm"]), "tpm": max(tpm, used["tpm"])}


class Stepwise(PoorManager):
    """Sound: each further 429 keeps a key out for the next step."""

    policies = Policies(quota_recovery=STEPS)

    def __init__(self, pool):
        super().__init__(pool)
        self._marks = {}

    def _step(self, count):
        return STEPS[min(count, len(STEPS)) - 1]

    def _usable(self, card, model):
        count, at = self._marks.get((id(card), model), (0, 0.0))
        out = count and time.monotonic() - at < self._step(count)
        return not out and super()._usable(card, model)

    def _blame(self, card, model, status):
        if status != 429:
            super()._blame(card, model, status)
            return
        count, _ = self._marks.get((id(card), model), (0, 0.0))
        self._marks[id(card), model] = count + 1, time.monotonic()


class AlwaysTheFirstStep(Stepwise):
    """The first step is used for each 429."""

    def _step(self, count):
        return STEPS[0]


class StepsRunOut(Stepwise):
    """After the last step the first comes again."""

    def _step(self, count):
        return STEPS[(count - 1) % len(STEPS)]


MUTANTS = (
    planted("TIME01", MarksStay),
    planted("TIME01", DayGoesWithTheMinute),
    planted("TIME01", MinuteOfTheHour),
    planted("TIME02", DayOfUtc),
    planted("TIME02", DayOfTheMonth),
    planted("TIME02", OneNightOnly),
    planted("TIME03", WinterAllYear),
    planted("TIME03", DaysOf24Hours),
    planted("TIME04", OnlyTheJobResets),
    planted("TIME04", ResetAtEachOpening),
    planted("TIME05", EndsInTheFuture),
    planted("TIME05", DifferenceBelowZero),
    planted("TIME06", MarkRenewedByLooking),
    planted("TIME06", ExpiryRenewed),
    planted("TIME07", StatusCountsAsACall),
    planted("TIME07", ReadingEndsTheWindow),
    planted("TIME08", MinuteOfTheProcess),
    planted("TIME08", NoNewMinuteAfterRestart),
    planted("TIME09", AlwaysTheFirstStep),
    planted("TIME09", StepsRunOut),
)
