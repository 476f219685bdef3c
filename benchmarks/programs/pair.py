"""A program that clients run on shared state, and the pair of a faulty one and its sound twin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Worker: TypeAlias = Callable[[Any], Awaitable[None] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What every execution does: ``setup`` makes the state, each worker gets it, ``holds`` tells whether all is well.

    ``workers`` are coroutine functions (tasks) or functions (threads).
    """

    name: str
    setup: Callable[[], Any]
    workers: tuple[Worker, ...]
    holds: Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A faulty program, the sound twin, and how the fault shows: ``broken``, ``deadlock`` or ``livelock``."""

    name: str
    threads: bool
    shows: str
    faulty: Program
    sound: Program


def pair(
    name: str,
    *,
    faulty: tuple[Callable[[], Any], tuple[Worker, ...]],
    sound: tuple[Callable[[], Any], tuple[Worker, ...]],
    holds: Callable[[Any], bool],
    threads: bool,
    shows: str = "broken",
) -> Pair:
    """Make a pair; ``faulty`` and ``sound`` are setup and workers."""
    return Pair(
        name=name,
        threads=threads,
        shows=shows,
        faulty=Program(name=name, setup=faulty[0], workers=faulty[1], holds=holds),
        sound=Program(name=f"{name}-twin", setup=sound[0], workers=sound[1], holds=holds),
    )
