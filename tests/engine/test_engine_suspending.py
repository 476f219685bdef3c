"""Where a call is cancelled: at the suspension of a number, however long each lasts."""

import asyncio

import pytest

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop, Deadlock
from pytest_keyconform.engine.suspending import Suspending


@pytest.mark.parametrize("number, seen", [(1, []), (2, ["timer"]), (3, ["timer", "turn"]), (4, None)])
def test_each_suspension_counts_once(number, seen):
    """A timer that lasts for many rounds is one suspension, and a call that has fewer ends by itself."""
    log = []

    async def call():
        await asyncio.sleep(5)
        log.append("timer")
        await asyncio.sleep(0)
        log.append("turn")
        await asyncio.sleep(1)
        log.append("end")
        return "done"

    async def main():
        reached = asyncio.Event()
        task = asyncio.ensure_future(Suspending(call(), number, reached.set))
        task.add_done_callback(lambda _: reached.set())
        await reached.wait()
        task.cancel()
        return (await asyncio.gather(task, return_exceptions=True))[0]

    answer = ControlledLoop(VirtualClock()).run(main())
    assert (answer == "done") == (seen is None)
    assert log == (["timer", "turn", "end"] if seen is None else seen)


def test_the_place_of_the_wait_is_still_told():
    """A deadlock names what the coroutine inside waits for."""

    async def call():
        await asyncio.Event().wait()

    async def main():
        await asyncio.get_running_loop().create_task(Suspending(call(), 9, print), name="inner")

    with pytest.raises(Deadlock, match=r"inner waits for Event at .*test_engine_suspending"):
        ControlledLoop(VirtualClock()).run(main())
