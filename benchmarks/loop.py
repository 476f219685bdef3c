"""How many executions a second the controlled loop runs, against asyncio in the same run: 3 tasks of 4 awaits.

Run it as ``python benchmarks/loop.py``; it fails where the loop by itself is not `GOAL` times `asyncio.run`.
"""

import asyncio
import gc
import random
from collections.abc import Callable
from time import perf_counter, process_time

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop
from pytest_keyconform.engine.search import Scheduler
from pytest_keyconform.engine.search.bounded import Bounded
from pytest_keyconform.engine.search.pct import PriorityWalk
from pytest_keyconform.engine.search.portfolio import Portfolio
from pytest_keyconform.engine.search.random import RandomWalk

TASKS, AWAITS, ROUNDS, GOAL = 3, 4, 12, 3.0
BATCH = 500  # executions of one measurement


async def client() -> None:
    """Give the turn away as often as agreed."""
    for _ in range(AWAITS):
        await asyncio.sleep(0)


async def program() -> None:
    """Run the clients together, as the task engine does."""
    await asyncio.wait([asyncio.ensure_future(client()) for _ in range(TASKS)])


async def explored(loop: ControlledLoop) -> None:
    """Run the program with the chooser at work."""
    loop.exploring = True
    await program()


def searched(scheduler: Scheduler) -> Callable[[], object]:
    """Answer what runs one execution under a strategy."""
    clock = VirtualClock()

    def once() -> None:
        assert scheduler.begin()
        clock.reset()
        loop = ControlledLoop(clock)
        loop.run(explored(loop), scheduler.choose)

    return once


def in_asyncio() -> None:
    """Run one execution in asyncio."""
    asyncio.run(program())


def fifo() -> None:
    """Run one execution in the controlled loop without a chooser."""
    ControlledLoop(VirtualClock()).run(program())


def rate(once: Callable[[], object]) -> float:
    """Measure executions a second of the processor, whatever else the machine does."""
    gc.collect()
    started = process_time()
    for _ in range(BATCH):
        once()
    return BATCH / (process_time() - started)


def best(makers: dict[str, Callable[[], Callable[[], object]]]) -> dict[str, float]:
    """Measure all in turn, several times over, so that a busy machine is busy for all; answer the best of each."""
    found = dict.fromkeys(makers, 0.0)
    for _ in range(ROUNDS):
        for name in random.Random(0).sample(list(makers), len(makers)):
            found[name] = max(found[name], rate(makers[name]()))
    return found


def entry() -> tuple[float, float]:
    """Measure entering and leaving the clock, in seconds: the first time, and the best of ten more."""
    spans = []
    for _ in range(11):
        started = perf_counter()
        with VirtualClock():
            pass
        spans.append(perf_counter() - started)
    return spans[0], min(spans[1:])


def main() -> None:
    """Print the rates."""
    figures = best(
        {
            "asyncio.run": lambda: in_asyncio,
            "controlled, FIFO": lambda: fifo,
            "controlled, bounded": lambda: searched(Bounded()),
            "controlled, random walk": lambda: searched(RandomWalk(0)),
            "controlled, PCT": lambda: searched(PriorityWalk(0)),
            "controlled, portfolio": lambda: searched(Portfolio(seed=0, budget=BATCH)),
        }
    )
    base = figures["asyncio.run"]
    for name, figure in figures.items():
        print(f"{name:25} {figure:9.0f} executions a second  {figure / base:5.1f} x")
    first, again = entry()
    print(f"entering the clock        {first * 1e3:9.1f} ms the first time, {again * 1e3:.1f} ms again")
    assert figures["controlled, FIFO"] >= GOAL * base


if __name__ == "__main__":
    main()
