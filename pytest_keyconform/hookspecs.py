"""What other plugins and conftest files may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_keyconform.catalogue.invariant import Invariant


def pytest_keyconform_invariants() -> Iterable[type[Invariant]]:  # type: ignore[empty-body]  # a specification
    """Answer more invariants, to be judged after those of the catalogue; their ids must be new."""
