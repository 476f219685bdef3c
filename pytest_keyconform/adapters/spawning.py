"""Child processes that lead a group of their own, and end as a whole."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pytest_keyconform.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_PROVIDER_KEY: Final = re.compile(r".*API_?KEYS?", re.IGNORECASE)
_DIE_WITH_PARENT: Final = 1  # PR_SET_PDEATHSIG


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Answer an environment without the keys of providers: what is judged gets keys made for it."""
    return {name: value for name, value in environment.items() if not _PROVIDER_KEY.fullmatch(name)}


def spawned(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    folder: Path | None,
    stdin: int,
    stdout: int,
    stderr: int,
) -> subprocess.Popen[bytes]:
    """Start a command; raises `TargetError` where that cannot be done."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads: none of theirs is waited for
            return subprocess.Popen(  # noqa: S603 - what the user named
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=folder,
                env=environment,
                process_group=0,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one call
                bufsize=0,
            )
    except OSError as error:
        raise TargetError(f"{command[0]!r} cannot be started: {error.strerror}") from None


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def end_group(process: subprocess.Popen[bytes], owner: int, grace: float = 0.0) -> None:
    """End a process group, at once or after ``grace`` seconds in which it may end by itself.

    In a copy of the process ``owner``, whose child it is, only its pipes are let go of.
    """
    if os.getpid() == owner:
        if grace:
            with suppress(OSError, subprocess.TimeoutExpired):
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=grace)
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
