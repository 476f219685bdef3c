"""The commands about one target: serve it to another process, look at it, and begin with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_keyconform.commands import root_folder

if TYPE_CHECKING:
    import argparse

    from pytest_keyconform.adapters.resolve import Target

DONE = 0
PORT = 8642


def add(commands: argparse._SubParsersAction[Any]) -> None:
    """Add them to those of the command line."""
    serve = commands.add_parser(
        "serve",
        help="serve a key manager of this environment over http, or over standard input",
        description="What is served can be judged as http://HOST:PORT, or as stdio:keyconform serve --stdio TARGET.",
    )
    serve.add_argument("target", metavar="TARGET", help="package.module:factory, or a configured name")
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine alone)")
    serve.add_argument("--port", type=int, default=PORT, help=f"0 takes a free one (default: {PORT})")
    serve.add_argument("--stdio", action="store_true", help="answer on standard output instead")
    serve.set_defaults(run=_serve)


def _serve(asked: argparse.Namespace) -> int:
    from pytest_keyconform import serving

    def ready(host: str, port: int) -> None:
        print(f"serving {asked.target} at http://{host}:{port} until interrupted", flush=True)

    if asked.stdio:
        serving.over_stdio(lambda: resolved(asked.target))
    else:
        serving.over_http(lambda: resolved(asked.target), host=asked.host, port=asked.port, ready=ready)
    return DONE


def resolved(text: str) -> Target:
    """Answer what a target's text stands for here; raises `UsageError`."""
    from pytest_keyconform.adapters.resolve import resolve
    from pytest_keyconform.spec.settings import files

    here, root = Path.cwd(), root_folder()
    _, table = files(root)
    return resolve(text, roots=tuple(dict.fromkeys((root, here))), targets=table)
