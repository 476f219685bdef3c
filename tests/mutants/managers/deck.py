"""What `PoorManager` deals from: mutable cards, one for each key, in the order they are to be served."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class Meter:
    """Usage of one key with one model. A minute begins with its first report; a 429 mark ends with it."""

    opened: float | None = None
    rpm: int = 0
    tpm: int = 0
    marked: bool = False
    day: object = None
    rpd: int = 0


@dataclass
class Card:
    """One key of one pool."""

    key: str = field(repr=False)
    strikes: int = 0
    out: bool = False
    meters: dict[str, Meter] = field(default_factory=dict)


class Deck:
    """One pool: its cards by key, and for each model the order in which they are dealt, next one first."""

    def __init__(self, keys):
        self.cards = {key: Card(key) for key in keys}
        self._orders = {}
        self.rotation = deque(self.cards)

    def order(self, model):
        return self._orders.setdefault(model, deque(self.cards))

    def dealt(self, model, key):
        """Put a key that was served to the end."""
        order = self.order(model)
        order.remove(key)
        order.append(key)

    def exchange(self, keys):
        """Become the pool of these keys; cards of those that stay are kept."""
        self.cards = {key: self.cards.get(key) or Card(key) for key in keys}
        self._orders = {}
        self.rotation = deque(self.cards)
