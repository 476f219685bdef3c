"""The engines on small faulty programs and their sound twins, beside frontrun in the same run.

``python benchmarks/engines.py [--docs] [--alarms N]``: prints a table; ``--docs`` writes docs/engines.md and
docs/engines.svg; ``--alarms`` runs every twin under N schedules and counts what is accused. frontrun is left out where
it is not installed (``pip install 'pytest-keyconform[bench]'``). Fails where a fault is missed or a twin accused.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import programs.tasks
import programs.tasks_harder
import programs.threads
import programs.threads_harder
from programs import HARDER, TOYS, Pair, Program

from pytest_keyconform.engine import clock as clocks
from pytest_keyconform.engine.open.on_tasks import TaskPrograms
from pytest_keyconform.engine.open.on_threads import ThreadPrograms
from pytest_keyconform.engine.open.program import Outcome, UserProgram
from pytest_keyconform.engine.search.portfolio import Portfolio
from pytest_keyconform.engine.search.random import RandomWalk
from pytest_keyconform.engine.search.replay import Replay
from pytest_keyconform.engine.threads.world import ThreadWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_keyconform.engine.search import Scheduler

ROOTS = [programs.tasks, programs.tasks_harder, programs.threads, programs.threads_harder]
DOCS = Path(__file__).parents[1] / "docs"
PEER = Path(__file__).with_name("engines_peer.py")
EXHAUSTING = 3000  # executions after which a twin counts as not exhausted


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search answered: True where it found the fault, how many executions and seconds it took."""

    found: bool
    executions: int
    seconds: float
    exhausted: bool = False
    replays: int = 0
    deviations: int = 0


def wrong(program: Program, outcome: Outcome) -> bool:
    """Tell whether an execution went wrong."""
    return outcome.stuck is not None or any(outcome.errors) or not program.holds(outcome.state)


class Bench:
    """Runs programs on the engines, in one world."""

    def __init__(self) -> None:
        self._clock = clocks.VirtualClock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._clock)
        world = self._stack.enter_context(ThreadWorld(self._clock, lambda: ROOTS))
        self._runners = {
            False: TaskPrograms(self._clock, max_steps=20_000),
            True: ThreadPrograms(self._clock, world, max_steps=20_000),
        }
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def ran(self, pair: Pair, program: Program, scheduler: Scheduler) -> bool:
        """Run one execution; tell whether it went wrong."""
        user = UserProgram(program.workers, program.setup)
        return wrong(program, self._runners[pair.threads].run(user, scheduler))

    def search(self, pair: Pair, program: Program, *, budget: int) -> Found:
        """Search with the portfolio, as the conformance run does."""
        scheduler = Portfolio(seed=0, budget=budget)
        count, begun = 0, clocks.real_perf_counter()
        found = False
        while not found and count < budget and scheduler.begin():
            count += 1
            found = self.ran(pair, program, scheduler)
        seconds = clocks.real_perf_counter() - begun
        if not found:
            return Found(found=False, executions=count, seconds=seconds, exhausted=scheduler.exhausted)
        schedule = scheduler.schedule()
        replay, replays = Replay(schedule, times=100), 0
        while replay.begin():
            replays += self.ran(pair, program, replay)
        deviations = len(schedule.deviations)
        return Found(found=True, executions=count, seconds=seconds, replays=replays, deviations=deviations)

    def alarms(self, pair: Pair, program: Program, count: int) -> int:
        """Run many random schedules of a program; answer how many went wrong."""
        walk = RandomWalk(1)
        return sum(self.ran(pair, program, walk) for _ in range(count) if walk.begin())


def peer() -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Answer what frontrun says of each program and twin; nothing where it is not installed."""
    command = shutil.which("frontrun", path=str(Path(sys.executable).parent)) or shutil.which("frontrun")
    if command is None:
        return {}
    done = subprocess.run([command, sys.executable, str(PEER)], capture_output=True, text=True, check=False)
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in done.stdout.splitlines():
        row = json.loads(line)
        rows.setdefault((row["name"], row["which"]), []).append(row)
    return rows


def best(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Answer the quickest of its strategies that found the fault."""
    found = [row for row in rows if row["answer"] is False]
    return min(found, key=lambda row: row["seconds"], default=None)


def table(alarms: int) -> Iterator[tuple[Pair, Found, Found, int, dict[str, Any] | None, dict[str, Any] | None]]:
    """Yield a row for each program: ours on the fault and on the twin, false alarms, the peer's on both."""
    theirs = peer()
    with Bench() as bench:
        for pair in (*TOYS, *HARDER):
            faulty = bench.search(pair, pair.faulty, budget=5000)
            sound = bench.search(pair, pair.sound, budget=EXHAUSTING)
            false = bench.alarms(pair, pair.sound, alarms)
            rows = theirs.get((pair.name, "sound"), [])
            exhausting = next((row for row in rows if row["strategy"] == "dpor"), None)
            yield pair, faulty, sound, false, best(theirs.get((pair.name, "faulty"), [])), exhausting


HEAD = (
    "| program | shows as | found in | ms | frontrun: found in | ms | twin exhausted in | frontrun, twin |\n"
    "|---|---|---|---|---|---|---|---|"
)


def line(row: tuple[Pair, Found, Found, int, dict[str, Any] | None, dict[str, Any] | None]) -> str:
    """Answer a row as it stands in the page."""
    pair, faulty, sound, _, peers, twin = row
    ours = f"{faulty.executions} | {faulty.seconds * 1000:.1f}" if faulty.found else "missed | "
    other = f"{peers['executions']} | {peers['seconds'] * 1000:.0f}" if peers else "missed | "
    ended = str(sound.executions) if sound.exhausted else f"not in {sound.executions}"
    said = {True: "{} executions", None: "undecided after {}"}.get(twin["answer"], "accused in {}") if twin else "—"
    told = said.format(twin["executions"]) if twin else said
    return f"| {pair.name} | {pair.shows} | {ours} | {other} | {ended} | {told} |"


def plot(rows: list[tuple[Pair, Found, Found, int, dict[str, Any] | None, dict[str, Any] | None]]) -> str:
    """Answer an SVG: milliseconds to find each fault, on a scale of powers of ten; a ring for what was missed."""
    height, left, width = 18, 190, 460
    scale = width / 4  # from 0.1 ms to 1 s
    marks = []
    for place, (pair, faulty, _, _, peers, _) in enumerate(rows):
        y = 40 + place * height
        marks.append(f'<text x="8" y="{y + 4}">{pair.name}</text>')
        for seconds, colour in ((faulty.seconds, "#0b6"), (peers["seconds"] if peers else None, "#c50")):
            x = left + width + 20 if seconds is None else left + scale * max(0.0, min(4.0, _power(seconds * 10_000)))
            fill = "none" if seconds is None else colour
            marks.append(f'<circle cx="{x:.0f}" cy="{y}" r="5" fill="{fill}" stroke="{colour}"/>')
    ticks = "".join(
        f'<text x="{left + scale * power:.0f}" y="20" text-anchor="middle">{label}</text>'
        f'<path d="M{left + scale * power:.0f} 26V{40 + len(rows) * height}" stroke="#ddd"/>'
        for power, label in enumerate(("0.1 ms", "1 ms", "10 ms", "100 ms", "1 s"))
    )
    size = 50 + len(rows) * height
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 60} {size}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>{ticks}{"".join(marks)}</svg>\n'
    )


def _power(value: float) -> float:
    return math.log10(max(value, 1e-9))


def main() -> int:
    """Print the table; answer 1 where a fault was missed or a twin accused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--alarms", type=int, default=0)
    asked = parser.parse_args()
    rows = []
    print(HEAD)
    for row in table(asked.alarms):
        rows.append(row)
        print(line(row), flush=True)
    missed = [row[0].name for row in rows if not row[1].found or row[1].replays != 100]
    accused = [row[0].name for row in rows if row[2].found or row[3]]
    print(f"missed or not replayed: {missed or 'none'}; twins accused: {accused or 'none'}")
    both = [(row[1].seconds, row[4]["seconds"]) for row in rows if row[4]]
    if both:
        ratios = sorted(theirs / ours for ours, theirs in both)
        median = ratios[len(ratios) // 2]
        print(f"frontrun's best takes {median:.0f} times as long at the median, {ratios[0]:.1f} times at the least")
    if asked.docs:
        text = (DOCS / "engines.md").read_text(encoding="utf-8")
        start, end = text.index(HEAD.splitlines()[0]), text.index("\n\n", text.index(HEAD.splitlines()[0]))
        (DOCS / "engines.md").write_text(
            text[:start] + "\n".join([HEAD, *map(line, rows)]) + text[end:], encoding="utf-8"
        )
        (DOCS / "engines.svg").write_text(plot(rows), encoding="utf-8")
    return 1 if missed or accused else 0


if __name__ == "__main__":
    sys.exit(main())
