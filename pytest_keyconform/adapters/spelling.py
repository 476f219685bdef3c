"""Spelling a call as a script would make it: the method it reached, and what that was passed."""

from __future__ import annotations

import inspect
import math
import re
from typing import TYPE_CHECKING, Final

from pytest_keyconform.adapters.audited import method_of
from pytest_keyconform.adapters.base import Lease
from pytest_keyconform.operation import Opaque

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_keyconform.adapters.connection import Connection
    from pytest_keyconform.adapters.keys import Keyring

_LONGEST: Final = 200  # characters of one value
_PLAIN: Final = (str, int, float, type(None))


class Unspelled(Exception):
    """No script can pass this value."""


class Spelling:
    """Makes one call on a connection and keeps its spelling: ``code``, "" where no script can make the call.

    ``answers`` are earlier answers by name. ``awaited`` tells that the call answered an awaitable.
    """

    def __init__(self, connection: Connection, keyring: Keyring, answers: Mapping[str, object]) -> None:
        self._connection = connection
        self._keyring = keyring
        self._answers = answers
        self.code = ""
        self.awaited = False

    def __call__(self, name: str, arguments: dict[str, object]) -> object:
        """Call as `Connection.invoke` does."""
        method, placed, named = self._connection.prepared(name, arguments)
        try:
            passed = [*map(self._text, placed), *(f"{key}={self._text(value)}" for key, value in named.items())]
            self.code = f"{self._owner(method)}({', '.join(passed)})"
        except Unspelled:
            self.code = ""
        answer = method(*placed, **named)
        self.awaited = inspect.isawaitable(answer)
        return answer

    def _owner(self, method: object) -> str:
        """Answer how a script reaches a method; raises `Unspelled` where it is none of the manager's."""
        name = str(getattr(method, "__name__", ""))
        if name.isidentifier() and method_of(self._connection.manager, name) == method:
            return f"manager.{name}"
        raise Unspelled

    def _text(self, value: object) -> str:
        if isinstance(value, list):
            return f"[{', '.join(map(self._text, value))}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{self._text(name)}: {self._text(item)}' for name, item in value.items())}}}"
        if type(value) not in _PLAIN and not isinstance(value, bool):
            return self._name(value)
        shown = self._keyring.conceal(value)
        text = repr(shown) if not isinstance(shown, float) or math.isfinite(shown) else f'float("{shown}")'
        if isinstance(shown, Opaque) or len(text) > _LONGEST:
            raise Unspelled
        return text

    def _name(self, value: object) -> str:
        """Answer the name of an earlier answer that is passed on as it was given, else a lease of a key."""
        for name, answer in self._answers.items():
            if answer is value:
                return variable(name)
        if isinstance(value, Lease):
            return f"Lease({self._text(value.key)})"
        raise Unspelled


def variable(name: str) -> str:
    """Answer the name that a script has for an answer."""
    return re.sub(r"\W", "_", name) if not name[:1].isdigit() else f"_{name}"
