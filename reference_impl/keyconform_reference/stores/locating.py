"""From the URL of a store to what makes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from keyconform_reference.errors import ConfigurationError

from .memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .protocol import Rules, Store

MEMORY = "memory:"
SPACE = "keyconform"
"""What state on a server is named after where the URL does not say."""


def _in_memory(_url: str) -> Callable[[Rules], Store]:
    return MemoryStore


def _sqlite(url: str) -> Callable[[Rules], Store]:
    """Return stores in a folder: ``sqlite:///folder`` from the root, ``sqlite:folder`` from here."""
    from keyconform_reference.embedded import store_in

    folder = unquote(urlsplit(url).path)
    if not folder:
        message = f"expected a folder, as in sqlite:///var/lib/keys, found none in {url!r}"
        raise ConfigurationError(message)
    return store_in(Path(folder))


def _postgres(url: str) -> Callable[[Rules], Store]:
    from keyconform_reference.servers.postgres import store_on

    bare, _, space = url.partition("#")
    return store_on(bare, space or SPACE)


def _redis(url: str) -> Callable[[Rules], Store]:
    from keyconform_reference.servers.redis import store_on

    bare, _, name = url.partition("#")
    return store_on(bare, name or SPACE)


# By the scheme of its URL; imported late, since each needs an extra of its own.
SCHEMES: Mapping[str, Callable[[str], Callable[[Rules], Store]]] = {
    "memory": _in_memory,
    "postgres": _postgres,
    "postgresql": _postgres,
    "redis": _redis,
    "rediss": _redis,
    "sqlite": _sqlite,
    "unix": _redis,
}


def store_at(url: str) -> Callable[[Rules], Store]:
    """Return what makes the store at a URL, of a scheme in `SCHEMES`; raises ``ConfigurationError``.

    State on a server that several deployments share is named by the URL's fragment: ``redis://host/0#team``.
    """
    scheme, colon, _ = url.partition(":")
    make = SCHEMES.get(scheme.partition("+")[0])
    if make is None or not colon:
        known = ", ".join(f"{name}:" for name in sorted(SCHEMES))
        message = f"expected the URL of a store ({known}), not one of the scheme {scheme!r}"
        raise ConfigurationError(message)
    return make(url)
