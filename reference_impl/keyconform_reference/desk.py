"""The key manager behind its public names: what an acquire, a report and a reload are made of."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from .errors import ConfigurationError, InvalidInputError, NotOpenError, NoUsableKeyError, UnknownKeyError
from .keys import Pool, plain_keys, redact
from .limits import ModelTable
from .reports import effects_of_failure, effects_of_record
from .stores import Roster, Rules
from .waiting import WaitingLine
from .windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .limits import LimitsLike, Model
    from .options import Options
    from .reports import Effects, Failure, Lease, Outcome
    from .stores import Store

logger = logging.getLogger("keyconform_reference")


class Desk:
    """Opens, serves, hears reports and closes. Every method works on one pool and one resolved model."""

    def __init__(
        self,
        *,
        limits: Mapping[str, LimitsLike],
        default_model: str,
        options: Options,
        max_failures: int,
        max_retries: int,
        store: Callable[[Rules], Store],
    ) -> None:
        _check_count("max_failures", max_failures, least=1)
        _check_count("max_retries", max_retries, least=0)
        self.options = options
        self.max_retries = max_retries
        self.is_open = False
        self._default_model = default_model
        self._max_failures = max_failures
        self._make_store = store
        self._limits = dict(limits)
        self._furnish()

    def rule_by(self, limits: Mapping[str, LimitsLike]) -> None:
        """Go by these limits from the next opening on; what was counted is kept where they are the same as before."""
        if dict(limits) != self._limits:
            self._limits = dict(limits)
            self._furnish()

    def _furnish(self) -> None:
        self.models = ModelTable(self._limits, self._default_model, self.options)
        self.windows = Windows(self.options)
        self.store = self._make_store(Rules(self.options, self.windows, self.models.configured, self._max_failures))
        self._line = WaitingLine(self.store)

    async def open(self, roster: Roster) -> None:
        """Open the store on these keys; raises ``ConfigurationError`` where the options refuse them."""
        self.check(roster)
        await self.store.open(roster)
        self.is_open = True

    async def close(self) -> None:
        """Close the store and send everyone who waits home."""
        self.is_open = False
        self._line.send_home()
        await self.store.close()

    def check(self, roster: Roster) -> None:
        """Raise ``ConfigurationError`` for pools the options refuse, warn of empty ones (000-9, 000-20)."""
        both = set(roster.regular) & set(roster.vertex)
        if both and self.options.both_pools == "reject":
            message = f"{len(both)} keys are in both pools: {', '.join(sorted(map(redact, both)))}"
            raise ConfigurationError(message)
        if not roster and self.options.empty_pools == "refuse":
            message = "there is no key in either pool"
            raise ConfigurationError(message)
        if not roster:
            logger.warning("there is no key in either pool: nothing can be served")

    def require_open(self) -> None:
        """Raise ``NotOpenError`` unless the manager is open (000-6, 000-12)."""
        if not self.is_open:
            raise NotOpenError

    async def replace(self, roster: Roster) -> None:
        """Serve other keys; nothing has changed if they are refused (000-5)."""
        self.check(roster)
        await self.store.replace(roster)
        await self.heed_waiters()

    async def acquire(self, pool: Pool, model: Model, *, avoid: str | None = None, draw: bool = False) -> Lease | None:
        """Return a usable key, or what ``exhaustion`` says: None stands for the sentinel (000-3, 000-28)."""
        # Whoever waited longer is served first, also by a minute that ended just now.
        if self._line:
            await self._line.serve()
        lease = await self.store.take(pool, model, avoid=avoid, draw=draw)
        if lease is not None or self.options.exhaustion == "sentinel":
            return lease
        return await self._without_usable(pool, model, avoid=avoid, draw=draw)

    async def next_key(self, pool: Pool) -> str | None:
        """Return the next key of the plain rotation; an empty pool is answered as an exhausted one."""
        key = await self.store.next_key(pool)
        if key is None and self.options.exhaustion == "typed-error":
            raise NoUsableKeyError(pool, self.models.default.name)
        return key

    async def record(
        self,
        pool: Pool,
        model_name: str | None,
        key: str,
        *,
        tokens: int,
        outcome: Outcome,
        token: int | None,
    ) -> bool:
        """Write down a call that was made; True exactly if something was stored (000-4, 000-29)."""
        _check_key(key, empty=False)
        _check_count("tokens_used", tokens, least=0)
        model = self.models.resolve(model_name)
        effects = effects_of_record(outcome, tokens, self.options)
        return await self._report(pool, model, key, effects, token) and effects.stores

    async def fail(
        self,
        pool: Pool,
        model_name: str | None,
        key: str,
        *,
        failure: Failure,
        token: int | None,
    ) -> Lease | None:
        """Write down a failure and return a replacement; None stands for the sentinel (000-1, 000-30)."""
        _check_key(key, empty=True)
        _check_count("retries", failure.retries, least=None)
        effects = effects_of_failure(failure, self.options)
        model = self.models.resolve(model_name)
        await self._report(pool, model, key, effects, token)
        if failure.retries >= self.max_retries:
            return None
        return await self.acquire(pool, model, avoid=key)

    async def release(self, lease: Lease) -> bool:
        """End a lease; False if it was over."""
        released = await self.store.release(lease.pool, lease.key, lease.token)
        await self.heed_waiters()
        return released

    async def conclude(self, lease: Lease, model: Model, effects: Effects) -> None:
        """Write down a call and end its lease; a manager closed meanwhile has nothing to write to."""
        if self.is_open:
            await self._report(lease.pool, model, lease.key, effects, lease.token)
            await self.release(lease)

    async def heed_waiters(self) -> None:
        """Serve those who wait: something may have come free."""
        if self._line:
            await self._line.serve()

    async def is_healthy(self) -> bool:
        """Tell whether calls can be answered; never raises (003-B1)."""
        with contextlib.suppress(Exception):
            return self.is_open and await self.store.healthy()
        return False

    async def _report(self, pool: Pool, model: Model, key: str, effects: Effects, token: int | None) -> bool:
        known = await self.store.apply(pool, key, model, effects, token)
        if not known and self.options.unknown_key == "typed-error":
            raise UnknownKeyError(pool, redact(key))
        if known and effects.remove:
            logger.warning("the %s key %s was refused by the provider and is out of service", pool, redact(key))
        await self.heed_waiters()
        return known

    async def _without_usable(self, pool: Pool, model: Model, *, avoid: str | None, draw: bool) -> Lease | None:
        exhaustion = self.options.exhaustion
        if exhaustion == "typed-error":
            raise NoUsableKeyError(pool, model.name)
        if exhaustion == "fallback":
            return await self.store.take_any(pool, model, avoid=avoid)
        # Nobody can bring a key into an empty pool but a reload, and that is not worth a wait (000-20).
        if not await self.store.size(pool):
            return None
        seconds = self.options.deadline
        lease = await self._line.wait(pool, model, avoid=avoid, draw=draw, seconds=seconds)
        self.require_open()
        return lease


def roster_of(api_keys: Iterable[str], vertex_api_keys: Iterable[str]) -> Roster:
    """Return the keys of both pools, each once; raises ``ConfigurationError`` for what is no key."""
    return Roster(plain_keys(api_keys, "api_keys"), plain_keys(vertex_api_keys, "vertex_api_keys"))


def _check_key(key: object, *, empty: bool) -> None:
    if not isinstance(key, str) or not (key or empty):
        message = f"a key must be a {'' if empty else 'non-empty '}str, not {type(key).__name__}"
        raise InvalidInputError(message)


def _check_count(name: str, found: object, *, least: int | None) -> None:
    whole = isinstance(found, int) and not isinstance(found, bool)
    if not whole or (least is not None and isinstance(found, int) and found < least):
        message = f"{name} must be a whole number{'' if least is None else f' from {least}'}, not {found!r}"
        raise InvalidInputError(message)
