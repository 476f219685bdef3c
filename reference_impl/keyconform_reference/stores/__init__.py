"""Where the state of the keys is kept."""

from .memory import MemoryStore
from .protocol import Roster, Row, Rules, Standing, Store

__all__ = ["MemoryStore", "Roster", "Row", "Rules", "Standing", "Store"]
