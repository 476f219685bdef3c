"""The words that workloads are written in: one function for each operation, answering a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_keyconform.operation import Invocation, Ref
from pytest_keyconform.workload import DEFAULT_MODEL, Step

if TYPE_CHECKING:
    from pytest_keyconform.workload import Given

POOLS = ("regular", "vertex")


def step(name: str, bind: str | None = None, /, **arguments: object) -> Step:
    """Make a step of any operation; an argument that is ``...`` is left out, ``optional`` is the step's own."""
    optional = bool(arguments.pop("optional", False))
    given = tuple((key, value) for key, value in arguments.items() if value is not ...)
    return Step(invocation=Invocation(name, given), bind=bind, optional=optional)


def acquire(bind: str | None = None, *, model: object = DEFAULT_MODEL, pool: str = "regular", **more: object) -> Step:
    """Ask for a key. ``model=None``: no model is given."""
    return step("acquire", bind, model=model, pool=pool, **more)


def release(lease: str | Ref) -> Step:
    """Give a lease back."""
    return step("release", lease=lease, optional=True)


def record(
    lease: str | Ref,
    *,
    model: object = DEFAULT_MODEL,
    pool: str = "regular",
    tokens: object = 1,
    outcome: str = "success",
    **more: object,
) -> Step:
    """Report a call: its tokens and its outcome class."""
    return step("record", lease=lease, model=model, pool=pool, tokens=tokens, outcome=outcome, **more)


def fail(
    lease: str | Ref,
    *,
    status: int | None = 500,
    model: object = DEFAULT_MODEL,
    pool: str = "regular",
    retries: int = 0,
    bind: str | None = None,
    **more: object,
) -> Step:
    """Report a failure and ask for the replacement."""
    return step("fail", bind, lease=lease, model=model, pool=pool, retries=retries, status=status, **more)


def usage(key: str, *, model: object = DEFAULT_MODEL, pool: str = "regular", **more: object) -> Step:
    """Read the usage of a key for a model."""
    return step("usage", key=key, model=model, pool=pool, **more)


def failures(key: str, *, pool: str = "regular", optional: bool = True) -> Step:
    """Read the failure count of a key."""
    return step("failures", key=key, pool=pool, optional=optional)


def is_valid(key: str, *, pool: str = "regular", optional: bool = True) -> Step:
    """Ask whether a key is valid."""
    return step("is_valid", key=key, pool=pool, optional=optional)


def status(*, pool: str = "regular", optional: bool = True, **more: object) -> Step:
    """Read the status of a pool."""
    return step("status", pool=pool, optional=optional, **more)


def all_keys(*, optional: bool = True, **more: object) -> Step:
    """Read all keys with their failure counts."""
    return step("all_keys", optional=optional, **more)


def next_key(bind: str | None = None, *, pool: str = "regular", **more: object) -> Step:
    """Ask for the next key of the rotation."""
    return step("next_key", bind, pool=pool, **more)


def random_key(bind: str | None = None, *, model: object = DEFAULT_MODEL, **more: object) -> Step:
    """Ask for a random valid key."""
    return step("random_key", bind, model=model, **more)


def reset(key: str, *, pool: str = "regular", **more: object) -> Step:
    """Restore one key."""
    return step("reset", key=key, pool=pool, **more)


def reset_all(*, optional: bool = False) -> Step:
    """Restore every key."""
    return step("reset_all", optional=optional)


def reactivate(key: str, *, model: object = ..., optional: bool = False) -> Step:
    """Restore one key for all models, or for one."""
    return step("reactivate", key=key, model=model, optional=optional)


def reset_usage() -> Step:
    """Zero the counters."""
    return step("reset_usage")


def tick() -> Step:
    """Let the backend do its maintenance, where it has an operation for that."""
    return step("tick", optional=True)


def advance(seconds: float) -> Step:
    """Let time pass."""
    return step("advance", seconds=seconds)


def views(given: Given, *, pool: str = "regular") -> tuple[Step, ...]:
    """Read every view there is of a pool's failures."""
    each = [step for key in given.keys(pool) for step in (failures(key, pool=pool), is_valid(key, pool=pool))]
    return (status(pool=pool), *([all_keys()] if pool == "regular" else []), *each)


def opened(*, optional: bool = False) -> Step:
    """Open the manager once more."""
    return step("open", optional=optional)


def close() -> Step:
    """Close the manager."""
    return step("close")


def census() -> Step:
    """Count the tasks, timers and threads that the backend has started and not ended."""
    return step("census")


def memory() -> Step:
    """Measure the memory that the backend holds; the first time begins the counting."""
    return step("memory")


def state() -> Step:
    """Read the whole state."""
    return step("state", optional=True)


def set_clock(seconds: float) -> Step:
    """Set the wall clock forth, or back if negative."""
    return step("set_clock", seconds=seconds)


def statements() -> Step:
    """Count the statements that the backend has asked of SQLite so far."""
    return step("statements")


def rows() -> Step:
    """Count the rows of all the SQLite databases in the backend's storage."""
    return step("rows")


def files() -> Step:
    """Measure the bytes of all the files in the backend's storage that belong to no SQLite database."""
    return step("files")


def restart(*, down: float = 0.0) -> Step:
    """Close the manager and open another one on the same storage, at once or so many seconds later."""
    return step("restart", down=down or ...)


def resized(keys: int, *, models: int | None = None) -> Step:
    """Close the manager and open another one on a pool of so many keys, and so many models where they are given."""
    return step("restart", keys=keys, models=models or ...)


def reopened(**how: object) -> Step:
    """Open another manager in the place of the last one; ``wiped``, ``blocked``, ``empty`` as in `Step`."""
    return step("restart", **how)


def leave() -> Step:
    """Close the manager, however that ends, and have none."""
    return step("leave")


def fault(*, after: int = 0, times: int | None = None) -> Step:
    """Let ``after`` touches of the store pass and the next ``times`` fail; None: all until it is mended."""
    return step("fault", after=after, times=... if times is None else times)


def mend() -> Step:
    """Let the store work again."""
    return step("mend")


def crash() -> Step:
    """Kill the instance, and open another one on the same storage."""
    return step("crash")
