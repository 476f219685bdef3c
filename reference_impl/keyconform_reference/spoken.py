"""The `http:` protocol of keyconform, spoken for this key manager: one object asked, one answered.

It is for judging, never for serving: each ``open`` makes a fresh manager on the keys that it brings.
"""

from __future__ import annotations

import dataclasses
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .errors import KeyManagerError
from .limits import Limits
from .manager import KeyManager
from .options import Options
from .stores import MemoryStore, Rules, Store

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Given = Mapping[str, Any]

PROTOCOL = 1
ERROR_TYPES = {"quota": "429", "auth": "permanent"}
_POOLED = ["model", "pool"]
OPERATIONS = {
    "close": [],
    "acquire": _POOLED,
    "next_key": ["pool"],
    "random_key": ["model"],
    "record": ["lease", *_POOLED, "tokens", "outcome"],
    "fail": ["lease", *_POOLED, "retries", "status", "retry_after"],
    "usage": ["key", "model"],
    "reset_usage": [],
    "failures": ["key", "pool"],
    "is_valid": ["key", "pool"],
    "reset": ["key"],
    "reset_all": [],
    "reactivate": ["key", "model"],
    "status": ["pool"],
    "all_keys": [],
    "state": [],
    "reload": ["api_keys", "vertex_api_keys"],
    "tick": [],
    "health": [],
}


class Refused(Exception):
    """A request that is none; the text says why."""


class ToldClock:
    """A clock that shows what it was told last, a microsecond later each time that it is asked."""

    def __init__(self) -> None:
        self._wall = time.time()
        self._steady = 0.0

    def time(self) -> float:
        """Return seconds since 1970."""
        self._steady += 1e-6
        self._wall += 1e-6
        return self._wall

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._steady

    def tell(self, now: object) -> None:
        """Go to an instant; one that is past sets the wall clock back. Raises ``Refused``."""
        try:
            wall = datetime.fromisoformat(str(now)).timestamp()
        except ValueError:
            raise Refused("expected an instant such as 2026-03-01T12:00:00Z as now") from None
        self._steady += max(0.0, wall - self._wall)
        self._wall = wall


class Spoken:
    """Answers requests. ``store`` makes the stores; those of memory show the time that they are told."""

    def __init__(self, options: Options | None = None, store: Callable[[Rules], Store] | None = None) -> None:
        self._options = options or Options()
        self._clock = ToldClock()
        self._store = store
        self._manager: KeyManager | None = None

    async def answer(self, request: object) -> dict[str, Any]:
        """Return the answer to one request; whatever it is, one comes."""
        seq = request.get("seq") if isinstance(request, dict) else None
        try:
            return {"seq": seq, "ok": await self._answered(_checked(request))}
        except KeyManagerError as error:
            return _mistake(seq, error, typed=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            return _mistake(seq, error, typed=False)

    async def close(self) -> None:
        """Close the manager that is open, if one is."""
        if self._manager is not None:
            await self._manager.shutdown()

    async def _answered(self, request: Given) -> object:
        op = request["op"]
        if op == "hello":
            return self._hello()
        if op == "open":
            await self.close()
            self._clock.tell(request.get("now"))
            self._manager = self._made(request.get("pool"))
            await self._manager.init()
            return None
        if op == "clock":
            self._clock.tell(request.get("now"))
            return None
        if self._manager is None:
            raise Refused("expected open before any other operation")
        operation: Callable[[KeyManager, Given], Awaitable[object]] = getattr(_Operations, op)
        return await operation(self._manager, request)

    def _hello(self) -> dict[str, Any]:
        usual = dataclasses.asdict(Options())
        chosen = dataclasses.asdict(self._options)
        return {
            "protocol": PROTOCOL,
            "name": "keyconform_reference",
            "version": "1",
            "operations": OPERATIONS,
            "policies": {name: value for name, value in chosen.items() if value != usual[name]},
            "clock": self._store is None,
        }

    def _made(self, pool: object) -> KeyManager:
        if not isinstance(pool, dict):
            raise Refused("expected an object as pool")
        return KeyManager(
            pool.get("api_keys", ()),
            pool.get("vertex_api_keys", ()),
            limits={model: Limits(**row) for model, row in pool.get("limits", {}).items()},
            default_model=pool.get("default_model", "default"),
            options=self._options,
            max_failures=pool.get("max_failures", 3),
            max_retries=pool.get("max_retries", 3),
            paid_key=pool.get("paid_key", ""),
            store=self._store or (lambda rules: MemoryStore(rules, clock=self._clock)),
        )


class _Operations:
    """Each operation of the protocol, by its name, as calls of the manager."""

    @staticmethod
    async def close(manager: KeyManager, _: Given) -> None:
        await manager.shutdown()

    @staticmethod
    async def acquire(manager: KeyManager, given: Given) -> str:
        return await manager.get_key(given.get("model"), _vertex(given))

    @staticmethod
    async def next_key(manager: KeyManager, given: Given) -> str:
        return await manager.get_next_key(_vertex(given))

    @staticmethod
    async def random_key(manager: KeyManager, given: Given) -> str:
        return await manager.get_random_valid_key(given.get("model"))

    @staticmethod
    async def record(manager: KeyManager, given: Given) -> bool:
        outcome = given.get("outcome", "success")
        return await manager.update_usage(
            given.get("model"),
            _key(given),
            _vertex(given),
            given.get("tokens", 0),
            outcome != "success",
            ERROR_TYPES.get(outcome),
        )

    @staticmethod
    async def fail(manager: KeyManager, given: Given) -> str:
        model, retries, wait = given.get("model"), given.get("retries", 0), given.get("retry_after")
        return await manager.handle_api_failure(
            _key(given), model, retries, _vertex(given), given.get("status"), retry_after=wait
        )

    @staticmethod
    async def usage(manager: KeyManager, given: Given) -> dict[str, Any] | None:
        return await manager.get_usage_stats(_key(given), given.get("model"))

    @staticmethod
    async def reset_usage(manager: KeyManager, _: Given) -> None:
        await manager.reset_usage()

    @staticmethod
    async def failures(manager: KeyManager, given: Given) -> int:
        count = manager.get_vertex_fail_count if _vertex(given) else manager.get_fail_count
        return await count(_key(given))

    @staticmethod
    async def is_valid(manager: KeyManager, given: Given) -> bool:
        valid = manager.is_vertex_key_valid if _vertex(given) else manager.is_key_valid
        return await valid(_key(given))

    @staticmethod
    async def reset(manager: KeyManager, given: Given) -> bool:
        key = _key(given)
        done = [await manager.reset_key_failure_count(key), await manager.reset_vertex_key_failure_count(key)]
        return any(done)

    @staticmethod
    async def reset_all(manager: KeyManager, _: Given) -> None:
        await manager.reset_failure_counts()
        await manager.reset_vertex_failure_counts()

    @staticmethod
    async def reactivate(manager: KeyManager, given: Given) -> bool:
        return await manager.reactivate_key(_key(given), given.get("model"))

    @staticmethod
    async def status(manager: KeyManager, given: Given) -> dict[str, dict[str, int]]:
        return await (manager.get_vertex_keys_by_status() if _vertex(given) else manager.get_keys_by_status())

    @staticmethod
    async def all_keys(manager: KeyManager, _: Given) -> dict[str, dict[str, int]]:
        return await manager.get_all_keys_with_fail_count()

    @staticmethod
    async def state(manager: KeyManager, _: Given) -> dict[str, Any]:
        return await manager.get_state()

    @staticmethod
    async def reload(manager: KeyManager, given: Given) -> None:
        await manager.reinitialize(given.get("api_keys") or (), given.get("vertex_api_keys") or ())

    @staticmethod
    async def tick(manager: KeyManager, _: Given) -> None:
        await manager.run_maintenance()

    @staticmethod
    async def health(manager: KeyManager, _: Given) -> bool:
        return await manager.health()


def _vertex(given: Given) -> bool:
    return given.get("pool") == "vertex"


def _key(given: Given) -> Any:  # noqa: ANN401 - the manager refuses what is no key
    lease = given.get("lease", given.get("key"))
    return lease.get("key") if isinstance(lease, dict) else lease


def _checked(request: object) -> Given:
    if not isinstance(request, dict) or type(request.get("seq")) is not int:
        raise Refused("expected an object with a whole number as seq")
    if request.get("op") not in ("hello", "open", "clock", *OPERATIONS):
        raise Refused("expected the name of an operation as op")
    return request


def _mistake(seq: object, error: Exception, *, typed: bool) -> dict[str, Any]:
    return {"seq": seq, "error": {"type": type(error).__name__, "message": str(error), "typed": typed}}
