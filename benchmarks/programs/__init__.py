"""Small programs on shared state, each with one fault, and its sound twin: what engines are measured on."""

from __future__ import annotations

from programs import tasks, tasks_harder, threads, threads_harder
from programs.pair import Pair, Program

TOYS: tuple[Pair, ...] = (*tasks.PAIRS, *threads.PAIRS)
HARDER: tuple[Pair, ...] = (*tasks_harder.PAIRS, *threads_harder.PAIRS)

__all__ = ["HARDER", "TOYS", "Pair", "Program"]
