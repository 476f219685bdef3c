"""Where the state of the keys is kept."""

from .locating import MEMORY, store_at
from .memory import MemoryStore
from .protocol import Roster, Row, Rules, Standing, Store

__all__ = ["MEMORY", "MemoryStore", "Roster", "Row", "Rules", "Standing", "Store", "store_at"]
