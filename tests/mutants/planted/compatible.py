"""Planted bugs of FMT09."""

from __future__ import annotations

import warnings

from managers.poor import PoorManager
from managers.rich import RichManager

from planted.registry import planted


class WarnsOfItself(RichManager):
    """The warning about an old form names a line of its own."""

    async def get_next_key(self, is_vertex_key=False):
        warnings.warn("use get_key", DeprecationWarning, stacklevel=1)
        return await super().get_next_key(is_vertex_key)


class WarnsOfTheFuture(PoorManager):
    """An old form warns of the future, which everybody is shown."""

    async def get_next_key(self, is_vertex_key=False):
        warnings.warn("use get_key", FutureWarning, stacklevel=2)
        return await super().get_next_key(is_vertex_key)


class NewParameterNeeded(PoorManager):
    """A new parameter has no default."""

    async def get_key(self, model_name, is_vertex_key, reason):
        return await super().get_key(model_name, is_vertex_key)


MUTANTS = (
    planted("FMT09", WarnsOfItself),
    planted("FMT09", WarnsOfTheFuture),
    planted("FMT09", NewParameterNeeded),
)
