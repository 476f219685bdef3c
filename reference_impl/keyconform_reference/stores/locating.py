"""From the URL of a store to what makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyconform_reference.errors import ConfigurationError

from .memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .protocol import Rules, Store

MEMORY = "memory:"
# By the scheme of its URL; each makes a store of this URL for the rules of a manager.
SCHEMES: Mapping[str, Callable[[str, Rules], Store]] = {
    "memory": lambda _url, rules: MemoryStore(rules),
}


def store_at(url: str) -> Callable[[Rules], Store]:
    """Return what makes the store at a URL, ``memory:`` or one of `SCHEMES`; raises ``ConfigurationError``."""
    scheme, colon, _ = url.partition(":")
    make = SCHEMES.get(scheme.partition("+")[0])
    if make is None or not colon:
        known = ", ".join(f"{name}:" for name in sorted(SCHEMES))
        message = f"expected the URL of a store ({known}), not one of the scheme {scheme!r}"
        raise ConfigurationError(message)
    return lambda rules: make(url, rules)
