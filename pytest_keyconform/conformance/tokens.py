"""Replay tokens: one line that leads back to one counterexample.

``ACQ01:t1:two/-/r1-1`` is the workload ``two`` of ACQ01 on the engine ``t`` (tasks; the others are in `ENGINES`), token
version 1, with no step left out, under the schedule ``r1-1``. ``ACQ01:t1:two/0.3~9/r1-1/s7`` leaves out the steps 0
and 3 to 9, under seed 7. A generated program travels in the token itself: ``ACQ05:t1:~eJyr.../-/f``. Where choice
points are places of bytecode the token names its Python: ``ACQ01:h1@3.12:two/-/r4-1``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_keyconform.errors import TokenError
from pytest_keyconform.operation import Invocation, Ref
from pytest_keyconform.schedule import Schedule
from pytest_keyconform.workload import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 1
ENGINES = {
    "t": "tasks",
    "s": "sequential",
    "h": "threads",
    "d": "delayed-tasks",
    "i": "simulated-processes",
    "p": "processes",
    "w": "wire",
}
BYTECODE = ("threads",)  # engines whose choice points are places of bytecode
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SHAPE = re.compile(
    r"(?P<id>[A-Z]+\d+|scenario\[[^:\]]+\]):(?P<engine>[a-z])(?P<version>\d+)(?:@(?P<python>[\d.]+))?:(?P<program>[^/]+)/(?P<dropped>[\d.~]+|-)/(?P<schedule>[^/]+)(?:/s(?P<seed>\d+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token says. ``program`` is a workload's name, or the steps of a generated program."""

    id: str
    engine: str
    program: str | tuple[Step, ...]
    dropped: frozenset[int] = frozenset()
    schedule: Schedule = Schedule()  # noqa: RUF009 - frozen, so shared
    seed: int = 0

    def __str__(self) -> str:
        """Write the token."""
        letter = next(letter for letter, name in ENGINES.items() if name == self.engine)
        program = self.program if isinstance(self.program, str) else f"~{_packed(self.program)}"
        dropped = ".".join(_runs(self.dropped)) or "-"
        seed = f"/s{self.seed}" if self.seed else ""
        python = f"@{PYTHON}" if self.engine in BYTECODE else ""
        return f"{self.id}:{letter}{VERSION}{python}:{program}/{dropped}/{self.schedule}{seed}"


def read(text: str) -> Token:
    """Read a token; raises `TokenError` with the reason where it cannot be used."""
    match = SHAPE.fullmatch(text.strip())
    if match is None:
        message = (
            f"expected a replay token such as ACQ01:t1:two/-/r1-1, found {text!r}; copy the whole token from the report"
        )
        raise TokenError(message)
    if int(match["version"]) != VERSION or match["engine"] not in ENGINES:
        message = (
            f"the replay token {text!r} is of version {match['engine']}{match['version']}, this release reads "
            f"{' and '.join(f'{letter}{VERSION}' for letter in ENGINES)}; judge again to get a new one"
        )
        raise TokenError(message)
    if match["python"] not in (None, PYTHON):
        message = (
            f"the replay token {text!r} is of Python {match['python']}, whose bytecode is not that of {PYTHON}; "
            f"run it there, or judge again to get a new one"
        )
        raise TokenError(message)
    try:
        return Token(
            id=match["id"],
            engine=ENGINES[match["engine"]],
            program=_unpacked(match["program"][1:]) if match["program"].startswith("~") else match["program"],
            dropped=frozenset(_dropped(match["dropped"])),
            schedule=Schedule.parse(match["schedule"]),
            seed=int(match["seed"] or 0),
        )
    except (ValueError, TypeError, binascii.Error, zlib.error) as error:
        message = f"the replay token {text!r} cannot be read ({error}); copy the whole token from the report"
        raise TokenError(message) from error


def _runs(numbers: frozenset[int]) -> Iterator[str]:
    """Yield the numbers as texts, those that follow each other as one: ``3~9``."""
    left = sorted(numbers)
    while left:
        last = next(at for at in range(len(left)) if at + 1 == len(left) or left[at + 1] != left[at] + 1)
        yield f"{left[0]}~{left[last]}" if last > 1 else str(left[0])
        left = left[last + 1 if last > 1 else 1 :]


def _dropped(text: str) -> Iterator[int]:
    for part in () if text == "-" else text.split("."):
        first, _, last = part.partition("~")
        yield from range(int(first), int(last or first) + 1)


def _packed(program: tuple[Step, ...]) -> str:
    plain = [
        [
            step.name,
            {key: _plain(value) for key, value in step.invocation.arguments},
            step.bind,
            step.optional,
        ]
        for step in program
    ]
    return (
        base64.urlsafe_b64encode(zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 9))
        .decode()
        .rstrip("=")
    )


def _unpacked(text: str) -> tuple[Step, ...]:
    plain = json.loads(zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    return tuple(
        Step(
            invocation=Invocation(name, tuple((key, _read(value)) for key, value in arguments.items())),
            bind=bind,
            optional=optional,
        )
        for name, arguments, bind, optional in plain
    )


def _plain(value: object) -> object:
    return {"ref": value.name} if isinstance(value, Ref) else value


def _read(value: object) -> object:
    return Ref(value["ref"]) if isinstance(value, dict) and set(value) == {"ref"} else value
