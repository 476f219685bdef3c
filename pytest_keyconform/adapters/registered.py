"""The targets that are known by a name of their own: the reference, on each of its stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTERED: Final[Mapping[str, str]] = {
    "reference": "keyconform_reference:make_manager",
    "reference-lease": "keyconform_reference:make_lease_manager",
    "reference-sqlite": "keyconform_reference.embedded:make_manager",
    "reference-postgres": "keyconform_reference.servers.postgres:make_manager",
}
