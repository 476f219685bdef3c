"""``Store`` in Redis: each step is one script, and so one round trip and one moment.

A call that is cancelled after it was sent waits for its answer, and one that took a key gives it back: the server
cannot be told to stop. The time is the caller's wall clock, as in every store, so that it can be set in tests, and so
that windows of a zone are those of Python's database; the script never lets it run backwards for a caller that is
slightly behind.
"""

from __future__ import annotations

import functools
import hashlib
import math
import random
import time
from typing import TYPE_CHECKING, Any

from keyconform_reference.errors import ConfigurationError, StoreError
from keyconform_reference.limits import Limits
from keyconform_reference.reports import Lease
from keyconform_reference.stores.protocol import Standing
from keyconform_reference.tallies import MINUTE

from .client import Script, ScriptClient, SetBack
from .script import script_of, settings_of
from .wording import LETTERS, flags_of, numbers, rows_of, text, told, usage_row, words_of_roster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keyconform_reference.keys import Pool
    from keyconform_reference.limits import Model
    from keyconform_reference.reports import Carried, Effects
    from keyconform_reference.stores.protocol import Roster, Row, Rules

    from .client import Undo

ANSWERING = 2.0
_MOST = 2**53
"""The tokens of one report that are kept exactly: numbers in scripts are doubles."""
_LONGEST_NAP = 0.25
"""Seconds after which a waiting acquire asks again: a key may have come free through another process."""


def redis_store(url: str, *, name: str = "default", seconds: float = ANSWERING) -> Callable[[Rules], RedisStore]:
    """Return what ``KeyManager(store=...)`` takes: managers of one ``name`` share their keys and counts.

    ``seconds`` is how long one step may take before it raises ``StoreError``. Raises ``ConfigurationError`` for a name
    with braces, which mark the Cluster slot.
    """
    if not name or "{" in name or "}" in name:
        message = f"the name of a store must be a text without braces, not {name!r}"
        raise ConfigurationError(message)
    return functools.partial(RedisStore, url=url, name=name, seconds=seconds)


class RedisStore:
    """A ``Store`` in Redis; see ``protocol.Store`` for what each step does."""

    def __init__(self, rules: Rules, *, url: str, name: str, seconds: float = ANSWERING) -> None:
        self._rules = rules
        self._make = functools.partial(ScriptClient, url, f"keyconform:{{{name}}}", seconds)
        self._scripts: dict[str, Script] = {}
        self._client: ScriptClient | None = None
        self._last = (-math.inf, -math.inf)
        self._lanes: dict[str, tuple[bytes, ...]] = {}

    async def open(self, roster: Roster) -> None:
        """Serve these keys; where other managers serve them already, nothing changes."""
        if self._client is None:
            self._client = self._make()
        settings = hashlib.sha256(repr(sorted(settings_of(self._rules).items())).encode()).hexdigest()
        try:
            await self._run("open", settings.encode(), *words_of_roster(roster), *self._configured())
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connections; what was counted stays in Redis."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def healthy(self) -> bool:
        """Tell whether Redis takes writes."""
        await self._run("ping")
        return True

    async def take(self, pool: Pool, model: Model, *, avoid: str | None = None, draw: bool = False) -> Lease | None:
        """Choose a usable key; in logarithmic time, but for the first one of a minute under least-used or most-left."""
        chance = draw or self._rules.options.selection == "random"
        # The script has no chance of its own: Redis seeds it anew for every call.
        drawn = repr(random.random()).encode() if chance else b""  # noqa: S311 - spreads load; it keeps no secret
        return await self._taken("take", pool, model, text(avoid or ""), drawn)

    async def take_any(self, pool: Pool, model: Model, *, avoid: str | None = None) -> Lease | None:
        """Choose the next key of the rotation that is not held."""
        return await self._taken("take_any", pool, model, text(avoid or ""))

    async def next_key(self, pool: Pool) -> str | None:
        """Return the next key, usable or not (000-7)."""
        key = await self._run("next_key", LETTERS[pool])
        return None if key is None else told(key)

    async def give_back(self, lease: Lease) -> None:
        """Undo a ``take``."""
        lane = _lane_id(lease.model)
        await self._run("give_back", LETTERS[lease.pool], text(lease.key), lane, str(lease.token).encode())

    async def release(self, pool: Pool, key: str, token: int) -> bool:
        """End a lease; whoever lost it, or gave it back, frees nothing (004-1)."""
        return bool(await self._run("release", LETTERS[pool], text(key), str(token).encode()))

    async def apply(self, pool: Pool, key: str, model: Model, effects: Effects, token: int | None) -> bool:
        """Write down a report."""
        counts = numbers(effects.requests, min(effects.tokens, _MOST), effects.retry_after, token)
        words = (*self._lane(pool, model), text(key), flags_of(effects), counts)
        return bool(await self._run("apply", *words))

    async def carry(self, pool: Pool, key: str, model: Model, carried: Carried) -> bool:
        """Take over an earlier version's row."""
        counts = numbers(carried.requests, min(carried.tokens, _MOST), carried.daily)
        ends = numbers(carried.mark_until, carried.removed_until, carried.last_used)
        return bool(await self._run("carry", *self._lane(pool, model), text(key), counts + ends))

    async def restore(self, pool: Pool, key: str) -> bool:
        """Restore one key."""
        return bool(await self._run("restore", LETTERS[pool], text(key)))

    async def restore_all(self, pool: Pool) -> None:
        """Restore every key."""
        await self._run("restore_all", LETTERS[pool])

    async def lift_mark(self, pool: Pool, key: str, model: Model) -> bool:
        """Lift one mark."""
        lane = _lane_id(model.identity)
        return bool(await self._run("lift_mark", LETTERS[pool], text(key), lane))

    async def clear_usage(self) -> None:
        """Zero every counter; 429 marks stay, for they are the provider's word and not our count."""
        await self._run("clear_usage")

    async def replace(self, roster: Roster) -> None:
        """Serve other keys."""
        keep = b"1" if self._rules.options.reload == "preserve" else b""
        await self._run("replace", keep, *words_of_roster(roster), *self._configured())

    async def row(self, pool: Pool, key: str, model: Model) -> Row | None:
        """Return the usage of a key."""
        found = await self._run("row", LETTERS[pool], text(key), _lane_id(model.identity))
        if found is None:
            return None
        valid, use = found
        return usage_row(pool, key, model, self._limits(model), valid=bool(valid), use=use)

    async def rows(self) -> Sequence[Row]:
        """Return all usage."""
        known = {_lane_id(model.identity): model for model in self._rules.models}
        return rows_of(await self._run("rows"), known, self._limits)

    async def standing(self, pool: Pool, key: str) -> Standing | None:
        """Return how a key stands."""
        found = await self._run("standing", LETTERS[pool], text(key))
        return None if found is None else Standing(key, found[0], bool(found[1]))

    async def standings(self, pool: Pool) -> Sequence[Standing]:
        """Return how all keys stand."""
        keys, strikes, valid = await self._run("standings", LETTERS[pool])
        each = zip(keys, strikes.split(), valid, strict=True)
        return [Standing(told(key), int(count), ok == ord("1")) for key, count, ok in each]

    async def size(self, pool: Pool) -> int:
        """Return the number of keys."""
        return int(await self._run("size", LETTERS[pool]))

    async def comeback(self, pool: Pool, model: Model, *, draw: bool = False) -> float | None:
        """Return the time left to the end of the first wait, or to asking again, if that is sooner."""
        lane = _lane_id(model.identity)
        found = await self._run("comeback", LETTERS[pool], lane, b"1" if draw else b"")
        return _LONGEST_NAP if found is None else min(_LONGEST_NAP, float(found))

    async def sweep(self) -> None:
        """Drop the models that were added on the fly and have no effect any more (002-O2)."""
        await self._run("sweep", *self._configured())

    async def _taken(self, operation: str, pool: Pool, model: Model, *words: bytes) -> Lease | None:
        def lease(found: Any) -> Lease | None:  # noqa: ANN401 - what the script answers
            if found is None:
                return None
            key, token, until = found
            return Lease(told(key), pool, model.identity, token, float(until) if until else None)

        async def undo(found: Any) -> None:  # noqa: ANN401 - likewise
            taken = lease(found)
            if taken is not None:
                await self.give_back(taken)

        return lease(await self._run(operation, *self._lane(pool, model), *words, undo=undo))

    async def _run(self, operation: str, *words: bytes, undo: Undo | None = None) -> Any:  # noqa: ANN401 - the script's
        client = self._client
        if client is None:
            message = "the store is closed"
            raise StoreError(message)
        script, moment = self._script(operation), self._time()
        try:
            return await client.run(script, moment, *words, undo=undo)
        except SetBack:
            await client.run(self._script("shift"), moment)
            return await client.run(script, moment, *words, undo=undo)

    def _script(self, operation: str) -> Script:
        found = self._scripts.get(operation)
        if found is None:
            found = self._scripts[operation] = Script(script_of(operation, self._rules))
        return found

    def _time(self) -> bytes:
        """Return the wall time, what it would be had nobody set it back, and the day's ends."""
        now, steady = time.time(), time.monotonic()
        last, last_steady = self._last
        self._last = (now, steady)
        before = None
        if now < last:
            # See ``MemoryStore``: if the steady clock went back as well, a minute is taken for granted.
            before = last + (steady - last_steady if steady >= last_steady else MINUTE)
        return numbers(now, before, *self._rules.windows.day(now))

    def _lane(self, pool: Pool, model: Model) -> tuple[bytes, ...]:
        lane = self._lanes.get(model.identity)
        if lane is None:
            limits = numbers(model.limits.rpm, model.limits.tpm, model.limits.rpd)
            lane = (_lane_id(model.identity), limits + bytes([model.configured]), b"")
            if not model.configured:
                return (LETTERS[pool], *lane[:2], text(model.name))
            self._lanes[model.identity] = lane
        return (LETTERS[pool], *lane)

    def _configured(self) -> list[bytes]:
        return [_lane_id(model.identity) for model in self._rules.models]

    def _limits(self, model: Model) -> Limits:
        return Limits() if self._rules.options.counted_on == "none" else model.limits


@functools.lru_cache(maxsize=1024)
def _lane_id(identity: str) -> bytes:
    return hashlib.blake2b(text(identity), digest_size=12).hexdigest().encode()
