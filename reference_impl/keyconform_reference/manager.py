"""The key manager: acquires, reports, leases, lifecycle. Views and repairs are in ``administration``."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar, cast

from .administration import Administration
from .calling import called
from .desk import Desk, roster_of
from .keys import Pool
from .options import Options
from .reports import Failure, Lease, Outcome
from .stores import MemoryStore
from .streaming import relayed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping

    from .limits import LimitsLike
    from .source import LimitsSource
    from .stores import Rules, Store
    from .streaming import Ask

T = TypeVar("T")


class KeyManager(Administration):
    """Hands out API keys of two pools, within the limits of each model, and hears how the calls went.

    ``await init()`` before use. One event loop at a time may use it. Methods that take a model accept None or
    ``""`` for the default one; a key or a number that means nothing raises ``InvalidInputError`` and changes
    nothing; every method but ``health`` and ``shutdown`` raises ``NotOpenError`` while the manager is not
    open.

        manager = KeyManager(["key one", "key two"], limits={"m1": Limits(rpm=10)}, default_model="m1")
        await manager.init()
        key = await manager.get_key("m1")
        await manager.update_usage("m1", key, tokens_used=120)
    """

    def __init__(  # noqa: PLR0913 - keyword-only, one for each thing a deployment configures
        self,
        api_keys: Iterable[str] = (),
        vertex_api_keys: Iterable[str] = (),
        *,
        limits: Mapping[str, LimitsLike] | None = None,
        default_model: str = "default",
        options: Options | None = None,
        max_failures: int = 3,
        max_retries: int = 3,
        paid_key: str = "",
        store: Callable[[Rules], Store] = MemoryStore,
        source: LimitsSource | None = None,
    ) -> None:
        self._roster = roster_of(api_keys, vertex_api_keys)
        self._paid_key = paid_key
        self._bare: dict[tuple[Pool, str], Lease] = {}
        self._source = source
        self._defaults = dict(limits or {})
        self._opening = asyncio.Lock()
        self._desk = Desk(
            limits=self._defaults,
            default_model=default_model,
            options=options or Options(),
            max_failures=max_failures,
            max_retries=max_retries,
            store=store,
        )

    async def init(self) -> None:
        """Open, or raise ``ConfigurationError``; opening again changes nothing (000-12, 000-26)."""
        async with self._opening:  # two at once would ask the source twice
            if self._desk.is_open:
                return
            if self._source is not None:
                self._desk.rule_by(await self._source.limits(self._defaults))
            await self._desk.open(self._roster)

    async def shutdown(self) -> None:
        """Close; closing again is harmless. Waiting calls end, later ones raise (000-23, 004-4)."""
        await self._desk.close()

    async def reinitialize(self, api_keys: Iterable[str], vertex_api_keys: Iterable[str]) -> None:
        """Serve exactly these keys from now on; surviving ones follow ``Options.reload`` (000-5).

        Raises ``ConfigurationError`` and goes on with the old ones if they are refused.
        """
        self._desk.require_open()
        roster = roster_of(api_keys, vertex_api_keys)
        await self._desk.replace(roster)
        self._roster = roster
        served = {*roster.regular, *roster.vertex}
        self._bare = {at: lease for at, lease in self._bare.items() if lease.key in served}

    async def update_keys(
        self, api_keys: Iterable[str] | None = None, vertex_api_keys: Iterable[str] | None = None
    ) -> None:
        """Reload if a list is given and differs from the live one; None keeps a list (000-5, 000-21)."""
        self._desk.require_open()
        live = self._roster
        regular = live.regular if api_keys is None else api_keys
        roster = roster_of(regular, live.vertex if vertex_api_keys is None else vertex_api_keys)
        if roster != live:
            await self.reinitialize(roster.regular, roster.vertex)

    # Acquires ---------------------------------------------------------------------------------------------

    async def get_key(self, model_name: str | None = None, is_vertex_key: bool = False) -> str:
        """Return a usable key of the pool, or what ``Options.exhaustion`` says (000-2, 000-3).

        The answer is a ``str``; it is None only where ``Options.sentinel`` is.
        """
        return await self._acquire(Pool.of(vertex=is_vertex_key), model_name)

    async def get_next_working_key(self, model_name: str | None = None) -> str:
        """Return a usable regular key: ``get_key`` under its v1 name (000-18, 000-31)."""
        return await self._acquire(Pool.REGULAR, model_name)

    async def get_next_working_vertex_key(self, model_name: str | None = None) -> str:
        """Return a usable vertex key, with a model and without (000-2, 000-17)."""
        return await self._acquire(Pool.VERTEX, model_name)

    async def get_first_valid_key(self) -> str:
        """Return a usable regular key for the default model."""
        return await self._acquire(Pool.REGULAR, None)

    async def get_random_valid_key(self, model_name: str | None = None) -> str:
        """Return any usable regular key, each as likely (000-7)."""
        return await self._acquire(Pool.REGULAR, model_name, draw=True)

    async def get_next_key(self, is_vertex_key: bool = False) -> str:
        """Return the next key of the rotation, usable or not; an empty pool is exhausted (004-1, 000-20)."""
        self._desk.require_open()
        key = await self._desk.next_key(Pool.of(vertex=is_vertex_key))
        return self._sentinel if key is None else key

    async def get_next_vertex_key(self) -> str:
        """Return the next vertex key of the plain rotation."""
        return await self.get_next_key(is_vertex_key=True)

    async def get_paid_key(self) -> str:
        """Return the paid key, which no pool holds."""
        self._desk.require_open()
        return self._paid_key

    # Leases -----------------------------------------------------------------------------------------------

    async def acquire_lease(self, model_name: str | None = None, is_vertex_key: bool = False) -> Lease | None:
        """Return a lease on a usable key, or None for the sentinel; see ``Options.tenure`` (004-1)."""
        self._desk.require_open()
        model = self._desk.models.resolve(model_name)
        return await self._desk.acquire(Pool.of(vertex=is_vertex_key), model)

    async def release(self, lease: Lease | str, is_vertex_key: bool = False) -> bool:
        """Give a lease back; False if it was over: given back before, expired, or of another holder.

        A key that was handed out as a bare ``str`` is given back by its name, with its pool.
        """
        self._desk.require_open()
        if isinstance(lease, str):
            bare = self._bare.pop((Pool.of(vertex=is_vertex_key), lease), None)
            return bare is not None and await self._desk.release(bare)
        return await self._desk.release(lease)

    @contextlib.asynccontextmanager
    async def lease(self, model_name: str | None = None, is_vertex_key: bool = False) -> AsyncIterator[str]:
        """Hold a key for the block: ``async with manager.lease(model) as key``."""
        lease = await self.acquire_lease(model_name, is_vertex_key)
        try:
            yield self._sentinel if lease is None else lease.key
        finally:
            # A manager closed meanwhile has nothing to give back to.
            if lease is not None and self._desk.is_open:
                await self._desk.release(lease)

    async def stream(
        self, model_name: str | None = None, is_vertex_key: bool = False, *, ask: Ask
    ) -> AsyncGenerator[str, None]:
        """Pass on what ``ask(key, model)`` yields: ``async for chunk in manager.stream(model, ask=ask)`` (002-C3).

        Until the first chunk has come an ``UpstreamError`` has another key tried, at most ``max_retries`` times;
        then it comes out. Each request is counted once, also where the consumer leaves, and its failure charged to
        its key. Raises ``NoUsableKeyError`` where there is no key.
        """
        self._desk.require_open()
        async with contextlib.aclosing(relayed(self._desk, Pool.of(vertex=is_vertex_key), model_name, ask)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def call(
        self, send: Callable[[str], Awaitable[T]], model_name: str | None = None, is_vertex_key: bool = False
    ) -> T:
        """Return what ``await send(key)`` answers, trying one key after the other (000-28, 004-2).

        ``send`` raises ``UpstreamError`` where the provider refuses; that is charged to the key, and after
        ``max_retries``, or with no other key to try, raised. Anything else it raises comes out at once and is
        nobody's fault (004-3). Raises ``NoUsableKeyError`` without a key, ``TimeoutError`` after
        ``Options.deadline`` seconds.
        """
        self._desk.require_open()
        return await called(self._desk, Pool.of(vertex=is_vertex_key), model_name, send)

    # Reports ----------------------------------------------------------------------------------------------

    async def update_usage(  # noqa: PLR0913 - the audited signature, and the lease
        self,
        model_name: str | None,
        key_value: str,
        is_vertex_key: bool = False,
        tokens_used: int = 0,
        error: bool = False,
        error_type: str | None = None,
        *,
        lease: Lease | None = None,
    ) -> bool:
        """Record a call and ``tokens_used``; True exactly if it was stored (000-4, 000-29, 002-C1).

        With ``error``, ``error_type`` "429" marks the key for the model and "permanent" takes it out.
        ``lease`` says whose report it is where reports end leases. A key of no pool answers False
        (``Options.unknown_key``).
        """
        self._desk.require_open()
        outcome = Outcome.of_record(error=error, error_type=error_type)
        pool, token = Pool.of(vertex=is_vertex_key), None if lease is None else lease.token
        return await self._desk.record(pool, model_name, key_value, tokens=tokens_used, outcome=outcome, token=token)

    async def handle_api_failure(  # noqa: PLR0913 - the audited signature, and what is told beside it
        self,
        api_key: str,
        model_name: str | None,
        retries: int,
        is_vertex_key: bool = False,
        status_code: int | None = None,
        *,
        retry_after: float | None = None,
        lease: Lease | None = None,
    ) -> str:
        """Record a failed call and return another usable key (000-1, 000-8, 000-28).

        The sentinel if ``retries`` has reached ``max_retries``; where nothing is usable,
        ``Options.exhaustion``. ``status_code`` None is a time-out or unknown; ``retry_after`` are the seconds
        the provider asks for.
        """
        pool, failure = Pool.of(vertex=is_vertex_key), Failure(retries, status_code, retry_after)
        return await self._fail(pool, model_name, api_key, failure, lease)

    async def handle_vertex_api_failure(
        self, api_key: str, retries: int, model_name: str | None = None, status_code: int | None = None
    ) -> str:
        """Record a failed call of a vertex key and return another one of that pool (000-8)."""
        return await self._fail(Pool.VERTEX, model_name, api_key, Failure(retries, status_code))

    async def _fail(
        self, pool: Pool, model_name: str | None, key: str, failure: Failure, lease: Lease | None = None
    ) -> str:
        self._desk.require_open()
        token = None if lease is None else lease.token
        return self._bare_key(await self._desk.fail(pool, model_name, key, failure=failure, token=token))

    async def _acquire(self, pool: Pool, model_name: str | None, *, draw: bool = False) -> str:
        self._desk.require_open()
        lease = await self._desk.acquire(pool, self._desk.models.resolve(model_name), draw=draw)
        return self._bare_key(lease)

    def _bare_key(self, lease: Lease | None) -> str:
        if lease is None:
            return self._sentinel
        if self._desk.options.tenure == "lease":
            self._bare[lease.pool, lease.key] = lease
        return lease.key

    @property
    def _sentinel(self) -> str:
        # Callers are typed str since v1; None is the explicit choice of the options, and said in the
        # docstrings.
        return cast("str", self._desk.options.sentinel)
