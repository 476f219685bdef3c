"""Opening a target once, to learn what it claims and which engine can run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_keyconform.adapters.base import Lease
from pytest_keyconform.adapters.keys import Keyring
from pytest_keyconform.adapters.resolve import OpeningFailed
from pytest_keyconform.engine.loop import ControlledLoop, Deadlock, Livelock
from pytest_keyconform.engine.sequential import SequentialRunner, drive
from pytest_keyconform.engine.tasks import TaskRunner
from pytest_keyconform.errors import TargetError
from pytest_keyconform.workload import Given

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pytest_keyconform.adapters.resolve import Target
    from pytest_keyconform.engine.clock import VirtualClock
    from pytest_keyconform.engine.explore import Runner
    from pytest_keyconform.operation import Claims


@dataclass(frozen=True, slots=True)
class Backend:
    """What a target claims, and the runner that executes workloads on it."""

    claims: Claims
    runner: Runner


def survey(target: Target, clock: VirtualClock, *, seed: int) -> Backend:
    """Open the target on an ordinary pool, on the loop or, where it wants none, without one.

    Raises `TargetError` where it cannot be opened, with what it raised.
    """
    failures: list[str] = []
    for run in (_on_loop(clock), drive):
        clock.reset()
        try:
            claims, leased = run(_look(target))
        except OpeningFailed as failure:
            failures.append(str(failure))
        except (Deadlock, Livelock):
            failures.append("opening it never ends")
        else:
            leased = leased or target.policies.tenure == "lease"
            kind = TaskRunner if claims.is_async else SequentialRunner
            return Backend(claims, kind(target, clock, seed=seed, leased=leased))
    message = f"{target.text}: the factory cannot be opened on an ordinary pool: {failures[0]}"
    raise TargetError(message)


def _on_loop(clock: VirtualClock) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    def run(main: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever the coroutine answers
        return ControlledLoop(clock).run(main, lambda _ready, _current: 0)

    return run


async def _look(target: Target) -> tuple[Claims, bool]:
    """Answer what the backend claims, and whether an acquire answers a lease that carries something."""
    opened = await target.opened(Keyring().pool_of(Given()))
    claims = opened.connection.claims
    leased = False
    if claims.forms("acquire"):
        try:
            answer = opened.connection.invoke("acquire", {})
            if hasattr(answer, "__await__"):
                answer = await answer
            leased = isinstance(answer, Lease) and answer.handle is not None
        except Exception:  # noqa: BLE001 - what acquire raises is judged later, by the rules
            leased = False
    try:
        await opened.close()
    except Exception:  # noqa: BLE001 - what closing raises is not judged here
        return claims, leased
    return claims, leased
