"""A manager whose operations are bound: what it claims, and the one way to call it."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Final

from pytest_keyconform.adapters.audited import (
    ACQUIRING,
    REPORTING,
    as_given,
    bind_audited,
    key_of,
    method_of,
    names_of,
    unless_none,
)
from pytest_keyconform.adapters.base import OPERATIONS, Adapter, Lease
from pytest_keyconform.adapters.forms import BOTH, LEFT_OUT, REGULAR, Arguments, Bound, Fitted, Slot, bind
from pytest_keyconform.adapters.raised import packages_of
from pytest_keyconform.adapters.wire import Wire
from pytest_keyconform.errors import TargetError, Unsupported
from pytest_keyconform.operation import Claims, Form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from pytest_keyconform.spec.pool import Pool

SPECIAL: Final = frozenset(
    {"bad", "form", "leave", "measured", "mutate", "of", "positional", "read", "spoil", "through", "upstream"}
)
"""Arguments of a step that say how to call, and are not passed on.

``form`` names the method, ``positional`` calls it as call sites do, ``bad`` says that the input is to be refused,
``mutate`` that the answer is changed once it is recorded, ``of`` names the lease or the stream for whoever reads the
history, ``upstream``, ``read`` and ``leave`` say how a stream is answered and read, ``measured`` that the lines it
runs are counted, ``spoil`` that the lists it was given are changed afterwards, ``through`` the instance that is called.
"""

_ACT_ON_KEYS: Final = ("reactivate", "release", "reset")
_BRINGING: Final = ("instance", "reload")
_SAYING: Final = ("fail", "record")
_REQUEST_TIMEOUT, _SERVER_ERRORS = 408, 500


class Connection:
    """The operations of one manager. ``refused`` tells why a method with an audited name is not claimed.

    ``packages`` are the top-level packages whose errors are the backend's own.
    """

    def __init__(
        self,
        manager: object,
        pool: Pool,
        bound: Mapping[str, tuple[Bound, ...]],
        *,
        refused: Mapping[str, str] | None = None,
        given: Iterable[str] | None = None,
        module: object = None,
    ) -> None:
        self.manager = manager
        self.refused = dict(refused or {})
        self.packages = packages_of(manager, module)
        self.claims = Claims(
            operations={name: tuple(one.form for one in forms) for name, forms in bound.items()},
            given=None if given is None else frozenset(given),
            hidden=manager.hidden if isinstance(manager, Wire) else frozenset(),
        )
        self._bound = dict(bound)
        self._regular = set(pool.api_keys)
        self._vertex = set(pool.vertex_api_keys)

    def invoke(self, name: str, arguments: Arguments) -> object:
        """Call an operation with the arguments of a step, and answer what it answered: an awaitable, maybe.

        Keys are the ones the manager was given, a lease is what acquire answered. Raises `Unsupported`
        where no form of the operation takes what the step says; whatever the manager raises comes out as it
        is.
        """
        method, placed, named = self.prepared(name, arguments)
        return method(*placed, **named)

    def prepared(
        self, name: str, arguments: Arguments
    ) -> tuple[Callable[..., object], list[object], dict[str, object]]:
        """Answer what `invoke` calls: a method, and what it is passed by position and by name."""
        pool = self._pool_of(arguments)
        positional = bool(arguments.get("positional"))
        bound = self._choose(name, pool, arguments.get("form"), positional=positional)
        if name in _SAYING:
            _refuse_unsaid(bound, arguments, bound.fitted.sites.get(pool) if positional else None)
        if name in _BRINGING:
            self._learn(arguments)
        if pool == "vertex":
            arguments = {**arguments, "pool": pool}
        placed, named = (bound.passed_as_sites_do(arguments, pool), {}) if positional else bound.passed(arguments)
        return bound.method, placed, named

    def _pool_of(self, arguments: Arguments) -> str:
        """Answer the pool a step is about: the one it names, else the one its key is in."""
        if arguments.get("pool") is not None:
            return str(arguments["pool"])
        key = key_of(arguments.get("lease", arguments.get("key")))
        return "vertex" if isinstance(key, str) and key in self._vertex - self._regular else "regular"

    def _choose(self, name: str, pool: str, wanted: object, *, positional: bool) -> Bound:
        every = self._bound.get(name, ())
        about_all = not {"pool", "key", "lease"}.intersection(OPERATIONS.get(name, ()))
        reaching = [one for one in every if about_all or pool in one.form.pools]
        found = [one for one in reaching if wanted in (None, one.form.name)]
        if not found:
            why = f"{name} as {wanted}" if wanted else name
            raise Unsupported(f"no {why}{f' for the {pool} pool' if every else ''}")
        return next((one for one in found if positional and pool in one.fitted.sites), found[0])

    def _learn(self, arguments: Arguments) -> None:
        """Remember the keys a step brings in, to know their pool."""
        for known, name in ((self._regular, "api_keys"), (self._vertex, "vertex_api_keys")):
            keys = arguments.get(name)
            if isinstance(keys, list | tuple):
                known.update(key for key in keys if isinstance(key, str))


def connect(manager: object, pool: Pool, *, module: object = None, given: Iterable[str] | None = None) -> Connection:
    """Bind a manager: an `Adapter` by its operations, any other object by its audited method names.

    ``module`` is the factory's, for the provider; ``given`` are the fields of the pool the factory was given.
    Raises `TargetError` for an object that is neither, naming what was found and what is missing.
    """
    if isinstance(manager, Adapter):
        bound, refused = _bind_adapter(manager)
        missing = not bound
    else:
        bound, refused = bind_audited(manager, module)
        missing = not (any(map(bound.get, ACQUIRING)) and any(map(bound.get, REPORTING)))
    if missing:
        raise TargetError(_unbindable(manager, refused))
    return Connection(manager, pool, _by_reach(bound), refused=refused, given=given, module=module)


def reached(instance: object, pool: Pool) -> Connection:
    """Bind what a provider answered; raises `Unsupported` where that is no manager that can be bound."""
    try:
        return connect(instance, pool)
    except TargetError:
        raise Unsupported("what the provider answers has not the audited surface") from None


def _read_lease(arguments: Arguments) -> object:
    lease = arguments.get("lease", LEFT_OUT)
    return Lease(lease) if isinstance(lease, str) else lease


@functools.cache
def _adapter_slots(operation: str) -> tuple[Slot, ...]:
    return tuple(_adapter_slot(parameter) for parameter in OPERATIONS[operation])


def _adapter_slot(name: str) -> Slot:
    readers: dict[str, Callable[[Arguments], object]] = {
        "lease": _read_lease,
        "key": lambda arguments: key_of(arguments.get("key", LEFT_OUT)),
        "model": unless_none("model"),
        "pool": unless_none("pool"),
        "api_keys": unless_none("api_keys"),
        "vertex_api_keys": unless_none("vertex_api_keys"),
    }
    fills = {"pool": "regular", "tokens": 0, "retries": 0, "outcome": "success"}
    return Slot(name=name, means=name, read=readers.get(name, as_given(name)), fill=fills.get(name))


def _bind_adapter(adapter: Adapter) -> tuple[dict[str, tuple[Bound, ...]], dict[str, str]]:
    bound: dict[str, tuple[Bound, ...]] = {}
    refused: dict[str, str] = {}
    for name, parameters in OPERATIONS.items():
        method = method_of(adapter, name)
        if method is None:
            continue
        about_a_pool = "pool" in parameters or name == "random_key"
        pools = REGULAR if about_a_pool else BOTH
        form = bind(method, name, _adapter_slots(name), pools=pools)
        if isinstance(form, str):
            refused[name] = form
        else:
            bound[name] = (form,)
    return bound, refused


def _by_reach(bound: dict[str, tuple[Bound, ...]]) -> dict[str, tuple[Bound, ...]]:
    """Keep what acts on keys to the pools acquire reaches, and join the two forms of `reset_all`."""
    acquires = bound.get("acquire", ())
    reach: frozenset[str] = frozenset().union(*(one.form.pools for one in acquires)) if acquires else BOTH
    kept = {name: tuple(one.for_pools(one.form.pools & reach) for one in bound.get(name, ())) for name in _ACT_ON_KEYS}
    joined = {name: tuple(one for one in forms if one.form.pools) for name, forms in kept.items()}
    every = {**bound, **joined, "reset_all": _both(bound.get("reset_all", ()))}
    return {name: forms for name, forms in every.items() if forms}


def _both(forms: tuple[Bound, ...]) -> tuple[Bound, ...]:
    """Put a form that calls them all before those that call one."""
    if len(forms) < len(BOTH):
        return forms
    together = Form(
        name=" + ".join(one.form.name for one in forms),
        pools=BOTH,
        answers=all(one.form.answers for one in forms),
        is_async=any(one.form.is_async for one in forms),
    )
    return (Bound(lambda: _in_turn([one.method for one in forms]), Fitted(form=together)), *forms)


def _in_turn(methods: list[Callable[..., object]]) -> object:
    """Call one after the other, and answer what the last one answered; an awaitable once one of them does."""
    answer: object = None
    for position, method in enumerate(methods, start=1):
        answer = method()
        if inspect.isawaitable(answer):
            return _rest_of(answer, methods[position:])
    return answer


async def _rest_of(first: Awaitable[object], methods: list[Callable[..., object]]) -> object:
    answer = await first
    for method in methods:
        answer = method()
        if inspect.isawaitable(answer):
            answer = await answer
    return answer


def _refuse_unsaid(bound: Bound, arguments: Arguments, site: tuple[str, ...] | None) -> None:
    """Refuse a step whose meaning would be lost: a status, an outcome or a delay that is not taken."""
    taken = bound.form.parameters if site is None else bound.form.parameters.intersection(site)
    status, outcome = arguments.get("status"), arguments.get("outcome", "success")
    told = {
        "status": status in (None, _REQUEST_TIMEOUT) or (isinstance(status, int) and status >= _SERVER_ERRORS),
        "outcome": outcome == "success",
        "retry_after": arguments.get("retry_after") is None,
    }
    for name, harmless in told.items():
        if name not in taken and not harmless:
            raise Unsupported(f"{bound.form.name} takes no {name}")


def _unbindable(manager: object, refused: Mapping[str, str]) -> str:
    name = f"{type(manager).__module__}.{type(manager).__qualname__}"
    reasons = "".join(f"; {method}: {why}" for method, why in refused.items())
    if isinstance(manager, Adapter):
        return f"{name} is an Adapter without an operation{reasons}; write those the backend has"
    acquires, reports = names_of(*ACQUIRING), names_of(*REPORTING)
    found = [one for one in (*acquires, *reports) if method_of(manager, one) and one not in refused]
    missing = [
        f"{what} ({', '.join(names)})"
        for what, names in (("an acquire", acquires), ("a report or status", reports))
        if not set(names).intersection(found)
    ]
    return (
        f"{name} has not the audited surface: found {', '.join(found) or 'none of its methods'}, "
        f"missing {' and '.join(missing)}{reasons}; write an Adapter subclass for any other shape"
    )
