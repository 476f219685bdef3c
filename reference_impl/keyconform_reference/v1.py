"""The manager under the names of v1, each of which warns, at the caller's line, of the one to use instead.

``from keyconform_reference.v1 import KeyManager`` is all that a caller of v1 has to change; the positional forms of its
call sites are taken as they are (000-1, 000-2, 000-8).
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from . import manager

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def _instead_of(method: Callable[P, R], name: str) -> Callable[P, R]:
    """Answer the method, which warns of its name when it is called: its caller is the next frame."""

    @functools.wraps(method)
    def warned(*arguments: P.args, **named: P.kwargs) -> R:
        message = f"KeyManager.{method.__name__} is of v1; use {name}"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return method(*arguments, **named)

    return warned


class KeyManager(manager.KeyManager):
    """A key manager for callers of v1: ``KeyManager(api_keys, vertex_api_keys)``."""

    get_next_working_key = _instead_of(manager.KeyManager.get_next_working_key, "get_key(model_name)")
    get_next_working_vertex_key = _instead_of(
        manager.KeyManager.get_next_working_vertex_key, "get_key(model_name, is_vertex_key=True)"
    )
    get_next_vertex_key = _instead_of(manager.KeyManager.get_next_vertex_key, "get_next_key(is_vertex_key=True)")
    get_first_valid_key = _instead_of(manager.KeyManager.get_first_valid_key, "get_key()")
    handle_vertex_api_failure = _instead_of(
        manager.KeyManager.handle_vertex_api_failure, "handle_api_failure(key, model_name, retries, is_vertex_key=True)"
    )
