"""frontrun on the programs of `engines.py`, in its own environment: ``frontrun python benchmarks/engines_peer.py``.

Prints a JSON object a line: program, twin or not, strategy, what it answered, executions, seconds.
"""

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable
from time import perf_counter
from typing import Any

import frontrun
from programs import HARDER, TOYS, Program

LIMIT = 8.0  # seconds for one program
ATTEMPTS = 300  # of its random strategy, which has no end of its own


def explored(program: Program, strategy: str) -> tuple[object, int]:
    """Answer what it says (True holds, False broken, None undecided, or what it raised) and how many executions."""
    ran = 0

    def setup() -> object:
        nonlocal ran
        ran += 1
        return program.setup()

    options: dict[str, Any] = {"total_timeout": LIMIT, "deadlock_timeout": 1.0}
    options |= {"reproduce_on_failure": 0} if strategy == "dpor" else {"max_attempts": ATTEMPTS, "seed": 1}
    try:
        result: Any = frontrun.explore(
            setup=setup, workers=list(program.workers), invariant=program.holds, strategy=strategy, **options
        )
        if inspect.isawaitable(result):
            result = asyncio.run(_awaited(result))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it raises is its answer
        return f"{type(error).__name__}: {error}"[:120], ran
    return result.property_holds, ran


async def _awaited(result: Awaitable[object]) -> object:
    return await result


def main() -> None:
    """Explore every program and twin with both strategies."""
    strategies = sys.argv[1:] or ["dpor", "random"]
    for pair in (*TOYS, *HARDER):
        for which, program in (("faulty", pair.faulty), ("sound", pair.sound)):
            for strategy in strategies:
                begun = perf_counter()
                answer, ran = explored(program, strategy)
                row = {"name": pair.name, "which": which, "strategy": strategy, "answer": answer, "executions": ran}
                print(json.dumps(row | {"seconds": perf_counter() - begun}), flush=True)


if __name__ == "__main__":
    main()
