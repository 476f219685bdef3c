"""The one instance that a service shares: the only global state of this package is the slot here."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

from .errors import ProviderEmptyError
from .manager import KeyManager

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclasses.dataclass(slots=True)
class _Slot:
    """``earlier`` is the instance before a reset, closed: the next one takes over what it knows."""

    live: KeyManager | None = None
    earlier: KeyManager | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None
    lock: asyncio.Lock = dataclasses.field(default_factory=asyncio.Lock)

    def turn_to_running_loop(self) -> None:
        """Forget what belonged to a loop that is closed: nobody can use it any more."""
        loop = asyncio.get_running_loop()
        if self.loop is loop:
            return
        if self.loop is not None and self.loop.is_closed():
            self.live = self.earlier = None
        self.loop, self.lock = loop, asyncio.Lock()


_SLOT = _Slot()


async def get_key_manager_instance(
    api_keys: Iterable[str] | None = None,
    vertex_api_keys: Iterable[str] | None = None,
    **settings: Any,  # noqa: ANN401 - KeyManager's own, handed on as they are
) -> KeyManager:
    """Return the instance, open; the first call with keys builds it, once for many (000-21, 000-25).

    With keys other than the live ones the instance is reloaded (000-5). ``settings`` are ``KeyManager``'s
    keyword arguments and matter where an instance is built. Raises ``ProviderEmptyError`` without keys before
    the first.
    """
    _SLOT.turn_to_running_loop()
    async with _SLOT.lock:
        given = api_keys is not None or vertex_api_keys is not None
        if _SLOT.live is not None:
            await _SLOT.live.init()
            await _SLOT.live.update_keys(api_keys, vertex_api_keys)
        elif given:
            _SLOT.live = await _build(api_keys or (), vertex_api_keys or (), settings)
        else:
            raise ProviderEmptyError
        return _SLOT.live


async def reset_key_manager_instance() -> None:
    """Close the instance; the next one treats surviving keys as ``Options.reload`` says (000-5).

    Whoever still holds the closed one gets ``NotOpenError``, and the live pool once there is an instance
    again (000-6).
    """
    _SLOT.turn_to_running_loop()
    async with _SLOT.lock:
        if _SLOT.live is not None:
            _SLOT.earlier, _SLOT.live = _SLOT.live, None
            await _SLOT.earlier.shutdown()


async def _build(api_keys: Iterable[str], vertex_api_keys: Iterable[str], settings: dict[str, Any]) -> KeyManager:
    """Return an open manager; an object that could not be opened reaches nobody (000-12)."""
    earlier = _SLOT.earlier
    if earlier is None or settings not in ({}, _SLOT.settings):
        manager = KeyManager(api_keys, vertex_api_keys, **settings)
        await manager.init()
        _SLOT.settings = settings
        return manager
    await earlier.init()
    try:
        await earlier.reinitialize(api_keys, vertex_api_keys)
    except BaseException:
        await earlier.shutdown()
        raise
    return earlier
