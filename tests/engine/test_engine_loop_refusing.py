"""What needs an operating system is refused by the controlled loop, at once and by name."""

import asyncio
import contextlib
import socket
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from pytest_keyconform.engine.clock import VirtualClock
from pytest_keyconform.engine.loop import ControlledLoop, NeedsRealLoop


def _thread_of_its_own():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    threading.Thread(target=loop.call_soon_threadsafe, args=(future.set_result, 1)).start()
    return future


REFUSED = {
    "create_connection": lambda: asyncio.open_connection("localhost", 1),
    "create_server": lambda: asyncio.start_server(lambda *_: None, "localhost", 0),
    "subprocess_exec": lambda: asyncio.create_subprocess_exec("true"),
    "subprocess_shell": lambda: asyncio.create_subprocess_shell("true"),
    "getaddrinfo": lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1),
    "add_reader": lambda: asyncio.get_running_loop().add_reader(0, print),
    "add_signal_handler": lambda: asyncio.get_running_loop().add_signal_handler(1, print),
    "sock_recv": lambda: asyncio.get_running_loop().sock_recv(socket.socket(), 1),
    "run_in_executor with a pool of processes": lambda: asyncio.get_running_loop().run_in_executor(
        object.__new__(ProcessPoolExecutor), print
    ),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("call", REFUSED)
def test_what_needs_a_real_loop_is_told_at_once(call, loop):
    """A call that only an operating system answers ends the run, also where the backend catches all it can."""

    async def main():
        for _ in range(3):
            with contextlib.suppress(BaseException):
                await REFUSED[call]()
            await asyncio.sleep(0)

    with pytest.raises(NeedsRealLoop) as caught:
        loop.run(main())
    assert caught.value.call == loop.needs_real_loop == call
    assert not isinstance(caught.value, Exception)


def test_a_thread_of_the_backend_is_told(loop):
    """A backend that waits for a thread of its own is no deadlock: it cannot be controlled."""

    async def main():
        await _thread_of_its_own()

    with pytest.raises(NeedsRealLoop, match="thread of the backend's own"):
        loop.run(main())


async def _coroutine_from_an_executor():
    loop, asked = asyncio.get_running_loop(), asyncio.sleep(0)
    with contextlib.closing(asked):
        await loop.run_in_executor(None, lambda: asyncio.run_coroutine_threadsafe(asked, loop).result(9))


def _event_from_an_executor():
    loop, told = asyncio.get_running_loop(), threading.Event()
    return asyncio.to_thread(lambda: loop.call_soon_threadsafe(told.set) and told.wait(9))


@pytest.mark.parametrize("call", [_coroutine_from_an_executor, _event_from_an_executor])
def test_an_executor_function_that_needs_the_loop_is_told_at_once(call, loop):
    """A function that waits in an executor for what the loop does next is refused before it waits."""

    async def main():
        await call()

    with pytest.raises(NeedsRealLoop) as caught:
        loop.run(main())
    assert caught.value.call == "call_soon_threadsafe from a function in an executor"


def test_a_pool_of_threads_is_told_however_fast_it_is(loop):
    """What a pool of the backend's own has answered already is not taken for a step of the loop."""

    async def main():
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(int)
            future.result()
            await asyncio.wrap_future(future)

    with pytest.raises(NeedsRealLoop, match="thread of the backend's own"):
        loop.run(main())


def test_a_thread_that_ends_meanwhile_hides_no_other():
    """A new thread is seen although an old one ended since the loop was made: no deadlock is named."""
    end, ended = threading.Event(), threading.Event()
    old = threading.Thread(target=end.wait)
    new = threading.Thread(target=ended.wait)
    old.start()
    loop = ControlledLoop(VirtualClock())

    async def main():
        end.set()
        old.join()
        new.start()
        await loop.create_future()

    try:
        with pytest.raises(NeedsRealLoop, match="thread of the backend's own"):
            loop.run(main())
    finally:
        ended.set()
        new.join()
