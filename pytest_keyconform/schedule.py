"""A schedule: which of several ready tasks ran at each choice point, as deviations from a base policy."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass


class Base(enum.Enum):
    """What runs where a schedule says nothing: the current task until it blocks, or the one ready longest."""

    RUN = "r"
    FIFO = "f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A base policy and the choice points that deviate from it.

    ``deviations`` are (choice point, index among the ready), in order. From choice point ``fair_from`` on the one
    ready longest runs, so that a task that never finishes under it is a livelock and no starvation.
    """

    base: Base = Base.RUN
    deviations: tuple[tuple[int, int], ...] = ()
    fair_from: int | None = None

    def __str__(self) -> str:
        """Write it in the short form that `parse` reads: ``r3-1.7-0`` or ``f2-1~9``."""
        moves = ".".join(f"{point}-{index}" for point, index in self.deviations)
        return f"{self.base.value}{moves}{'' if self.fair_from is None else f'~{self.fair_from}'}"

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read the short form; raises ValueError for anything else."""
        match = re.fullmatch(r"([rf])((?:\d+-\d+(?:\.\d+-\d+)*)?)(?:~(\d+))?", text)
        if match is None:
            message = f"{text!r} is no schedule"
            raise ValueError(message)
        base, moves, fair = match.groups()
        pairs = (move.split("-") for move in moves.split(".") if move)
        return cls(
            base=Base(base),
            deviations=tuple((int(point), int(index)) for point, index in pairs),
            fair_from=None if fair is None else int(fair),
        )
