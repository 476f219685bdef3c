"""Running the service: what it is told on its command line, and the server (extra ``service``)."""

from __future__ import annotations

import argparse
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import uvicorn

from .errors import ConfigurationError
from .limits import Limits
from .manager import KeyManager
from .service import create_app
from .spoken import Spoken
from .stores import MEMORY, store_at

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKEN = "KEYCONFORM_TOKEN"  # noqa: S105 - the name of a variable
PORT = 8642


class PoolFile(pydantic.BaseModel):
    """What a manager serves, as a JSON file says it."""

    model_config = pydantic.ConfigDict(extra="forbid", hide_input_in_errors=True)

    api_keys: tuple[str, ...] = ()
    vertex_api_keys: tuple[str, ...] = ()
    limits: dict[str, dict[str, int | None]] = {}
    default_model: str = "default"
    max_failures: int = 3
    max_retries: int = 3


def run(*, host: str, port: int, store: str = MEMORY, pool: Path | None = None, protocol: bool = False) -> None:
    """Serve until interrupted; raises ``ConfigurationError``.

    The token is that of the variable KEYCONFORM_TOKEN; where there is none, one is made and shown. ``protocol``: takes
    the requests of keyconform's `http:` protocol too, on managers of its own.
    """
    make = store_at(store)
    given = _read(pool)
    manager = KeyManager(
        given.api_keys,
        given.vertex_api_keys,
        limits={model: Limits(**row) for model, row in given.limits.items()},
        default_model=given.default_model,
        max_failures=given.max_failures,
        max_retries=given.max_retries,
        store=make,
    )
    spoken = None
    if protocol:
        spoken = Spoken(store=None if store.startswith(MEMORY) else make)
    app = create_app(manager, token=_token(), spoken=spoken)
    print(f"serving at http://{host}:{port}; its routes are shown at /docs", flush=True)  # noqa: T201 - a command
    uvicorn.run(app, host=host, port=port, log_level="warning")


def _token() -> str:
    token = os.environ.get(TOKEN, "")
    if not token:
        token = secrets.token_urlsafe(24)
        print(f"{TOKEN} is not set; the token of this run is {token}", flush=True)  # noqa: T201 - nowhere else
    return token


def _read(pool: Path | None) -> PoolFile:
    if pool is None:
        return PoolFile()
    try:
        return PoolFile.model_validate_json(pool.read_bytes())
    except OSError as error:
        message = f"{pool}: {error.strerror}"
    except pydantic.ValidationError as error:
        problem = error.errors()[0]
        message = f"{pool}: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    raise ConfigurationError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m keyconform_reference.running", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--store", default=MEMORY, metavar="URL", help="where the state of the keys is kept")
    parser.add_argument("--pool", type=Path, metavar="FILE", help="keys and limits, as JSON")
    parser.add_argument("--protocol", action="store_true", help="can be judged as http://HOST:PORT")
    asked: dict[str, Any] = vars(parser.parse_args(arguments))
    try:
        run(**asked)
    except ConfigurationError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
