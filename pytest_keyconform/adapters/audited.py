"""The audited surface: the method names and signatures that are bound without an adapter (design 2.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pytest_keyconform.adapters.base import Lease
from pytest_keyconform.adapters.forms import BOTH, LEFT_OUT, REGULAR, VERTEX, Arguments, Bound, Slot, bind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ERROR_TYPES: Final = {"quota": "429", "auth": "permanent"}


def key_of(lease: object) -> object:
    """Answer the key of a lease; anything else as it is."""
    return lease.key if isinstance(lease, Lease) else lease


def as_given(name: str) -> Callable[[Arguments], object]:
    """Read an argument as the step gives it."""
    return lambda arguments: arguments.get(name, LEFT_OUT)


def unless_none(name: str) -> Callable[[Arguments], object]:
    """Read an argument for which None means that the step gives none."""

    def read(arguments: Arguments) -> object:
        value = arguments.get(name)
        return LEFT_OUT if value is None else value

    return read


def _read_key(arguments: Arguments) -> object:
    return key_of(arguments.get("lease", arguments.get("key", LEFT_OUT)))


def _read_pool(arguments: Arguments) -> object:
    pool = arguments.get("pool")
    return LEFT_OUT if pool is None else pool == "vertex"


def _read_error(arguments: Arguments) -> object:
    outcome = arguments.get("outcome", LEFT_OUT)
    return outcome if outcome is LEFT_OUT else outcome != "success"


def _read_error_type(arguments: Arguments) -> object:
    outcome = arguments.get("outcome", LEFT_OUT)
    return outcome if outcome is LEFT_OUT else ERROR_TYPES.get(str(outcome))


_MODEL: Final = Slot(name="model_name", means="model", read=unless_none("model"), also=frozenset({"model"}))
_POOL: Final = Slot(
    name="is_vertex_key",
    means="pool",
    read=_read_pool,
    also=frozenset({"is_vertex", "vertex"}),
    kind=bool,
    fill=False,
)
_POOL_BY_NAME: Final = Slot(name="is_vertex_key", means="pool", read=_read_pool, kind=bool, fill=False, extra=True)
_TOKENS: Final = Slot(
    name="tokens_used", means="tokens", read=as_given("tokens"), also=frozenset({"tokens"}), kind=int, fill=0
)
_ERROR: Final = Slot(name="error", means="outcome", read=_read_error, kind=bool, fill=False)
_ERROR_TYPE: Final = Slot(name="error_type", means="outcome", read=_read_error_type)
_RETRIES: Final = Slot(name="retries", means="retries", read=as_given("retries"), kind=int, fill=0)
_STATUS: Final = Slot(name="status_code", means="status", read=as_given("status"), also=frozenset({"status"}), kind=int)
_API_KEYS: Final = Slot(name="api_keys", means="api_keys", read=unless_none("api_keys"), kind=list)
_VERTEX_KEYS: Final = Slot(
    name="vertex_api_keys", means="vertex_api_keys", read=unless_none("vertex_api_keys"), kind=list
)


def _key(name: str, means: str = "key") -> Slot:
    known = frozenset({"api_key", "key", "key_value"}) - {name}
    return Slot(name=name, means=means, read=_read_key, also=known, needed=True)


@dataclass(frozen=True, slots=True)
class Audited:
    """One audited method: the operation it is a form of, its parameters, its pools if it names none.

    ``sites`` are the parameters that call sites pass by position, for each pool that they call it for.
    ``of_module`` tells that it is a function of the factory's module.
    """

    operation: str
    method: str
    slots: tuple[Slot, ...] = ()
    pools: frozenset[str] = BOTH
    sites: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_module: bool = False


_FAILED: Final = (_key("api_key", "lease"), _MODEL, _RETRIES, _POOL, _STATUS)
_VERTEX_FAILED: Final = (_key("api_key", "lease"), _RETRIES, _MODEL)
_RECORDED: Final = (_MODEL, _key("key_value", "lease"), _POOL, _TOKENS, _ERROR, _ERROR_TYPE)
_LISTS: Final = (_API_KEYS, _VERTEX_KEYS)
_ONE_KEY: Final = (_key("key"), _POOL_BY_NAME)

AUDITED: Final[tuple[Audited, ...]] = (
    Audited("open", "init"),
    Audited("open", "open"),
    Audited("close", "shutdown"),
    Audited("close", "close"),
    Audited("close", "aclose"),
    Audited("acquire", "get_key", (_MODEL, _POOL), REGULAR, {"regular": ("model",), "vertex": ("model", "pool")}),
    Audited("acquire", "get_next_working_key", (_MODEL,), REGULAR, {"regular": ("model",)}),
    Audited("acquire", "get_next_working_vertex_key", (_MODEL,), VERTEX, {"vertex": ("model",)}),
    Audited("acquire", "get_first_valid_key", (), REGULAR),
    Audited("next_key", "get_next_key", (_POOL,), REGULAR, {"regular": (), "vertex": ("pool",)}),
    Audited("next_key", "get_next_vertex_key", (), VERTEX),
    Audited("random_key", "get_random_valid_key", (_MODEL, _POOL_BY_NAME), REGULAR),
    Audited("record", "update_usage", _RECORDED, REGULAR),
    Audited("fail", "handle_api_failure", _FAILED, REGULAR, {"regular": ("lease", "model", "retries")}),
    Audited("fail", "handle_vertex_api_failure", _VERTEX_FAILED, VERTEX, {"vertex": ("lease", "retries")}),
    Audited("usage", "get_usage_stats", (_key("api_key"), _MODEL, _POOL_BY_NAME), REGULAR),
    Audited("failures", "get_fail_count", _ONE_KEY, REGULAR),
    Audited("failures", "get_vertex_fail_count", (_key("key"),), VERTEX),
    Audited("is_valid", "is_key_valid", _ONE_KEY, REGULAR),
    Audited("is_valid", "is_vertex_key_valid", (_key("key"),), VERTEX),
    Audited("reset", "reset_key_failure_count", _ONE_KEY, REGULAR),
    Audited("reset", "reset_vertex_key_failure_count", (_key("key"),), VERTEX),
    Audited("reset_all", "reset_failure_counts", (), REGULAR),
    Audited("reset_all", "reset_vertex_failure_counts", (), VERTEX),
    Audited("reactivate", "reactivate_key", (_key("key"), _MODEL, _POOL_BY_NAME)),
    Audited("reset_usage", "reset_usage"),
    Audited("status", "get_keys_by_status", (_POOL_BY_NAME,), REGULAR),
    Audited("status", "get_vertex_keys_by_status", (), VERTEX),
    Audited("all_keys", "get_all_keys_with_fail_count", (), REGULAR),
    Audited("state", "get_state"),
    Audited("reload", "reinitialize", _LISTS),
    Audited("health", "health"),
    Audited("paid_key", "get_paid_key"),
    Audited("tick", "run_maintenance"),
    Audited("instance", "get_key_manager_instance", _LISTS, of_module=True),
    Audited("reset_instance", "reset_key_manager_instance", of_module=True),
)
"""Every audited method, in the order in which the forms of an operation are preferred."""

ACQUIRING: Final = ("acquire",)
REPORTING: Final = ("record", "fail", "status", "all_keys")


def names_of(*operations: str) -> tuple[str, ...]:
    """Answer the audited method names of some operations."""
    return tuple(one.method for one in AUDITED if one.operation in operations)


def method_of(owner: object, name: str) -> Callable[..., object] | None:
    """Answer a method, or None where there is none or where looking at it fails."""
    try:
        found = getattr(owner, name, None)
    except Exception:  # noqa: BLE001 - a property of a backend may raise anything
        return None
    return found if callable(found) else None


def bind_audited(manager: object, module: object = None) -> tuple[dict[str, tuple[Bound, ...]], dict[str, str]]:
    """Bind the audited methods a manager has: the forms by operation, and why a method is not claimed."""
    bound: dict[str, tuple[Bound, ...]] = {}
    refused: dict[str, str] = {}
    for audited in AUDITED:
        method = method_of(module if audited.of_module else manager, audited.method)
        if method is None:
            continue
        form = bind(method, audited.method, audited.slots, pools=audited.pools, sites=audited.sites)
        if isinstance(form, str):
            refused[audited.method] = form
        else:
            bound[audited.operation] = (*bound.get(audited.operation, ()), form)
    return bound, refused


def is_audited(manager: object) -> bool:
    """Tell whether an object has an audited acquire and an audited report or status, by name."""
    acquires = any(method_of(manager, name) for name in names_of(*ACQUIRING))
    return acquires and any(method_of(manager, name) for name in names_of(*REPORTING))
