"""What a program on an event loop may do: one coroutine function an act, given the world and the act's number."""

import asyncio
import contextvars
import gc

PLAIN = [
    *("again", "sleep", "put", "get", "job", "done", "joined", "set", "wait", "notify", "notify_all", "barrier"),
    *("await_condition", "await_truth", "fail", "callback", "callbacks", "trouble", "thread", "half_way"),
    *("join_background", "cancel_background", "timeout_moved", "no_time"),
]


def delay(number):
    """Microseconds up to a second, scattered: sums of few differ, for asyncio orders timers that tie as it likes."""
    return ((number + 1) * 2654435761 % 2**32) % 1_000_003 / 1_000_000


async def again(world, number):
    await asyncio.sleep(0)


async def sleep(world, number):
    return await asyncio.sleep(delay(number), number)


async def lock(world, number, which, body):
    async with world.locks[which]:
        await world.perform(body)


async def semaphore(world, number, body):
    async with world.semaphore:
        await world.perform(body)


async def put(world, number):
    await world.queue.put(number)


async def get(world, number):
    return await world.queue.get()


async def job(world, number):
    await world.jobs.put(-number)


async def done(world, number):
    item = await world.jobs.get()
    await asyncio.sleep(0)
    world.jobs.task_done()
    return item


async def joined(world, number):
    await world.jobs.join()


async def set(world, number):
    world.event.set()


async def wait(world, number):
    await world.event.wait()
    world.event.clear()


async def notify(world, number):
    async with world.condition:
        world.condition.notify()


async def notify_all(world, number):
    async with world.condition:
        world.condition.notify_all()


async def await_condition(world, number):
    async with world.condition:
        return await world.condition.wait()


async def await_truth(world, number):
    async with world.condition:
        return await world.condition.wait_for(lambda: len(world.log) % 2)


async def barrier(world, number):
    await world.barrier.wait()


async def gather(world, number, left, right):
    answers = await asyncio.gather(world.perform(left), world.perform(right), return_exceptions=True)
    return [type(answer).__name__ for answer in answers]


async def strict_gather(world, number, left, right):
    await asyncio.gather(world.perform(left), world.perform(right))


async def first(world, number, left, right):
    tasks = [asyncio.create_task(world.perform(body)) for body in (left, right)]
    ended, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
    return [task in ended for task in tasks], len(others)


async def completed(world, number, left, right):
    # Tasks that are there already: of coroutines it makes them in the order of a set.
    tasks = [asyncio.create_task(world.perform(body)) for body in (left, right)]
    for task in tasks:
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
    for one in asyncio.as_completed(tasks, timeout=delay(number)):
        try:
            world.note("completed", number, await one)
        except (ValueError, TimeoutError) as error:
            world.note("completed", number, type(error).__name__)


async def group(world, number, child, body):
    failed = 0
    try:
        # One child: a group cancels its children in the order of a set.
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(world.perform(child))
            await world.perform(body)
    except* ValueError as errors:
        failed = len(errors.exceptions)
    return failed


async def timeout(world, number, body):
    async with asyncio.timeout(delay(number)):
        await world.perform(body)


async def timeout_moved(world, number):
    async with asyncio.timeout(None) as bound:
        bound.reschedule(asyncio.get_running_loop().time() + delay(number + 1000))
        await asyncio.sleep(delay(number))


async def no_time(world, number):
    async with asyncio.timeout(0):
        await asyncio.sleep(0)


async def wait_for(world, number, body):
    await asyncio.wait_for(world.perform(body), delay(number))


async def shield(world, number, body):
    task = asyncio.ensure_future(world.perform(body))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(task)


async def cancelled(world, number, steps, body):
    task = asyncio.create_task(world.perform(body))
    for _ in range(steps):
        await asyncio.sleep(0)
    world.note("cancel", number, task.cancel("by name"))
    await asyncio.wait([task])
    return "cancelled" if task.cancelled() else type(task.exception()).__name__


async def uncancelled(world, number, body, rest):
    """Swallow a cancellation of its own, and go on."""
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel)
    try:
        await world.perform(body)
        await asyncio.sleep(delay(number))
    except asyncio.CancelledError:
        world.note("uncancelled", number, task.uncancel())
    await world.perform(rest)


async def fail(world, number):
    raise ValueError(number)


async def catch(world, number, body):
    try:
        await world.perform(body)
    except (ValueError, TimeoutError) as error:
        return type(error).__name__
    finally:
        await asyncio.sleep(0)


async def _items(world, number):
    try:
        for item in range(2):
            yield item
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0)
        world.note("stream", number, "closed")


async def stream(world, number, body):
    async for item in _items(world, number):
        world.note("stream", number, item)
        await world.perform(body)


async def half_way(world, number):
    """Leave a generator that nobody holds any more: it is closed by the loop."""
    items = _items(world, number)
    world.note("half_way", number, await anext(items))
    del items
    gc.collect(0)  # where a frame of an error holds it, all the same
    await asyncio.sleep(0)


async def leave(world, number, body):
    """Leave a generator that is held to the end, unless one is already."""
    if world.left is None:
        world.left = _items(world, number)
        world.note("leave", number, await anext(world.left))
    await world.perform(body)


async def context(world, number, body):
    world.variable.set(number)
    inner = contextvars.copy_context()
    inner.run(world.variable.set, -number)
    task = asyncio.create_task(world.perform(body), context=inner)
    try:
        await task
    finally:
        world.note("context", number, world.variable.get(), inner[world.variable])


async def background(world, number, body):
    world.background.append(asyncio.create_task(world.perform(body)))


async def join_background(world, number):
    if world.background:
        await asyncio.wait([world.background.pop()], timeout=1 + delay(number))


async def cancel_background(world, number):
    return [task.cancel() for task in world.background]


async def callback(world, number):
    world.variable.set(number)
    future = asyncio.get_running_loop().create_future()

    def call():
        world.note("callback", number, world.variable.get())
        if not future.done():
            future.set_result(number)

    asyncio.get_running_loop().call_soon(call)
    asyncio.get_running_loop().call_later(delay(number), call)
    return await future


async def callbacks(world, number):
    """Set callbacks of every kind, and take one of them back."""
    loop = asyncio.get_running_loop()
    handles = [
        loop.call_soon(world.note, "soon", number),
        loop.call_later(delay(number + 3000), world.note, "also later", number),
        loop.call_later(delay(number), world.note, "later", number),
        loop.call_at(loop.time() + delay(number + 2000), world.note, "at", number),
        loop.call_soon_threadsafe(world.note, "safe", number, context=contextvars.Context()),
    ]
    handles[number % len(handles)].cancel()
    await asyncio.sleep(delay(number + 1000))
    return [handle.cancelled() for handle in handles]


async def trouble(world, number):
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: 1 // 0)
    loop.call_exception_handler({"message": f"told by {number}"})
    await asyncio.sleep(0)


async def thread(world, number):
    """Hand functions over: one in this context, one without, one that raises."""
    world.variable.set(number)
    world.note("thread", number, await asyncio.to_thread(world.variable.get))
    world.note("thread", number, await asyncio.get_running_loop().run_in_executor(None, divmod, number, 3))
    try:
        await asyncio.to_thread(divmod, number, 0)
    except ZeroDivisionError as error:
        return type(error).__name__
