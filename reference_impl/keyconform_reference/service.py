"""The key manager as a service (extra ``service``): the audited routes, behind a token.

A key is always taken for the model that the request names (000-17, 000-18, 000-30); without the token nobody gets a key
or a status. ``python -m keyconform_reference.running --pool pool.json`` runs it.
"""

from __future__ import annotations

import contextlib
import hmac
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from .errors import (
    InvalidInputError,
    KeyManagerError,
    NotOpenError,
    NoUsableKeyError,
    UnknownKeyError,
    UnknownModelError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .manager import KeyManager
    from .spoken import Spoken

LARGEST = 1 << 26
"""Bytes of a request."""
LONGEST = 1 << 16
"""Characters of a name or a key."""
MOST = 10**12
"""Tokens of one call."""
_STATUS: dict[type[KeyManagerError], int] = {
    InvalidInputError: 422,
    NoUsableKeyError: 429,
    NotOpenError: 503,
    UnknownKeyError: 404,
    UnknownModelError: 404,
}
_BEARER = HTTPBearer(auto_error=False, description="the token that the service was started with")

Name = Annotated[str, Field(max_length=LONGEST)]
PoolName = Literal["regular", "vertex"]


class Asked(BaseModel):
    """A request for a key; what else a chat request holds is passed over, so that one may be sent as it is."""

    model_config = ConfigDict(strict=True)

    model: Name | None = Field(default=None, description="null or left out: the default model")


class Used(BaseModel):
    """A call that was made with a key."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    key: Name
    model: Name | None = None
    pool: PoolName = "regular"
    tokens: int = Field(default=0, ge=0, le=MOST)
    error: bool = False
    error_type: Name | None = None


class Failed(BaseModel):
    """A call that failed."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    key: Name
    model: Name | None = None
    pool: PoolName = "regular"
    retries: int = Field(default=0, ge=0, le=MOST)
    status: int | None = Field(default=None, ge=100, le=599, description="null: a time-out")
    retry_after: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Named(BaseModel):
    """A key that is to be restored; with a model, for that model alone."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    key: Name
    model: Name | None = None


class Served(BaseModel):
    """A key to call with."""

    key: str
    pool: PoolName


def create_app(manager: KeyManager, *, token: str, spoken: Spoken | None = None) -> FastAPI:
    """Return the service of a manager, which it opens and closes.

    ``token`` is what requests carry as ``Authorization: Bearer TOKEN``. With ``spoken`` it takes the requests of the
    `http:` protocol too, at ``/keyconform/v1``: for judging, on managers of its own. Raises ValueError for no token.
    """
    if not token:
        message = "expected a token: a service that anybody may ask for keys is refused"
        raise ValueError(message)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await manager.init()
        yield
        await manager.shutdown()
        if spoken is not None:
            await spoken.close()

    app = FastAPI(title="Key manager", version="1.0", lifespan=life)
    app.add_middleware(_Bounded)
    app.add_exception_handler(KeyManagerError, _told)
    app.add_exception_handler(RequestValidationError, _misread)
    routes = APIRouter(
        dependencies=[Depends(_guard(token))], responses={401: {"description": "no token, or a wrong one"}}
    )
    _add_calls(routes, manager)
    _add_views(routes, manager)
    app.include_router(routes)

    @app.get("/health")
    async def health(response: Response) -> dict[str, bool]:
        """Tell whether keys can be served; nothing else."""
        healthy = await manager.health()
        response.status_code = 200 if healthy else 503
        return {"healthy": healthy}

    if spoken is not None:
        app.add_api_route("/keyconform/v1", _spoken_route(spoken), methods=["POST"], include_in_schema=False)
    return app


def _guard(token: str) -> Callable[[HTTPAuthorizationCredentials | None], Awaitable[None]]:
    expected = token.encode()

    async def authorised(sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        # Compared in constant time, so that a wrong token does not tell how much of it was right.
        if sent is None or not hmac.compare_digest(sent.credentials.encode(), expected):
            raise HTTPException(401, "expected the token of this service", {"WWW-Authenticate": "Bearer"})

    return authorised


def _add_calls(routes: APIRouter, manager: KeyManager) -> None:
    responses: dict[int | str, dict[str, Any]] = {429: {"description": "no key is usable for the model"}}

    @routes.post("/v1/keys", responses=responses)
    async def key(asked: Asked) -> Served:
        """Take a regular key for the model that is named."""
        return _served(await manager.get_key(asked.model), "regular")

    @routes.post("/vertex/v1/keys", responses=responses)
    async def vertex_key(asked: Asked) -> Served:
        """Take a vertex key for the model that is named."""
        return _served(await manager.get_key(asked.model, is_vertex_key=True), "vertex")

    @routes.post("/v1/usage")
    async def used(call: Used) -> dict[str, bool]:
        """Record a call that was made; false for a key of no pool."""
        vertex = call.pool == "vertex"
        recorded = await manager.update_usage(
            call.model, call.key, vertex, call.tokens, error=call.error, error_type=call.error_type
        )
        return {"recorded": recorded}

    @routes.post("/v1/failures", responses=responses)
    async def failed(call: Failed) -> Served:
        """Record a call that failed, and take another key."""
        replacement = await manager.handle_api_failure(
            call.key, call.model, call.retries, call.pool == "vertex", call.status, retry_after=call.retry_after
        )
        return _served(replacement, call.pool)


def _add_views(routes: APIRouter, manager: KeyManager) -> None:
    @routes.get("/v1/keys/status")
    async def status(pool: PoolName = "regular") -> dict[str, dict[str, int]]:
        """Show which keys are valid, and how often each has failed."""
        return await (manager.get_vertex_keys_by_status() if pool == "vertex" else manager.get_keys_by_status())

    @routes.get("/v1/keys/state")
    async def state() -> dict[str, Any]:
        """Show what each key was used for, by model; keys are shortened."""
        return await manager.get_state()

    @routes.post("/v1/keys/reset")
    async def reset(named: Named) -> dict[str, bool]:
        """Forget the failures of a key, in the pools that it is in."""
        done = [
            await manager.reset_key_failure_count(named.key),
            await manager.reset_vertex_key_failure_count(named.key),
        ]
        return {"reset": any(done)}

    @routes.post("/v1/keys/reactivate")
    async def reactivate(named: Named) -> dict[str, bool]:
        """Restore a key, for one model or for all."""
        return {"reactivated": await manager.reactivate_key(named.key, named.model)}


def _served(key: str | None, pool: PoolName) -> Served:
    if not key:
        raise HTTPException(429, "no key is usable for this model now")
    return Served(key=key, pool=pool)


def _spoken_route(spoken: Spoken) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            asked = json.loads(await request.body())
        except (ValueError, RecursionError):
            return JSONResponse({"detail": "expected a JSON object"}, 400)
        return Response(json.dumps(await spoken.answer(asked)), media_type="application/json")

    return answer


async def _told(_: Request, error: Exception) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 409)
    return Response(json.dumps({"detail": str(error)}), status, media_type="application/json")


async def _misread(_: Request, error: Exception) -> Response:
    """Say what is wrong with a request, and never what was in it: that may be a key."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    told = [{"loc": [str(part)[:80] for part in one["loc"]], "msg": one["msg"]} for one in problems]
    return Response(json.dumps({"detail": told}), 422, media_type="application/json")


class _Bounded:
    """Refuses requests that are larger than any of these routes needs, before they are read whole."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST:
                raise HTTPException(413, "larger than any request")
            return message

        await self._app(scope, counted, send)
