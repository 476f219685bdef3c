"""Names of settings as they are found in the field, made one; and which of them must not be shown.

A setting has one canonical name, in lower case with underscores between its words: ``maxRetries``, ``MAX_RETRIES`` and
``max-retries`` are ``max_retries`` (001-1, 001-2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[0-9]+")
_SECRET: Final = frozenset({"apikey", "credential", "credentials", "password", "secret", "token"})
_KEYS_OF: Final = frozenset({"api", "access", "auth", "private", "secret", "signing"})
HIDDEN: Final = "***"


def canonical(name: str) -> str:
    """Return the one name of a setting; acronyms are one word: ``HTTPTimeout`` is ``http_timeout``."""
    return "_".join(_WORD.findall(name)).lower()


class Settings:
    """Settings under their canonical names; whichever came last stands.

    Two spellings of one name that meet are one setting, however each splits its words: ``maxRPM`` and ``max_rpm``.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._names: dict[str, str] = {}

    def update(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Take these over, from the first to the last, and return all there are; doing it again changes nothing."""
        for name, value in settings.items():
            joined = re.sub(r"[\W_]+", "", name).lower()
            self._values[self._names.setdefault(joined, canonical(name))] = value
        return dict(self._values)


def is_secret(name: str) -> bool:
    """Tell whether a setting must not be shown, under whatever casing (001-9)."""
    words = canonical(name).split("_")
    if not _SECRET.isdisjoint(words):
        return True
    joined = "".join(words)
    named = any(word in joined for word in ("apikey", "secretkey", "accesskey", "privatekey"))
    return named or (words[-1] in ("key", "keys") and not _KEYS_OF.isdisjoint(words))


def redacted(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that may be written to a log."""
    return {name: HIDDEN if is_secret(name) else value for name, value in settings.items()}
