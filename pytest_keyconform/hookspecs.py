"""What other plugins and conftest files may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def pytest_keyconform_invariants() -> Iterable[type]:  # type: ignore[empty-body]  # a specification
    """Answer more subclasses of `Invariant`, to be judged after those of the catalogue; their ids must be new."""
