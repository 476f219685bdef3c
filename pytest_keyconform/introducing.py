"""The commands about one target: serve it to another process, look at it, and begin with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_keyconform.commands import root_folder
from pytest_keyconform.errors import SettingError, TargetError

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
    serve.add_argument("--store", metavar="URL", help="of reference: run its service, with this store (memory:)")
    serve.add_argument(
        "--pool", metavar="FILE", type=Path, help="of reference with --store: its keys and limits, as JSON"
    )
    serve.set_defaults(run=_serve)
    doctor = commands.add_parser(
        "doctor",
        help="say how a target resolves, what it has, and what it lacks",
        description="Exit: 0, or 4 if it cannot be resolved or opened.",
    )
    doctor.add_argument("target", metavar="TARGET", help="package.module:factory, or a configured name")
    doctor.set_defaults(run=_doctor)
    init = commands.add_parser(
        "init",
        help="write what a project begins with: keyconform.toml and a step for CI",
        description="What is there is never overwritten. Exit: 0, or 4 if nothing could be written.",
    )
    init.add_argument("target", metavar="TARGET", nargs="?", help="such as app.keys:make_manager")
    init.set_defaults(run=_init)


def _serve(asked: argparse.Namespace) -> int:
    from pytest_keyconform import serving

    def ready(host: str, port: int) -> None:
        print(f"serving {asked.target} at http://{host}:{port} until interrupted", flush=True)

    if asked.store is not None or asked.pool is not None:
        return _serve_reference(asked)
    if asked.stdio:
        serving.over_stdio(lambda: resolved(asked.target))
    else:
        serving.over_http(lambda: resolved(asked.target), host=asked.host, port=asked.port, ready=ready)
    return DONE


def _serve_reference(asked: argparse.Namespace) -> int:
    """Run the service of the reference implementation."""
    if asked.target != "reference" or asked.stdio:
        raise SettingError(f"--store and --pool are for 'keyconform serve reference', over http, not {asked.target!r}")
    try:
        from keyconform_reference import running
    except ImportError as error:
        raise SettingError(
            f"the service needs {error.name}, which is not installed: pip install 'pytest-keyconform[service]'"
        ) from None
    from keyconform_reference import ConfigurationError

    try:
        running.run(host=asked.host, port=asked.port, store=asked.store or "memory:", pool=asked.pool)
    except ConfigurationError as error:
        raise TargetError(f"reference: {error}") from None
    return DONE


def _doctor(asked: argparse.Namespace) -> int:
    from pytest_keyconform.diagnosis import examined

    for line in examined(lambda: resolved(asked.target)):
        print(line, flush=True)
    return DONE


def _init(asked: argparse.Namespace) -> int:
    from pytest_keyconform.starting import begin

    for line in begin(Path.cwd(), asked.target):
        print(line)
    return DONE


def resolved(text: str) -> Target:
    """Answer what a target's text stands for here; raises `UsageError`."""
    from pytest_keyconform.adapters.resolve import resolve
    from pytest_keyconform.spec.settings import files

    here, root = Path.cwd(), root_folder()
    _, table = files(root)
    return resolve(text, roots=tuple(dict.fromkeys((root, here))), targets=table)
